"""The table of records, in the terminal or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmark.errors import nearest
from benchmark.record import Record
from leaderboard.board import Row, build_board
from leaderboard.commands import Subparsers, declare
from leaderboard.marks import verified_cells
from leaderboard.records import find_records, printable, read_records, select, state_of

EXAMPLES = """\
  python -m leaderboard show                       the runs made here, or else those that the project ships
  python -m leaderboard show --dataset streaming --budget default --router none
  python -m leaderboard show --json | jq '.[0]'    one JSON object a cell
  python -m leaderboard show --records leaderboard/records --format github
"""
FILTERS = ("dataset", "budget", "router")


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "show", "print the table of all records", EXAMPLES)
    parser.add_argument("--records", type=Path, help="a folder of records")
    for axis in FILTERS:
        parser.add_argument(f"--{axis}", help=f"only cells of this {axis}")
    parser.add_argument("--json", action="store_true", help="print one JSON array, an object a cell")
    parser.add_argument("--format", default="simple", help="a table format of tabulate, such as github")


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    if (wrong := _wrong_format(arguments.format)) is not None:
        print(wrong, file=sys.stderr)
        return 2
    everything, faults = read_records(find_records(arguments.records), arguments.records or Path.cwd())
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    chosen = {axis: getattr(arguments, axis) for axis in FILTERS}
    for axis, wanted in chosen.items():
        known = {record.choices.get(axis, "") for record in everything}
        if wanted is not None and known and wanted not in known:
            print(f"--{axis}: no record of '{wanted}'{printable(nearest(wanted, known))}", file=sys.stderr)
            return 2
    board = build_board(select(everything, **chosen), faults, verified_cells())
    if arguments.json:
        rows = [(row, record) for arena in board.arenas for row in arena.rows for record in row.records]
        print(json.dumps([entry(record, row) for row, record in rows], indent=1))
        return 0
    if not everything:
        print("no records yet; `python run.py -m generator=gpt,netdiffusion` makes some")
        return 0
    from leaderboard.table import render

    print(render(board, arguments.format))
    for record in board.records:
        if (state := state_of(record)) not in ("ok", "running"):
            print(printable(f"{record.method} (cell {record.cell}): {state}: {record.reason}"))
    return 0


def entry(record: Record, row: Row) -> dict[str, object]:
    """One cell as scripts read it."""
    return {
        "cell": record.cell,
        "method": record.method,
        "row": row.name,
        "status": record.status,
        "reason": record.reason,
        "config": {**record.choices, "seed": record.seed},
        "scores": {name: score["value"] for name, score in record.scores.items()},
        "intervals": {name: score["interval"] for name, score in record.scores.items() if score["interval"]},
        "ranked": row.ranked,
        "unranked_reason": row.unranked_reason,
        "ranks": {metric: list(rank) for metric, rank in row.ranks.items()},
        "imputed": row.imputed,
        "verified": row.verified,
    }


def _wrong_format(form: str) -> str | None:
    from tabulate import tabulate_formats

    return None if form in tabulate_formats else f"--format: no '{form}'{nearest(form, tabulate_formats)}"
