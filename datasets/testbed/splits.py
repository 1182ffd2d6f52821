"""The split rule: traces are dealt out to train, validation and test so that each looks like the whole.

Within each application (in alphabetical order) traces stand in order of their mean media rate (the labels'
bitrate; ties by name) and are taken in blocks of ``BLOCK``. How many of a block go to a split is settled by
shares: one after another they go to the split that is furthest behind its share of all traces dealt so far
(ties: the larger share, then train, test, validation). Which of the block go where is the deal, of all deals
with those counts, after which the windows dealt so far are spread over the splits most nearly by their shares
within each rung, each played height, stalls, and what the plan asked for (adaptation, congestion control, cross
traffic, film): the least sum over these classes and splits of (windows there - share x windows)² / windows; ties
are settled by the seed. So rates are balanced by the blocks, and rungs by the
choice within them.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmark.trace import Labels, Trace

BLOCK = 6
_ORDER = ("train", "test", "validation")
_ASKED = ("adaptation", "congestion", "cross", "clip", "codec", "preference")


def split_traces(traces: Sequence[Trace], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of each trace by name, after the rule in this module's docstring."""
    splits: dict[str, str] = {}
    counts: Counter[str] = Counter()
    dealt: dict[str, Counter[str]] = {split: Counter() for split in shares}
    chance = random.Random(f"splits/{seed}")
    for block in _blocks(traces):
        places = []
        for _ in block:
            split = _furthest_behind(counts, shares)
            counts[split] += 1
            places.append(split)
        classes = [windows_by_class(trace) for trace in block]
        deals = sorted(set(itertools.permutations(places)))
        chance.shuffle(deals)
        best = min(deals, key=lambda deal: _imbalance(dealt, classes, deal, shares))
        for trace, counted, split in zip(block, classes, best, strict=True):
            splits[trace.name] = split
            dealt[split].update(counted)
    return splits


def windows_by_class(trace: Trace) -> Counter[str]:
    """Return how many windows of a trace are of each class that the splits are balanced by."""
    labels = trace.labels
    classes = Counter({f"{name} {trace.notes[name]}": len(labels) for name in _ASKED if name in trace.notes})
    classes.update(f"rung {rung}" for rung in labels.rung.tolist() if rung >= 0)
    classes.update(f"height {height}" for height in labels.height.tolist() if height > 0)
    classes["stalled"] = int((labels.stall > 0.5).sum())
    return classes


def _blocks(traces: Sequence[Trace]) -> Iterator[list[Trace]]:
    for application in sorted({trace.condition.application for trace in traces}):
        chosen = [trace for trace in traces if trace.condition.application == application]
        chosen.sort(key=lambda trace: (_mean_rate(trace.labels), trace.name))
        yield from ([*chosen[first : first + BLOCK]] for first in range(0, len(chosen), BLOCK))


def _mean_rate(labels: Labels) -> float:
    known = labels.bitrate[np.isfinite(labels.bitrate)]
    return float(known.mean()) if len(known) else 0.0


def _furthest_behind(counts: Counter[str], shares: Mapping[str, float]) -> str:
    total = sum(counts.values()) + 1
    # Rounding keeps equal shares tied on every machine.
    behind = {split: round(shares[split] * total - counts[split], 9) for split in _ORDER}
    return max(_ORDER, key=lambda split: (behind[split], shares[split]))


def _imbalance(
    dealt: Mapping[str, Counter[str]],
    classes: Sequence[Counter[str]],
    deal: Sequence[str],
    shares: Mapping[str, float],
) -> float:
    after = {split: Counter(counted) for split, counted in dealt.items()}
    for counted, split in zip(classes, deal, strict=True):
        after[split].update(counted)
    whole = sum(after.values(), Counter[str]())
    return round(
        sum(
            (after[split][each] - shares[split] * windows) ** 2 / windows
            for each, windows in sorted(whole.items())
            for split in _ORDER
            if windows
        ),
        9,
    )
