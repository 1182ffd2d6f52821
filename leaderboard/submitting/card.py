"""The card of a submission: who made it, where it is described, under which licence, and from what data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, nearest
from leaderboard.submitting.safe_yaml import read_plain

_LONGEST = 2000


@dataclass(frozen=True)
class Card:
    """What a reader of the board is told.

    summary: one or two sentences. authors: names. paper: title and link, or "none". licence: an SPDX identifier such
    as Apache-2.0. data: what it was made from beside the training split, such as weights trained elsewhere, or
    "the training split alone". contact: how to reach the authors. made_with: for traces made elsewhere, by what.
    """

    summary: str
    authors: tuple[str, ...]
    paper: str
    licence: str
    data: str
    contact: str = ""
    made_with: str = ""


def read_card(path: Path) -> Card:
    """Read and check a card. Raises ConfigError naming the file, the field and the nearest right name."""
    content = read_plain(path)
    known = [field.name for field in fields(Card)]
    for name in content:
        if name not in known:
            raise ConfigError(f"{path}: unknown field '{name}'{nearest(name, known)}")
    for field in fields(Card):
        if field.name not in content:
            if field.name in ("contact", "made_with"):
                continue
            raise ConfigError(f"{path}: field '{field.name}' is missing")
        content[field.name] = _checked(content[field.name], field.name, path)
    return Card(**content)


def _checked(value: Any, name: str, path: Path) -> Any:
    if name == "authors":
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{path}: field 'authors' is a list with one name or more")
        return tuple(_checked(author, "authors' names", path) for author in value)
    if not isinstance(value, str) or (not value.strip() and name not in ("contact", "made_with")):
        raise ConfigError(f"{path}: field '{name}' is empty; it's text (where there is none, say 'none')")
    if len(value) > _LONGEST:
        raise ConfigError(f"{path}: field '{name}' is longer than {_LONGEST} characters")
    return value.strip()
