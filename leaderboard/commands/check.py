"""Checks a submission before it is sent."""

from __future__ import annotations

import argparse
import sys

from benchmark.errors import ConfigError
from leaderboard.commands import Subparsers, declare
from leaderboard.records import ROOT

EXAMPLES = """\
  python -m leaderboard check mine            files and card, contract tests, a run in the sandbox, a smoke matrix
  python -m leaderboard check mine --files    files, settings and card alone, running nothing
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "check", "check a submission: files, contract tests, a smoke matrix", EXAMPLES)
    parser.add_argument("name", help="name of the submission")
    parser.add_argument("--files", action="store_true", help="read its files alone, and run nothing of it")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks, each with a line that says how it went; stop at the first that fails."""
    from leaderboard.submitting.checking import CHECKS
    from leaderboard.submitting.claims import read_claims
    from leaderboard.submitting.entry import find_entry

    try:
        entry = find_entry(arguments.name, ROOT)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    claims, faults = read_claims(entry)
    print(f"files: ok ({entry.kind}, by {', '.join(entry.card.authors)}; {len(claims)} records)")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults or arguments.files:
        return bool(faults)
    for name, check in CHECKS.items():
        print(f"{name}: running", file=sys.stderr, flush=True)
        fault = check(entry, ROOT)
        print(f"{name}: {fault or 'ok'}", flush=True)
        if fault and not fault.startswith("left out"):
            return 1
    print(f"next:\n  python run.py -m generator={entry.name} seed=0,1,2\n  python -m leaderboard submit {entry.name}")
    if entry.kind == "captures":
        print("with budget=NAME and --budget NAME, if they answer the conditions of another budget than the default")
    return 0
