"""Memorisation: whether synthetic traces repeat training traces more than unseen real traces do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.copies import RUN, Runs, copied, identifiers_of, is_member, longest_copy, symbols_of
from benchmark.metrics.series import Series, absent, complete, readable, series_of, window_features
from benchmark.metrics.two_sample import scale_of, squared_distances
from benchmark.statistics.resampling import bootstrap, percentile_interval
from benchmark.trace import Trace

FloatArray = NDArray[np.float64]

_RUNS = f"share of runs of {RUN} packets (direction, size, gap to a quarter decade) that training has too"
# One trace copied whole among many that aren't hardly moves a mean; its length gives it away.
FAR = 8
METRICS = (
    Metric("memorisation.copied_share", "", "down", 0, 1, f"{_RUNS}, "
           "beyond held-out real traces' share"),
    Metric("memorisation.copied_share.synthetic", "", "none", 0, 1, f"{_RUNS}, "
           "in synthetic traces"),
    Metric("memorisation.copied_share.held_out", "", "none", 0, 1, f"{_RUNS}, "
           "in held-out real traces"),
    Metric("memorisation.flagged", "", "down", 0, 1, "1 where more is copied than held-out real traces "
           "explain: the 95 % intervals of both shares lie apart, or a run is copied that is "
           f"over {FAR} times as long as any of theirs"),
    Metric("memorisation.longest_copy", "packet", "down", 0, math.inf, "longest run that training has too"),
    Metric("memorisation.longest_copy.held_out", "packet", "none", 0, math.inf, "longest run of "
           "held-out real traces that training has too"),
    Metric("memorisation.nearest_distance", "", "up", 0, math.inf, "distance of one-second windows to the "
           "nearest in training, over held-out real traces' distance; 0 is a copy, about 1 is real"),
    Metric("memorisation.identifiers", "", "down", 0, 1, "share of synthetic traces with a flow's "
           "endpoints, or sequence or timestamp numbers, that are a training trace's alone"),
)  # fmt: skip


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Compare how much of training the synthetic traces repeat with how much unseen real traces do.

    Validation traces count as unseen beside the test traces: what real traffic repeats differs so much from
    trace to trace that a few more witnesses are worth having, and no method was fitted to them.
    """
    held_out = [*evidence.test, *evidence.validation]
    sides = {"train": evidence.train, "held-out": held_out, "synthetic": evidence.synthetic}
    traces = {name: readable(side) for name, side in sides.items()}
    for name, side in traces.items():
        if not side:
            return absent(METRICS, f"no packets in the {name} traces")
    series = {name: [series_of(trace) for trace in side] for name, side in traces.items()}
    scores = {
        **_copies(series["train"], series["held-out"], series["synthetic"], evidence.seed),
        **_nearest(series["train"], series["held-out"], series["synthetic"], evidence.seed),
        **_identifiers(traces["train"], traces["held-out"], traces["synthetic"]),
    }
    return complete(METRICS, scores, f"no trace of a side has {RUN} packets")


def _copies(
    train: Sequence[Series], unseen: Sequence[Series], synthetic: Sequence[Series], seed: int
) -> dict[str, Score]:
    training, held_out, made = (Runs([symbols_of(one) for one in side]) for side in (train, unseen, synthetic))
    longest, longest_expected = longest_copy(made, training), longest_copy(held_out, training)
    scores = {
        "memorisation.longest_copy": Score(float(longest)),
        "memorisation.longest_copy.held_out": Score(float(longest_expected)),
    }
    by_name = _shares(made, training, synthetic)
    expected_by_name = _shares(held_out, training, unseen)
    if not by_name or not expected_by_name:
        return scores
    shares, expected = np.array(list(by_name.values())), np.array(list(expected_by_name.values()))
    sizes = len(expected), len(shares)
    value = float(shares.mean() - expected.mean())
    excess = None
    if min(sizes) > 1:
        replicates = bootstrap(
            lambda a, b: float(b @ shares / b.sum() - a @ expected / a.sum()), sizes, draws=1000, seed=seed
        )
        excess = percentile_interval(np.maximum(0.0, replicates))
    scores["memorisation.copied_share"] = Score(max(0.0, value), interval=excess, per_trace=by_name)
    made_share = scores["memorisation.copied_share.synthetic"] = _mean_share(by_name, seed)
    real_share = scores["memorisation.copied_share.held_out"] = _mean_share(expected_by_name, seed)
    scores["memorisation.flagged"] = Score(None, "needs two held-out traces for an interval, has one")
    if real_share.interval is not None:
        least = made_share.interval[0] if made_share.interval else shares[0]
        far = longest > FAR * max(RUN, longest_expected)
        scores["memorisation.flagged"] = Score(float(far or least > real_share.interval[1]))
    return scores


