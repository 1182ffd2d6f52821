"""Runs a submission again in a sandbox, scores it outside, and writes the verdict beside it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace

from benchmark.errors import ConfigError, CorpusError, Unsupported
from leaderboard.commands import Subparsers, declare
from leaderboard.records import ROOT

EXAMPLES = """\
  python -m leaderboard verify mine                      three fresh seeds at the default budget
  python -m leaderboard verify mine --budget smoke
  python -m leaderboard verify mine --json | jq .outcome
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "verify", "run a submission again in a sandbox, and compare its scores", EXAMPLES)
    parser.add_argument("name", help="name of the submission")
    parser.add_argument("--dataset", default="streaming")
    parser.add_argument("--budget", default="default")
    parser.add_argument("--seeds", type=int, default=3, help="how many fresh seeds, at least 3")
    parser.add_argument("--seconds", type=float, default=3600, help="deadline of each sandboxed run")
    parser.add_argument("--memory", type=int, default=8192, help="MiB that a sandboxed run may use")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Verify, write verified.json, and say how it went: 0 verified, 1 not, 2 where this machine can't."""
    from benchmark.harness.rooms import Rooms
    from leaderboard.submitting.claims import read_claims
    from leaderboard.submitting.entry import find_entry
    from leaderboard.submitting.resolving import resolve_cell
    from leaderboard.submitting.sandbox.limits import Limits
    from leaderboard.submitting.verdict import write_verdict
    from leaderboard.submitting.verification import Setting, fresh_seeds, verify_entry

    try:
        entry = find_entry(arguments.name, ROOT)
        words = [f"dataset={arguments.dataset}", f"budget={arguments.budget}"]
        cell, independent = (resolve_cell([f"generator={name}", *words], ROOT) for name in (entry.name, "independent"))
        setting = Setting(cell, independent, Rooms(ROOT, ROOT / "results" / "verify"))
        limits = replace(Limits(), wall_s=arguments.seconds, cpu_s=int(arguments.seconds), memory_mb=arguments.memory)
        seeds = fresh_seeds(arguments.seeds, [record.seed for record in read_claims(entry)[0]])
        verdict, _ = verify_entry(entry, setting, seeds, limits, lambda text: print(text, file=sys.stderr, flush=True))
    except Unsupported as error:
        print(f"unsupported: {error}", file=sys.stderr)
        return 2
    except (ConfigError, CorpusError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    path = write_verdict(entry, verdict)
    if arguments.json:
        print(json.dumps(asdict(verdict), indent=1))
    else:
        print(f"{entry.name}: {verdict.outcome} {verdict.reason}\n{path.relative_to(ROOT)} has the verdict")
    return verdict.outcome != "verified"
