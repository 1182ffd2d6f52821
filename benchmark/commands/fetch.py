"""Copy the records of results at a URL into a folder, a file a cell, for ``python -m leaderboard``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.harness.remote import Remote
from benchmark.harness.rooms import fetch_records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", help="URL of results, as in run.py's results=")
    parser.add_argument("--out", type=Path, required=True, help="folder that the records go to")


def run(chosen: argparse.Namespace) -> int:
    """Copy the records. Raises ConfigError for a URL that no installed filesystem reads."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    count = fetch_records(Remote(chosen.results), chosen.out)
    print(f"{count} records in {chosen.out}")
    return 0
