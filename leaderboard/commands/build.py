"""Builds the files that are published: data, table and, where it is there, the site."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from benchmark.errors import ConfigError
from leaderboard.board import Board, build_board
from leaderboard.commands import Subparsers, declare
from leaderboard.marks import verified_cells
from leaderboard.records import find_records, read_records, state_of

EXAMPLES = """\
  python -m leaderboard build --out public         data, table and site of the runs made here, or of those shipped
  python -m leaderboard build --out public --records leaderboard/records
  duckdb -c "select row, avg(value) from 'public/records.parquet' where metric = 'timing.distance' group by row"
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(
        subparsers, "build", "make data, table and site from records, byte for byte the same each time", EXAMPLES
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to build in; only what changed is written")
    parser.add_argument("--records", type=Path, help="a folder of records")


def run(arguments: argparse.Namespace) -> int:
    """Build, and say what changed."""
    from leaderboard.output import update_folder

    print("reading records", file=sys.stderr)
    records, faults = read_records(find_records(arguments.records), arguments.records or Path.cwd())
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    working = [record.cell for record in records if state_of(record) == "running"]
    if working:
        print(f"left out, since they are at work: {', '.join(working)}", file=sys.stderr)
    print(f"ranking {len(records) - len(working)} cells", file=sys.stderr)
    board = build_board([record for record in records if record.cell not in working], faults, verified_cells())
    print("writing", file=sys.stderr)
    try:
        changes = update_folder(arguments.out, lambda folder: _make(board, folder))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"{arguments.out}: {len(changes.written)} files written, {len(changes.removed)} removed, "
        f"{len(changes.kept)} as they were"
    )
    return 0


def _make(board: Board, folder: Path) -> None:
    from leaderboard.data import write_data

    write_data(board, folder)
    site = importlib.import_module("leaderboard.site")
    site.build_site(board, folder)
