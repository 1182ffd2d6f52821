"""Fidelity: how closely synthetic packets and windows resemble held-out real ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.marginals import FIELDS, Counts, count_bits, count_field
from benchmark.metrics.series import Series, absent, complete, readable, series_of, window_features
from benchmark.metrics.two_sample import LEAST_TRACES, NEIGHBOURS, held_out_areas, neighbourhood
from benchmark.statistics.distances import (
    area_distance,
    cumulative_areas,
    hellinger,
    jensen_shannon,
    shared_grid,
    total_variation,
)
from benchmark.statistics.resampling import bootstrap, percentile_interval, pseudo_values, recentred_interval
from benchmark.trace import Trace

FloatArray = NDArray[np.float64]

METRICS = (
    Metric("fidelity.c2st", "", "down", 0.5, 1, "area under the curve of a classifier that tells "
           "synthetic from real one-second windows of unseen traces; 0.5 is indistinguishable", True),
    Metric("fidelity.jsd", "bit", "down", 0, 1, "mean over packet fields of the Jensen-Shannon divergence"),
    *(Metric(f"fidelity.jsd.{name}", "bit", "down", 0, 1, f"Jensen-Shannon divergence of the packets' {name}")
      for name in FIELDS),
    Metric("fidelity.tvd", "", "down", 0, 1, "mean over nPrint columns of the total variation"),
    Metric("fidelity.hellinger", "", "down", 0, 1, "mean over nPrint columns of the Hellinger distance"),
    Metric("fidelity.size_wasserstein", "byte", "down", 0, math.inf, "Wasserstein distance of packet sizes"),
    Metric("fidelity.flow_bytes_wasserstein", "byte", "down", 0, math.inf, "Wasserstein distance of "
           "flow sizes"),
    Metric("fidelity.trace_packets_wasserstein", "packet", "down", 0, math.inf, "Wasserstein distance of "
           "packets a trace"),
    Metric("fidelity.duration_wasserstein", "s", "down", 0, math.inf, "Wasserstein distance of "
           "trace durations"),
    Metric("fidelity.density", "", "none", 0, math.inf, "real neighbourhoods that a synthetic window falls "
           "in, over k; about 1 for real data, more where synthetic windows crowd"),
    Metric("fidelity.coverage", "", "up", 0, 1, "share of real windows with a synthetic one "
           "among their nearest"),
)  # fmt: skip


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Compare the synthetic traces with the held-out real ones (the test split)."""
    real, synthetic = readable(evidence.test), readable(evidence.synthetic)
    if not real or not synthetic:
        return absent(METRICS, f"no packets in the {'synthetic' if real else 'test'} traces")
    real_pairs = [(trace, series_of(trace)) for trace in real]
    synthetic_pairs = [(trace, series_of(trace)) for trace in synthetic]
    scores = {
        **_fields(real_pairs, synthetic_pairs, evidence.seed),
        **_bits(real, synthetic, evidence.seed),
        **_sizes(real_pairs, synthetic_pairs, evidence.seed),
        **_windows(real_pairs, synthetic_pairs, evidence.seed),
    }
    return complete(METRICS, scores, "no packet has the field")


def _distance_score(
    statistic: Callable[[FloatArray, FloatArray], float], real: int, synthetic: int, seed: int, high: float
) -> Score:
    """Score a distance between groups of traces, with its recentred bootstrap interval."""
    value = statistic(np.ones(real), np.ones(synthetic))
    if real < 2 or synthetic < 2:
        return Score(value)
    replicates = bootstrap(statistic, (real, synthetic), seed=seed)
    return Score(value, interval=recentred_interval(value, replicates, 0.0, high))


def _fields(
    real: Sequence[tuple[Trace, Series]], synthetic: Sequence[tuple[Trace, Series]], seed: int
) -> dict[str, Score]:
    counted = {name: count_field(name, real, synthetic) for name in FIELDS}
    present: dict[str, Counts] = {name: counts for name, counts in counted.items() if counts is not None}

    def mean(a: FloatArray, b: FloatArray) -> float:
        return float(np.mean([counts.compare(jensen_shannon, a, b) for counts in present.values()]))

    everyone = np.ones(len(real)), np.ones(len(synthetic))
    return {
        "fidelity.jsd": _distance_score(mean, len(real), len(synthetic), seed, 1.0),
        **{
            f"fidelity.jsd.{name}": Score(counts.compare(jensen_shannon, *everyone)) for name, counts in present.items()
        },
    }