def _mean_share(by_name: Mapping[str, float], seed: int) -> Score:
    """Score the mean over traces, with its bootstrap interval where there are two or more."""
    values = np.array(list(by_name.values()))
    interval = None
    if len(values) > 1:
        replicates = bootstrap(lambda w: float(w @ values / w.sum()), (len(values),), draws=1000, seed=seed)
        interval = percentile_interval(replicates)
    return Score(float(values.mean()), interval=interval, per_trace=by_name)


def _shares(runs: Runs, training: Runs, series: Sequence[Series]) -> dict[str, float]:
    """Return the share of copied runs by trace name; traces shorter than a run have none and are left out."""
    found = copied(runs, training, RUN)
    return {one.name: float(hits.mean()) for one, hits in zip(series, found, strict=True) if len(hits)}


def _nearest(
    train: Sequence[Series], unseen: Sequence[Series], synthetic: Sequence[Series], seed: int
) -> dict[str, Score]:
    metrics = [metric for metric in METRICS if metric.name == "memorisation.nearest_distance"]
    tables = [[table for one in side if len(table := window_features(one))] for side in (train, unseen, synthetic)]
    if not all(tables):
        return absent(metrics, "a side has no second with two packets")
    rows = np.concatenate(tables[0])
    centre, spread = scale_of(rows)
    rows = (rows - centre) / spread

    def distances(side: Sequence[FloatArray]) -> FloatArray:
        """Median over a trace's windows of the distance to the nearest training window, by trace."""
        nearest = [squared_distances((table - centre) / spread, rows).min(axis=1) for table in side]
        return np.array([np.median(np.sqrt(squares)) for squares in nearest])

    held_out, made = distances(tables[1]), distances(tables[2])

    def ratio(a: FloatArray, b: FloatArray) -> float:
        expected = a @ held_out / a.sum()
        return float(b @ made / b.sum() / expected) if expected > 0 else math.nan

    value = ratio(np.ones(len(held_out)), np.ones(len(made)))
    if not math.isfinite(value):
        return absent(metrics, "held-out windows are training windows: there is no distance to measure by")
    interval = percentile_interval(bootstrap(ratio, (len(held_out), len(made)), seed=seed))
    return {"memorisation.nearest_distance": Score(value, interval=interval if len(held_out) > 1 else None)}


def _identifiers(train: Sequence[Trace], held_out: Sequence[Trace], synthetic: Sequence[Trace]) -> dict[str, Score]:
    """Score leaked identifiers; those that unseen traces carry too (a fixed port, say) single out nobody."""
    known = np.sort(np.concatenate([identifiers_of(trace) for trace in train]))
    common = np.sort(np.concatenate([identifiers_of(trace) for trace in held_out]))
    private = known[~is_member(known, common)]
    leaks = {trace.name: float(is_member(identifiers_of(trace), private).any()) for trace in synthetic}
    return {"memorisation.identifiers": Score(float(np.mean(list(leaks.values()))), per_trace=leaks)}


FAMILY = Family("memorisation", 1, METRICS, score)
