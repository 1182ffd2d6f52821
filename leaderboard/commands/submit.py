"""Writes what a pull request needs: the records beside the entry, and its text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.errors import ConfigError
from leaderboard.commands import Subparsers, declare
from leaderboard.records import OWN, ROOT

EXAMPLES = """\
  python run.py -m generator=mine seed=0,1,2    first: three seeds or more
  python -m leaderboard submit mine
  python -m leaderboard submit mine --budget smoke --out results/submit
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "submit", "write a submission's records and the pull request's text", EXAMPLES)
    parser.add_argument("name", help="name of the submission")
    parser.add_argument("--dataset", default="streaming")
    parser.add_argument("--budget", default="default", help="which runs: those at this budget")
    parser.add_argument("--results", type=Path, default=OWN, help="a folder of the records of the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "submit", help="where the text goes")


def run(arguments: argparse.Namespace) -> int:
    """Write both, and print the commands that come next."""
    from leaderboard.submitting.bundle import keep_claims, write_request
    from leaderboard.submitting.entry import find_entry

    try:
        entry = find_entry(arguments.name, ROOT)
        records = keep_claims(entry, arguments.results, arguments.dataset, arguments.budget)
        text = write_request(entry, records, arguments.out)
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(records)} records in {entry.folder.relative_to(ROOT)}/records; the pull request's text: {text}\nnext:")
    print(f"  git switch -c submit-{entry.name}")
    print(f"  git add {entry.folder.relative_to(ROOT)}")
    print(f"  git commit -m 'Submission: {entry.name}' && git push -u origin submit-{entry.name}")
    print(f"  gh pr create --title 'Submission: {entry.name}' --body-file {text}")
    return 0
