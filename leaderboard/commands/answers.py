"""Writes the answers to the project's questions, from whatever records there are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leaderboard.commands import Subparsers, declare
from leaderboard.records import COMMITTED, ROOT

EXAMPLES = """\
  python -m leaderboard answers                                      docs/answers.md, from shipped records
  python -m leaderboard answers --records results/cells --out answers.md
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "answers", "write the answers to the project's questions from records", EXAMPLES)
    parser.add_argument("--records", type=Path, help="a folder of records, if not those shipped")
    parser.add_argument("--out", type=Path, help="the page, if not docs/answers.md")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and say what it lacks."""
    from leaderboard.studies.answers.writing import write
    from leaderboard.studies.evidence import read_board
    from leaderboard.studies.page import told_folder

    folder = arguments.records or COMMITTED
    if not folder.is_dir():
        print(f"--records: {folder} is no folder", file=sys.stderr)
        return 2
    print(f"reading {folder}", file=sys.stderr)
    # Folder by folder, since one cell may belong to several matrices.
    parts = sorted(path for path in folder.iterdir() if path.is_dir()) if folder == COMMITTED else [folder]
    board, records = read_board(*parts)
    page = write(board, records, told_folder(folder))
    written = page.write(arguments.out or ROOT / "docs" / "answers.md")
    print(f"{', '.join(map(str, written))}: from {len(records)} records")
    for section in page.sections:
        for lack in section.lacks:
            print(lack)
    return 0
