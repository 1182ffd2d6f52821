"""Commands over records: ``python -m leaderboard show|keep``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmark.record import Record
from leaderboard.records import find_records, read_records, state_of

EXAMPLES = """examples:
  python -m leaderboard show                       the runs made here, or else those that the project ships
  python -m leaderboard show --json | jq '.[0]'    one JSON object a cell
  python -m leaderboard show --records leaderboard/records --format github
  python -m leaderboard keep first_light
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m leaderboard", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print the table of all records")
    show.add_argument("--records", type=Path, help="a folder of records")
    show.add_argument("--json", action="store_true", help="print one JSON array, an object a cell")
    show.add_argument("--format", default="simple", help="a table format of tabulate, such as github")
    keep = commands.add_parser("keep", help="ship the records of the runs made here, and put their table in the README")
    keep.add_argument("name", help="name of the matrix, such as first_light")
    keep.add_argument("--budget", default="default", help="which runs: those at this budget")
    chosen = parser.parse_args(arguments)
    if chosen.command == "keep":
        return _keep(chosen.name, chosen.budget)
    records, faults = read_records(find_records(chosen.records))
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    if chosen.json:
        print(json.dumps([row(record) for record in records], indent=1))
        return 0
    if not records:
        print("no records yet; `python run.py -m generator=gpt,netdiffusion` makes some")
        return 0
    from leaderboard.table import render

    print(render(records, chosen.format))
    for record in records:
        if (state := state_of(record)) not in ("ok", "running"):
            print(f"{record.method} (cell {record.cell}): {state}: {record.reason}")
    return 0


def _keep(name: str, budget: str) -> int:
    from leaderboard.shipping import keep_records, refresh_readme

    copies = keep_records(name, budget)
    refresh_readme(name)
    print(f"kept {len(copies)} records; README.md has their table")
    return 0


def row(record: Record) -> dict[str, object]:
    """One cell as scripts read it."""
    return {
        "cell": record.cell,
        "method": record.method,
        "status": record.status,
        "reason": record.reason,
        "config": {**record.choices, "seed": record.seed},
        "scores": {name: score["value"] for name, score in record.scores.items()},
        "intervals": {name: score["interval"] for name, score in record.scores.items() if score["interval"]},
    }


if __name__ == "__main__":
    sys.exit(main())
