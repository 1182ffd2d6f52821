"""Which studies there are: the experiment, what its page is called, and who writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.errors import ConfigError, nearest
from leaderboard.board import Board
from leaderboard.studies import augmentation, conditioning, context, guidance, tokenization
from leaderboard.studies.page import Page


@dataclass(frozen=True)
class Study:
    """A study. page: its file in docs/. write: the page of a board, given the experiment and the records' folder."""

    page: str
    write: Callable[[Board, str, str], Page]


STUDIES = {
    "tokenization_study": Study("tokenization.md", tokenization.write),
    "context_study": Study("context.md", context.write),
    "conditioning_study": Study("conditioning.md", conditioning.write),
    "guidance_study": Study("guidance.md", guidance.write),
    "augmentation_study": Study("augmentation.md", augmentation.write),
}


def find_study(name: str) -> Study:
    """Return a study by its experiment's name. Raises ConfigError for another name."""
    if name not in STUDIES:
        raise ConfigError(f"no study '{name}'{nearest(name, STUDIES)}")
    return STUDIES[name]
