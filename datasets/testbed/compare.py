"""Compare two captures of the same sessions: do they tell the same story?

    python datasets/testbed/compare.py FIRST SECOND [--json]

FIRST and SECOND are corpus folders; traces are matched by name. Links, films and draws are the same in both, sockets
and schedulers aren't, so nothing is the same to the byte. What is compared, with its tolerance (exit status 1 beyond):

* rate: bytes down over the trace's duration, as |second / first - 1|; the median over traces;
* startup: |second - first|, s; the median over traces;
* rungs: total variation distance between the shares of the rungs over all windows of these traces.

Beside them, without a tolerance, the share of windows whose rung is the same in both: players decide by what they
measure, and a session that falls on the other side of a threshold goes on differently.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.corpora.embedded import load
from benchmark.corpus import SPLITS
from benchmark.errors import ConfigError, CorpusError
from benchmark.trace import Trace

TOLERANCES = {"rate": 0.1, "startup": 0.5, "rungs": 0.1}


@dataclass(frozen=True)
class Agreement:
    """How far two captures are apart; the fields as this module's docstring has them.

    traces: how many are in both. startup: None where neither tells, as of calls.
    """

    traces: int
    rate: float
    startup: float | None
    rungs: float
    same_rung: float

    def beyond(self) -> list[str]:
        """Return the figures beyond their tolerance."""
        return [name for name, limit in TOLERANCES.items() if (getattr(self, name) or 0.0) > limit]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s FIRST SECOND [--json]",
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        agreement = compare(read(given.first), read(given.second))
    except (ConfigError, CorpusError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    beyond = agreement.beyond()
    if given.json:
        print(json.dumps({**asdict(agreement), "tolerances": TOLERANCES, "beyond": beyond}))
        return int(bool(beyond))
    print(f"{agreement.traces} sessions are in both captures")
    startup = "no startup delay" if agreement.startup is None else f"{agreement.startup:.2f} s"
    for name, text in (
        ("rate", f"{agreement.rate:.1%} between the mean rates (median)"),
        ("startup", f"{startup} between the startup delays (median)"),
        ("rungs", f"{agreement.rungs:.3f} between the shares of the rungs (total variation)"),
    ):
        print(f"{text}: {'beyond' if name in beyond else 'within'} {TOLERANCES[name]:g}")
    print(f"{agreement.same_rung:.0%} of the windows have the same rung")
    return int(bool(beyond))


def read(folder: Path) -> dict[str, Trace]:
    """Return a corpus's traces by name. Raises CorpusError."""
    corpus = load({"name": folder.name, "path": str(folder.resolve())}, folder)
    return {trace.name: trace for split in SPLITS for trace in getattr(corpus, split)}


def compare(first: Mapping[str, Trace], second: Mapping[str, Trace]) -> Agreement:
    """Compare the traces that are in both. Raises CorpusError if there are none."""
    names = sorted(set(first) & set(second))
    if not names:
        raise CorpusError("no session is in both captures")
    pairs = [(first[name], second[name]) for name in names]
    rates = [abs(down_rate(after) / down_rate(before) - 1) for before, after in pairs]
    startups = [abs(after.labels.startup - before.labels.startup) for before, after in pairs]
    told = [startup for startup in startups if np.isfinite(startup)]
    rungs = [np.concatenate([pair[side].labels.rung for pair in pairs]).astype(int) for side in (0, 1)]
    shares = [np.bincount(side + 1, minlength=128) / len(side) for side in rungs]
    return Agreement(
        traces=len(names),
        rate=float(np.median(rates)),
        startup=float(np.median(told)) if told else None,
        rungs=float(abs(shares[0] - shares[1]).sum() / 2),
        same_rung=float(np.mean(rungs[0] == rungs[1])),
    )


def down_rate(trace: Trace) -> float:
    """Return the bytes down a second, of IP packets of all flows."""
    flows = trace.flows
    down = ~flows.up & (flows.index >= 0)
    return float(trace.packets.length[down].sum()) / trace.condition.duration


if __name__ == "__main__":
    sys.exit(main())
