"""Timing: how closely the course of synthetic traces in time resembles that of held-out real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.series import Series, absent, readable, series_of
from benchmark.metrics.timing_parts import Part, direction_gaps, parts_of
from benchmark.statistics.distances import area_distance, cumulative_areas, shared_grid
from benchmark.statistics.resampling import bootstrap, pseudo_values, recentred_interval

FloatArray = NDArray[np.float64]

_MEANINGS = {
    "gap_autocorrelation": "autocorrelation of log gaps, lags 1 to 100 packets",
    "size_autocorrelation": "autocorrelation of packet sizes, lags 1 to 100 packets",
    "bytes_autocorrelation": "autocorrelation of the bytes of each second, lags 1 to 10 s",
    "window_bytes": "mean bytes by window index",
    "throughput_10ms": "distribution of throughput in 10 ms, over the trace's mean",
    "throughput_100ms": "distribution of throughput in 100 ms, over the trace's mean",
    "throughput_1s": "distribution of throughput in 1 s, over the trace's mean",
    "burst_bytes": "distribution of log bytes between gaps of 30 ms or more",
    "conditional_gap": "gap given direction, size and previous gap",
}
METRICS = (
    Metric("timing.distance", "", "down", 0, math.inf, "mean of the parts below, each over its value for "
           "real training against real test traces; about 1 is real", True),
    *(Metric(f"timing.distance.{name}", "", "down", 0, math.inf, f"{meaning}, over the same for real traces")
      for name, meaning in _MEANINGS.items()),
    Metric("timing.gap_wasserstein", "decade", "down", 0, math.inf, "Wasserstein distance of log10 gaps, "
           "mean of the two directions"),
    Metric("timing.gap_wasserstein.up", "decade", "down", 0, math.inf, "of gaps ahead of upward packets"),
    Metric("timing.gap_wasserstein.down", "decade", "down", 0, math.inf, "of gaps ahead of downward packets"),
)  # fmt: skip


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Compare the synthetic traces with the test traces, by the measure of train against test.

    ``per_trace`` of timing.distance holds a jackknife pseudo-value for each test trace, their mean the
    distance, so that two methods can be compared test trace by test trace.
    """
    sides = {"train": evidence.train, "test": evidence.test, "synthetic": evidence.synthetic}
    series = {name: [series_of(trace) for trace in readable(traces)] for name, traces in sides.items()}
    for name, side in series.items():
        if not side:
            return absent(METRICS, f"no packets in the {name} traces")
    train, test, synthetic = series["train"], series["test"], series["synthetic"]
    return {
        **_distance(parts_of(train, test, synthetic), [one.name for one in test], evidence.seed),
        **_gaps(test, synthetic, evidence.seed),
    }


def _distance(parts: Mapping[str, Part], names: Sequence[str], seed: int) -> dict[str, Score]:
    test, synthetic = len(names), len(next(iter(parts.values())).synthetic)
    floors = {name: part.floor() for name, part in parts.items()}

    def ratios(a: FloatArray, b: FloatArray) -> FloatArray:
        return np.array([part.distance(a, b) / floors[name] for name, part in parts.items()])

    def mean(a: FloatArray, b: FloatArray) -> float:
        return float(ratios(a, b).mean())

    everyone = np.ones(test), np.ones(synthetic)
    value = mean(*everyone)
    by_trace = pseudo_values(lambda weights: mean(weights, everyone[1]), test)
    interval = None
    if test > 1 and synthetic > 1:
        interval = recentred_interval(value, bootstrap(mean, (test, synthetic), seed=seed), 0.0)
    whole = Score(value, interval=interval, per_trace=dict(zip(names, by_trace.tolist(), strict=True)))
    each = zip(parts, ratios(*everyone).tolist(), strict=True)
    return {"timing.distance": whole, **{f"timing.distance.{name}": Score(ratio) for name, ratio in each}}


def _gaps(test: Sequence[Series], synthetic: Sequence[Series], seed: int) -> dict[str, Score]:
    """Score the distance of log gaps; a direction that one side lacks altogether makes it null."""
    scores: dict[str, Score] = {}
    tables = []
    for name, up in (("up", True), ("down", False)):
        groups = [[direction_gaps(series, up) for series in side] for side in (test, synthetic)]
        if not all(any(len(gaps) for gaps in side) for side in groups):
            return absent(METRICS[-3:], f"a side has no {name}ward packets after the first")
        grid = shared_grid([*groups[0], *groups[1]])
        tables.append([cumulative_areas(side, grid) for side in groups])

    def mean(a: FloatArray, b: FloatArray) -> float:
        return float(np.mean([area_distance(a @ real, b @ other) for real, other in tables]))

    everyone = np.ones(len(test)), np.ones(len(synthetic))
    value = mean(*everyone)
    interval = None
    if len(test) > 1 and len(synthetic) > 1:
        sizes = len(test), len(synthetic)
        interval = recentred_interval(value, bootstrap(mean, sizes, seed=seed), 0.0)
    scores["timing.gap_wasserstein"] = Score(value, interval=interval)
    for name, (real, other) in zip(("up", "down"), tables, strict=True):
        distance = area_distance(everyone[0] @ real, everyone[1] @ other)
        scores[f"timing.gap_wasserstein.{name}"] = Score(distance)
    return scores


FAMILY = Family("timing", 1, METRICS, score)
