"""The end of a run: the table of its results, and whether all of its cells ended well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmark.harness.rooms import Rooms
from benchmark.record import RecordError, read_record

# Cells of this run and where their records are; a sweep adds those that ran elsewhere.
ended: dict[str, Rooms] = {}


def conclude(cells: Mapping[str, Rooms], root: Path) -> int:
    """Print the table of the results that these cells are part of; return 1 if one failed or left no record."""
    if not cells:
        return 0
    with next(iter(cells.values())).all_records() as folder:
        words = [sys.executable, "-m", "leaderboard", "show", "--records", str(folder)]
        subprocess.run(words, cwd=root, check=False)
        return int(any(_status(folder, cell) in ("failed", "timeout") for cell in cells))


def _status(folder: Path, cell: str) -> str:
    path = folder / f"{cell}.record.json"
    try:
        return read_record(path if path.exists() else folder / cell / "record.json").status
    except RecordError:
        return "failed"
