"""Makes a new entry: a small method that works, with its settings and card, to be changed into one's own."""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import ConfigError
from leaderboard.submitting.card import Card, read_card
from leaderboard.submitting.entry import CARD, CODE, PLACE, SETTINGS, check_name

TEMPLATE = Path(__file__).resolve().parent / "template"
_COMMENTS = {
    "summary": "one or two sentences: how it makes traffic",
    "authors": "names, as the board shows them",
    "paper": 'title and link, or "none"',
    "licence": "of the code or of the traces, an SPDX identifier",
    "data": "what it was made from beside the training split, such as weights trained elsewhere",
    "contact": "how to reach the authors; may stay empty",
    "made_with": "for traces made elsewhere: by what",
}


def make_method(name: str, root: Path, card: Card) -> Path:
    """Make the folder of a method that works as it stands; return it. Raises ConfigError where the name is taken."""

    def fill(folder: Path) -> None:
        for file in (CODE, SETTINGS):
            shutil.copyfile(TEMPLATE / file, folder / file)
        write_card(folder / CARD, card)

    return make_folder(name, root, fill)


def make_folder(name: str, root: Path, fill: Callable[[Path], None]) -> Path:
    """Make an entry's folder, filled aside and then renamed; return it."""
    folder = root / PLACE / check_name(name, root)
    if folder.exists():
        raise ConfigError(f"{folder}: is there already; take another name, or edit it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as aside:
        inside = Path(aside) / name
        inside.mkdir()
        fill(inside)
        inside.rename(folder)
    return folder


def first_card(author: str | None, licence: str, summary: str, made_with: str = "") -> Card:
    """A card to start from; its author is git's user where none is given."""
    return Card(summary, (author or _own_name(),), "none", licence, "the training split alone", "", made_with)


def write_card(path: Path, card: Card) -> None:
    """Write a card as YAML with a comment a field, and read it back to be sure."""
    lines = ["# The entry's card; `python -m leaderboard check` reads it."]
    for name, comment in _COMMENTS.items():
        # JSON's text and lists are YAML's too.
        lines.append(f"{name}: {json.dumps(getattr(card, name), ensure_ascii=False)} # {comment}")
    path.write_text("\n".join(lines) + "\n")
    read_card(path)


def _own_name() -> str:
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, timeout=10, check=False)
        name = done.stdout.strip()
    except OSError:
        name = ""
    return name or getpass.getuser()
