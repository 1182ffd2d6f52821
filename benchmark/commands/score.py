"""Score synthetic captures against real ones, without running anything else.

Either path is a capture, a folder of captures, a Parquet file of traces, or a corpus folder with a manifest. Real
traces are dealt into two halves in the order of their names: one stands for training, the other is held out; the
noise floor is the one against the other. Scores that need labels are null, with the reason, where captures have none.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmark.commands.sources import read_source
from benchmark.metric import Evidence, Score
from benchmark.trace import Trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--real", type=Path, required=True, metavar="PATH")
    parser.add_argument("--synthetic", type=Path, required=True, metavar="PATH")
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write scores and reasons here; '-' is standard output"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep-readable", action="store_true", help="of a broken capture, use what comes before the fault"
    )


def run(chosen: argparse.Namespace) -> int:
    """Score and print a table, or JSON."""
    from benchmark.harness.store import write_json
    from benchmark.record import score_facts

    real, ladder = read_source(chosen.real, keep_readable=chosen.keep_readable)
    synthetic, _ = read_source(chosen.synthetic, keep_readable=chosen.keep_readable)
    facts = score_facts(score_traces(real, synthetic, ladder, chosen.seed))
    content = {
        "scores": {name: fact["value"] for name, fact in facts.items()},
        "reasons": {name: fact["reason"] for name, fact in facts.items() if fact["value"] is None},
    }
    if chosen.json and str(chosen.json) != "-":
        write_json(chosen.json, content)
        return 0
    if chosen.json:
        json.dump(content, sys.stdout, indent=1, sort_keys=True)
        print()
        return 0
    from tabulate import tabulate

    rows = [[name, fact["value"], fact["reason"]] for name, fact in facts.items()]
    print(tabulate(rows, headers=["metric", "value", "why not"], floatfmt=".4g"))
    return 0


def score_traces(
    real: list[Trace], synthetic: list[Trace], ladder: tuple[int, ...] = (), seed: int = 0
) -> dict[str, Score]:
    """Score synthetic traces against real ones; every metric is there, with a value or a reason."""
    from benchmark.harness.scoring import families
    from benchmark.synthesis.repair import repair

    ordered = sorted(real, key=lambda trace: trace.name)
    train, test = (ordered[0::2], ordered[1::2]) if len(ordered) > 1 else (ordered, ordered)
    repaired = [repair(trace, seed) for trace in synthetic]
    evidence = Evidence(train, [], test, synthetic, synthetic, repaired, ladder=ladder, seed=seed)
    scores: dict[str, Score] = {}
    for family in families():
        scores.update(family.score(evidence))
    return scores
