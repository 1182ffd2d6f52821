"""Statistics under the scores and the leaderboard: pure functions, each with its source and its limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Interval = tuple[float, float]


def autocorrelation(values: NDArray[Any], lags: int) -> FloatArray:
    """Return the sample autocorrelation at lags 1 to ``lags``, float64 [lags].

    The usual biased estimator (Box & Jenkins 1976, §2.1.5): sums over n - k products, divided by the whole
    sum of squares. Lags that the series is too short for, and all lags of a constant, are 0: nothing is
    known to be correlated.
    """
    series = np.asarray(values, np.float64)
    result = np.zeros(lags)
    if len(series) < 2:
        return result
    centred = series - series.mean()
    power = float(centred @ centred)
    if power <= len(series) * (1e-12 * max(1.0, float(np.abs(series).max()))) ** 2:
        return result
    size = 1 << int(2 * len(series) - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    products = np.fft.irfft(spectrum * np.conj(spectrum), size)
    known = min(lags, len(series) - 1)
    result[:known] = products[1 : known + 1] / power
    return result


def area_under_curve(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """Probability that a positive scores above a negative, ties counting half (Mann & Whitney 1947).

    Raises ValueError where a side is empty.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError("an area under the curve needs both positives and negatives")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    upto = np.searchsorted(ordered, positive, "right")
    return float((below + upto).sum() / (2 * len(positive) * len(negative)))


def draw_weights(members: int, draws: int, seed: int) -> NDArray[np.int64]:
    """Return how often each member is drawn in each bootstrap sample, int64 [draws, members]."""
    if members == 0:
        return np.zeros((draws, 0), np.int64)
    return np.random.default_rng(seed).multinomial(members, np.full(members, 1 / members), size=draws)


def bootstrap(statistic: Callable[..., float], members: Sequence[int], draws: int = 200, seed: int = 0) -> FloatArray:
    """Return ``draws`` bootstrap values of a statistic, float64 [draws], resampling whole clusters.

    Source: Davison & Hinkley, "Bootstrap Methods and their Application", 1997, §3.8.
    statistic takes one array of weights [m] for each group in ``members`` (how often each cluster was
    drawn) and returns a value; groups are resampled independently. Packets and windows of a trace depend on
    each other, so a trace is a cluster and is drawn whole. Limits: below about ten clusters intervals come
    out too narrow, and whatever was fitted before (a classifier, a floor) is taken as given.
    """
    weights = [draw_weights(count, draws, seed + 7919 * group) for group, count in enumerate(members)]
    return np.array([statistic(*(table[draw] for table in weights)) for draw in range(draws)], np.float64)


def percentile_interval(replicates: FloatArray, level: float = 0.95) -> Interval | None:
    """Return the central interval of bootstrap values (Efron 1979), or None where none is finite."""
    finite = replicates[np.isfinite(replicates)]
    if len(finite) == 0:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def recentred_interval(
    value: float, replicates: FloatArray, low: float = -np.inf, high: float = np.inf, level: float = 0.95
) -> Interval | None:
    """Return the bootstrap interval moved so that its mean is the estimate, clipped to [low, high].

    For distances: resampling adds noise to both sides, and noise only ever adds to a distance, so that the
    plain percentile interval of a small distance lies above the distance itself.
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) == 0 or not np.isfinite(value):
        return None
    below, above = np.quantile(finite - finite.mean(), [(1 - level) / 2, (1 + level) / 2])
    return float(max(low, min(value, value + below))), float(min(high, max(value, value + above)))


def pseudo_values(statistic: Callable[[FloatArray], float], members: int) -> FloatArray:
    """Return each member's jackknife pseudo-value, float64 [members], their mean moved to the estimate.

    statistic takes weights [members]. Pseudo-values (Tukey 1958) let a statistic that isn't a mean over
    traces be compared trace by trace between methods; a smooth statistic is assumed.
    """
    everyone = np.ones(members)
    if members < 2:
        return np.full(members, statistic(everyone))
    without = np.array([statistic(everyone - (np.arange(members) == member)) for member in range(members)])
    return np.asarray(statistic(everyone) + (members - 1) * (without.mean() - without), np.float64)


@dataclass(frozen=True)
class Difference:
    """A paired difference: its value, its 95 % interval, and the two-sided p-value against no difference."""

    value: float
    interval: Interval
    p_value: float


def paired_difference(first: NDArray[Any], second: NDArray[Any], draws: int = 2000, seed: int = 0) -> Difference:
    """Compare two methods scored on the same test traces: mean of ``first - second``.

    first, second: [seeds, traces], or [traces]; NaN where a seed lacks a trace. Seeds and traces are both
    resampled, crossed (Owen, "The pigeonhole bootstrap", Ann. Appl. Stat. 1(2), 2007), each trace staying
    paired and whole. That is conservative: where seeds hardly matter it errs towards wide. One seed leaves
    only the traces to vary, which says nothing about other seeds. The p-value inverts the percentile
    interval; its least value is 2 / (draws + 1). Raises ValueError where shapes differ or no pair is
    finite.
    """
    gaps = np.atleast_2d(np.asarray(first, np.float64) - np.asarray(second, np.float64))
    if np.shape(first) != np.shape(second):
        raise ValueError(f"paired scores differ in shape: {np.shape(first)} and {np.shape(second)}")
    present = np.isfinite(gaps)
    if not present.any():
        raise ValueError("no pair of scores is finite")
    filled = np.where(present, gaps, 0.0)
    seeds, traces = gaps.shape
    by_seed = draw_weights(seeds, draws, seed).astype(np.float64)
    by_trace = draw_weights(traces, draws, seed + 1).astype(np.float64)
    total = np.einsum("ds,st,dt->d", by_seed, filled, by_trace)
    weight = np.einsum("ds,st,dt->d", by_seed, present.astype(np.float64), by_trace)
    replicates = total[weight > 0] / weight[weight > 0]
    interval = percentile_interval(replicates)
    assert interval is not None
    tail = min(int((replicates <= 0).sum()), int((replicates >= 0).sum()))
    p_value = min(1.0, 2 * (tail + 1) / (len(replicates) + 1))
    return Difference(float(gaps[present].mean()), interval, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scand. J. Stat. 6(2), 1979), in the order given.

    Controls the family-wise error rate under any dependence.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = worst
    return adjusted
