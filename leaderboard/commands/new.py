"""Makes the folder of a new submission."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.errors import ConfigError, CorpusError, TraceError
from leaderboard.commands import Subparsers, declare
from leaderboard.records import ROOT

EXAMPLES = """\
  python -m leaderboard new mine                               a small method that works, to be changed
  python -m leaderboard new mine --author "Ada Lovelace"
  python -m leaderboard conditions --out conditions.json       what traces made elsewhere have to answer
  python -m leaderboard new mine --captures FOLDER --made-with "our tool 1.2"
"""

TEMPLATE = "Packets at random times, at the mean rate of their rung."
CAPTURED = "Traces that were made elsewhere; say here how."


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "new", "make the folder of a new submission", EXAMPLES)
    parser.add_argument("name", help="its name, which becomes generator=NAME")
    parser.add_argument("--author", help="the first author; git's user where not given")
    parser.add_argument("--licence", default="Apache-2.0", help="of the code or the traces, an SPDX identifier")
    parser.add_argument("--summary", help="one or two sentences for the card: how it makes traffic")
    parser.add_argument("--captures", type=Path, help="a folder of captures and answers.csv: traces made elsewhere")
    parser.add_argument("--made-with", default="", help="what made the captures")
    parser.add_argument("--dataset", default="streaming", help="whose conditions the captures answer")
    parser.add_argument("--budget", default="default", help="at which budget")


def run(arguments: argparse.Namespace) -> int:
    """Make the folder, and say what comes next."""
    from leaderboard.submitting.scaffold import first_card, make_method

    name = arguments.name
    try:
        summary = arguments.summary or (CAPTURED if arguments.captures else TEMPLATE)
        card = first_card(arguments.author, arguments.licence, summary, arguments.made_with)
        if arguments.captures:
            from leaderboard.submitting.importing import make_captures

            folder = make_captures(name, ROOT, card, arguments.captures, arguments.dataset, arguments.budget)
        else:
            folder = make_method(name, ROOT, card)
    except (ConfigError, CorpusError, TraceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"made {folder.relative_to(ROOT)}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    # Captures answer the conditions of one budget; a method may be tried at any.
    budget = arguments.budget if arguments.captures else "smoke"
    print(
        f"next: edit them, then\n  python -m leaderboard check {name}\n  python run.py generator={name} budget={budget}"
    )
    return 0
