"""Writes the page of a whole matrix: what it was run to find out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.errors import ConfigError
from leaderboard.commands import Subparsers, declare
from leaderboard.records import COMMITTED, ROOT

EXAMPLES = """\
  python -m leaderboard study tokenization_study                          docs/tokenization.md, from shipped records
  python -m leaderboard study context_study --records results/cells --out context.md
  python -m leaderboard study conditioning_study
  python -m leaderboard study augmentation_study
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "study", "write the page of a whole matrix from its records", EXAMPLES)
    parser.add_argument("name", help="name of the experiment, such as tokenization_study")
    parser.add_argument("--records", type=Path, help="a folder of records, if not those shipped")
    parser.add_argument("--out", type=Path, help="the page, if not docs/NAME.md; its pictures go beside it")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and say what it lacks."""
    from leaderboard.studies.catalogue import find_study
    from leaderboard.studies.evidence import read_board
    from leaderboard.studies.missing import makes
    from leaderboard.studies.page import told_folder

    try:
        study = find_study(arguments.name)
        folder = arguments.records or COMMITTED / arguments.name
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder of records. {makes(arguments.name)}".replace("`", "'"))
        print(f"reading {folder}", file=sys.stderr)
        board, records = read_board(folder)
        if not records:
            raise ConfigError(f"{folder} has no record. {makes(arguments.name)}".replace("`", "'"))
        page = study.write(board, arguments.name, told_folder(folder))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    written = page.write(arguments.out or ROOT / "docs" / study.page)
    print(f"{', '.join(map(str, written))}: from {len(records)} records")
    for section in page.sections:
        for lack in section.lacks:
            print(lack)
    return 0
