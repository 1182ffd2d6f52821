"""Validity: the share of packets that break no rule, level by level, before and after repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.statistics.resampling import bootstrap, percentile_interval
from benchmark.trace import Trace
from benchmark.validator import Findings, check
from benchmark.validator.findings import LEVELS

_MEANINGS = (
    "that parse",
    "that parse and have legal lengths, checksums and fields",
    "that are legal by themselves and in their flow: handshake, numbers, timestamps, flags, RTP sequence",
    "that are legal up to level 2 and in which tshark finds no error",
    "that are legal up to level 2 and open their payload as TLS, QUIC, RTP or DNS do",
)
_VARIANTS = {"raw": "as sampled", "repaired": "after the harness's one repair"}
METRICS = tuple(
    Metric(
        f"validity.l{level}.{variant}",
        "",
        "up",
        0.0,
        1.0,
        f"share of packets {meaning}, {state}; mean over traces",
        (level, variant) == (2, "raw"),
    )
    for variant, state in _VARIANTS.items()
    for level, meaning in enumerate(_MEANINGS)
)

# Traces that tshark judges, at most, evenly spread.
FOR_TSHARK = 6


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Score raw and repaired traces; levels add up: a packet counts if no level up to its own has a finding.

    Level 4 leaves level 3 out. A trace on which a level can't be judged doesn't count for it; a level that no
    trace lets judge is null, with the reason; tshark, a process a trace, judges a few of them. A trace without
    packets scores 0. Real traffic's own rate is this family's score with real traces as raw and repaired.
    """
    scores: dict[str, Score] = {}
    known: dict[int, Findings] = {}
    for variant, traces in (("raw", evidence.raw), ("repaired", evidence.repaired)):
        step = -(-len(traces) // FOR_TSHARK) if traces else 1
        for place, trace in enumerate(traces):
            # Where the repair changes nothing it returns the same trace.
            if id(trace) not in known:
                known[id(trace)] = check(trace, with_tshark=place % step == 0)
        for level in LEVELS:
            found = [known[id(trace)] for trace in traces]
            scores[f"validity.l{level}.{variant}"] = _score_level(traces, found, level, evidence.seed)
    return scores


def _score_level(traces: Sequence[Trace], found: Sequence[Findings], level: int, seed: int) -> Score:
    if not traces:
        return Score(None, "no traces")
    judged = [place for place, findings in enumerate(found) if findings.judged[level]]
    if not judged:
        return Score(None, found[0].reasons[level])
    shares = {traces[place].name: found[place].share(level) for place in judged}
    values = np.array(list(shares.values()))

    def mean(weights: NDArray[np.float64]) -> float:
        return float(np.average(values, weights=weights))

    interval = percentile_interval(bootstrap(mean, (len(values),), seed=seed)) if len(values) > 1 else None
    return Score(float(values.mean()), interval=interval, per_trace=shares)


FAMILY = Family("validity", 1, METRICS, score)