def _bits(real: Sequence[Trace], synthetic: Sequence[Trace], seed: int) -> dict[str, Score]:
    metrics = [metric for metric in METRICS if metric.name in ("fidelity.tvd", "fidelity.hellinger")]
    counts = count_bits(real, synthetic)
    if counts is None:
        return absent(metrics, "a side has no packet that nPrint shows (IP with TCP, UDP or ICMP)")
    found = counts

    def by(distance: Callable[[Any, Any], FloatArray]) -> Score:
        return _distance_score(lambda a, b: found.compare(distance, a, b), len(real), len(synthetic), seed, 1.0)

    return {"fidelity.tvd": by(total_variation), "fidelity.hellinger": by(hellinger)}


def _sizes(
    real: Sequence[tuple[Trace, Series]], synthetic: Sequence[tuple[Trace, Series]], seed: int
) -> dict[str, Score]:
    quantities: dict[str, Callable[[Trace, Series], FloatArray]] = {
        "fidelity.size_wasserstein": lambda trace, series: series.size,
        "fidelity.flow_bytes_wasserstein": lambda trace, series: _flow_bytes(trace),
        "fidelity.trace_packets_wasserstein": lambda trace, series: np.array([float(len(series))]),
        "fidelity.duration_wasserstein": lambda trace, series: series.ts[-1:],
    }
    return {
        name: wasserstein_score([values(*member) for member in real], [values(*member) for member in synthetic], seed)
        for name, values in quantities.items()
    }


def wasserstein_score(real: Sequence[FloatArray], synthetic: Sequence[FloatArray], seed: int) -> Score:
    """Score the Wasserstein distance of values given by trace; each value counts the same in any trace."""
    if not sum(map(len, real)) or not sum(map(len, synthetic)):
        return Score(None, "a side has no such values")
    grid = shared_grid([*real, *synthetic])
    real_table, synthetic_table = cumulative_areas(real, grid), cumulative_areas(synthetic, grid)
    return _distance_score(
        lambda a, b: area_distance(a @ real_table, b @ synthetic_table),
        len(real),
        len(synthetic),
        seed,
        math.inf,
    )


def _flow_bytes(trace: Trace) -> FloatArray:
    flows = trace.flows
    member = flows.index >= 0
    total = np.bincount(flows.index[member], trace.packets.length[member], minlength=flows.count)
    return total.astype(np.float64)


def _windows(
    real: Sequence[tuple[Trace, Series]], synthetic: Sequence[tuple[Trace, Series]], seed: int
) -> dict[str, Score]:
    metrics = [
        metric for metric in METRICS if metric.name in ("fidelity.c2st", "fidelity.density", "fidelity.coverage")
    ]
    sides = [
        [(trace, table) for trace, series in side if len(table := window_features(series))]
        for side in (real, synthetic)
    ]
    fewest = min(len(side) for side in sides)
    if fewest < LEAST_TRACES:
        reason = f"needs {LEAST_TRACES} traces a side with two packets in a second, has {fewest}"
        return absent(metrics, reason)
    tables = [[table for _, table in side] for side in sides]
    kinds = [[trace.condition.application for trace, _ in side] for side in sides]
    areas = held_out_areas(tables[0], tables[1], kinds[0], kinds[1], seed)
    scores = {"fidelity.c2st": _area_score(areas.value, [trace.name for trace, _ in sides[0]], len(tables[1]), seed)}
    others = sum(len(table) for table in tables[0]) - max(len(table) for table in tables[0])
    if others < NEIGHBOURS:
        return {**scores, **absent(metrics[1:], f"needs {NEIGHBOURS} windows in other traces, has {others}")}
    near = neighbourhood(*tables)
    sizes = len(tables[0]), len(tables[1])
    scores["fidelity.density"] = _distance_score(near.density, *sizes, seed, math.inf)
    covered = near.coverage(np.ones(sizes[0]))
    replicates = bootstrap(near.coverage, sizes[:1], seed=seed)
    scores["fidelity.coverage"] = Score(covered, interval=recentred_interval(covered, replicates, 0.0, 1.0))
    return scores


def _area_score(area: Callable[[Any, Any], float], names: Sequence[str], synthetic: int, seed: int) -> Score:
    """Score an area under the curve, at least 0.5: below, the classifier found nothing that holds."""
    everyone = np.ones(synthetic)
    value = max(0.5, area(np.ones(len(names)), everyone))
    interval = percentile_interval(bootstrap(area, (len(names), synthetic), seed=seed))
    by_trace = pseudo_values(lambda weights: area(weights, everyone), len(names))
    return Score(
        value,
        interval=None if interval is None else (max(0.5, interval[0]), max(0.5, interval[1])),
        per_trace=dict(zip(names, by_trace.tolist(), strict=True)),
    )


FAMILY = Family("fidelity", 1, METRICS, score)
