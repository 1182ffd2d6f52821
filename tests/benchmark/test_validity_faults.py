"""The validator finds 99 % of 200 seeded single faults in real traces, and hardly blames neighbours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora.embedded import load
from benchmark.errors import CorpusError
from benchmark.trace import Trace
from benchmark.validator import check
from tests.benchmark.faults import inject

ROOT = Path(__file__).parents[2]
FAULTS = 200


@dataclass
class Catch:
    tried: int = 0
    found: int = 0
    neighbours: int = 0
    missed: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    """Real traces: every second one of the streaming test split, and calls."""
    try:
        streaming, calls = (load({"name": name}, ROOT) for name in ("streaming", "calls"))
    except CorpusError as error:
        pytest.skip(f"no embedded corpus: {error}")
    return [*streaming.test[::2], *calls.train[:1], *streaming.validation[:2]]


def test_real_traces_are_legal(traces: list[Trace]) -> None:
    for trace in traces:
        findings = check(trace, with_tshark=False)
        assert findings.share(2) >= 0.999, (trace.name, findings.counts())


def test_single_faults_are_found(traces: list[Trace], capsys: pytest.CaptureFixture[str]) -> None:
    before = [set(np.flatnonzero(check(trace, with_tshark=False).marks.mask).tolist()) for trace in traces]
    table: dict[str, Catch] = defaultdict(Catch)
    untouched = 0
    for seed in range(FAULTS):
        number = seed % len(traces)
        fault = inject(traces[number], seed)
        after = set(np.flatnonzero(check(fault.trace, with_tshark=False).marks.mask).tolist())
        # A dropped packet moves the numbers of the rest; its fault can only show in others.
        dropped = len(fault.trace.packets) < len(traces[number].packets)
        new = len(after) - len(before[number]) if dropped else len(after - before[number])
        beside = max(0, new - 1) if dropped else len(after - before[number] - set(fault.touched))
        row = table[fault.kind]
        row.tried += 1
        row.found += new > 0
        row.neighbours += beside
        untouched += len(fault.trace.packets)
        if new <= 0:
            row.missed.append(seed)
    with capsys.disabled():
        print(f"\n{'fault':58s} tried found neighbours")
        for kind, row in sorted(table.items()):
            print(f"{kind:58s} {row.tried:5d} {row.found:5d} {row.neighbours:10d}")
    found = sum(row.found for row in table.values())
    assert found >= 0.99 * FAULTS, {kind: row.missed for kind, row in table.items() if row.missed}
    # Beside the fault itself: less than one packet in 10,000, and on average less than one a fault.
    neighbours = sum(row.neighbours for row in table.values())
    assert neighbours < min(FAULTS, untouched / 10_000)


def test_faults_are_the_seed_s(traces: list[Trace]) -> None:
    once, again = inject(traces[0], 7), inject(traces[0], 7)
    assert once.kind == again.kind
    assert once.trace.packets.same_as(again.trace.packets)
