"""Writes what traces made elsewhere have to answer."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.errors import ConfigError, CorpusError
from leaderboard.commands import Subparsers, declare
from leaderboard.records import ROOT

EXAMPLES = """\
  python -m leaderboard conditions --out conditions.json
  python -m leaderboard conditions --dataset calls --budget smoke --out conditions.json

Answer condition N with a capture, and say so in answers.csv beside the captures: file,condition,client.
Then: python -m leaderboard new NAME --captures FOLDER
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "conditions", "write the conditions that a method is asked for", EXAMPLES)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--dataset", default="streaming")
    parser.add_argument("--budget", default="default")


def run(arguments: argparse.Namespace) -> int:
    """Write the conditions."""
    from leaderboard.submitting.answers import write_conditions
    from leaderboard.submitting.importing import asked_conditions

    try:
        conditions = asked_conditions(arguments.dataset, arguments.budget, ROOT)
        write_conditions(arguments.out, conditions)
    except (ConfigError, CorpusError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {len(conditions)} conditions of dataset={arguments.dataset} budget={arguments.budget}")
    return 0
