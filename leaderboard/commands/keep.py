"""Ships records of runs made here, and puts their table in the README."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.errors import ConfigError
from leaderboard.commands import Subparsers, declare
from leaderboard.records import OWN, ROOT

EXAMPLES = """\
  python -m leaderboard keep first_light --experiment first_light    one matrix: the cells of its file, and references
  python -m leaderboard keep light --cells 3cc2,b199                 cells by the beginnings of their ids
  python -m leaderboard keep nightly --budget default                all runs at one budget
  python -m leaderboard keep first_light --table-only                the README's table anew, from what was kept
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    purpose = "ship the records of the runs made here, and put their table in the README"
    parser = declare(subparsers, "keep", purpose, EXAMPLES)
    parser.add_argument("name", help="name of the matrix, such as first_light")
    parser.add_argument("--experiment", default="", help="only the cells of conf/experiment/EXPERIMENT.yaml")
    parser.add_argument("--cells", default="", help="only these cells: beginnings of ids, with commas between")
    parser.add_argument("--budget", default="", help="only cells at this budget; default where nothing else is chosen")
    parser.add_argument("--results", type=Path, help="folder of results, if not the experiment's own")
    parser.add_argument("--table-only", action="store_true", help="copy nothing; refresh the README's table")


def run(arguments: argparse.Namespace) -> int:
    """Copy the records and refresh the table."""
    from leaderboard.selection import read_matrix
    from leaderboard.shipping import choose_records, keep_records, refresh_readme, split_ended

    cells = [prefix for prefix in arguments.cells.split(",") if prefix]
    try:
        if not arguments.table_only:
            own = read_matrix(arguments.experiment).results if arguments.experiment else None
            source = arguments.results / "cells" if arguments.results else ROOT / own / "cells" if own else OWN
            budget = arguments.budget or ("" if arguments.experiment or cells else "default")
            chosen = choose_records(source, arguments.experiment, cells, budget)
            chosen, running = split_ended(chosen)
            print(f"kept {len(keep_records(arguments.name, chosen, source))} records")
            if running:
                print(f"left out, since they haven't ended: {', '.join(record.cell for record in running)}")
        shown = refresh_readme(arguments.name)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print("README.md has their table" if shown else f"README.md has no table {arguments.name}; it stays as it is")
    return 0
