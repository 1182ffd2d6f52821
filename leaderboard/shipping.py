"""What the project ships of its own runs: records, their pictures, and the table and picture of the README."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import ConfigError, nearest
from benchmark.record import Record
from leaderboard.board import build_board
from leaderboard.output import write_aside
from leaderboard.records import COMMITTED, OWN, ROOT, find_records, read_records
from leaderboard.selection import select_matrix
from leaderboard.table import render

README = ROOT / "README.md"
PICTURES = ROOT / "docs" / "pictures"
# Methods whose pictures are shown beside the table.
SHOWN = ("gpt", "netdiffusion")


def choose_records(
    source: Path = OWN, experiment: str = "", cells: Sequence[str] = (), budget: str = ""
) -> list[Record]:
    """Return the records of one matrix, of those below ``source``.

    experiment: a file of ``conf/experiment``, whose cells and their references are meant. cells: beginnings of ids.
    budget: only this one. Raises ConfigError where an experiment or a cell isn't there.
    """
    records, _ = read_records(find_records(source))
    chosen = select_matrix(records, experiment) if experiment else records
    for prefix in cells:
        if not any(record.cell.startswith(prefix) for record in chosen):
            raise ConfigError(f"--cells: none begins with '{prefix}'{nearest(prefix, [r.cell for r in chosen])}")
    if cells:
        chosen = [record for record in chosen if record.cell.startswith(tuple(cells))]
    return [record for record in chosen if not budget or record.choices.get("budget") == budget]


def split_ended(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records of cells that have ended, however they did, and of those that run still or were cut off."""
    return [record for record in records if record.ended], [record for record in records if not record.ended]


def keep_records(
    name: str, chosen: Sequence[Record], source: Path = OWN, shelf: Path = COMMITTED, pictures: Path = PICTURES
) -> list[Path]:
    """Copy records of the runs below ``source`` to ``shelf/NAME/``; return the copies.

    Records that were there before are replaced as a whole, so that the folder is one matrix and no more; while the
    copies are made the old ones stand. Raises ConfigError where there is nothing to keep, or for a name with a path.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"'{name}' isn't the name of a matrix: letters, digits, dashes and underscores")
    if not chosen:
        raise ConfigError(f"no record below {source} is chosen; what was kept before stays")
    folder, aside = shelf / name, shelf / f".{name}.aside"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    copies = []
    for record in chosen:
        file = f"{record.method}-{record.seed}-{record.cell}.record.json"
        shutil.copyfile(source / record.cell / "record.json", aside / file)
        copies.append(folder / file)
        picture = source / record.cell / "picture.png"
        if record.seed == 0 and record.method in SHOWN and picture.exists():
            write_aside(pictures / f"{name}-{_label(record)}.png", picture.read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(aside, folder)
    return copies


def refresh_readme(name: str, readme: Path = README, shelf: Path = COMMITTED) -> bool:
    """Replace the README's table by that of ``shelf/NAME/``; all else stays. Return whether it has such a table.

    Raises ConfigError where its markers aren't a pair.
    """
    start, end = f"<!-- table {name} -->", f"<!-- end of table {name} -->"
    text = readme.read_text(encoding="utf-8")
    if (text.count(start), text.count(end)) == (0, 0):
        return False
    if text.count(start) != 1 or text.count(end) != 1:
        raise ConfigError(f"{readme}: wants the lines '{start}' and '{end}' once each")
    records, faults = read_records(find_records(shelf / name))
    head, rest = text.split(start)
    tail = rest.split(end)[1]
    table = render(build_board(records, faults), "github")
    write_aside(readme, f"{head}{start}\n\n{table}\n\n{end}{tail}".encode())
    return True


def _label(record: Record) -> str:
    used = [record.choices.get("tokenization", "none")] if "tokenization" in record.config else []
    return "-".join([record.method, *(name for name in used if name not in ("none", "segments"))])
