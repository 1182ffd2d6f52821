"""The parts of the timing distance: what of a trace's course in time each compares, summed up trace by trace.

A part keeps one summary a trace, so that any weighting of traces (all of them, a bootstrap sample, all but
one) is compared at the cost of a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.series import Series, burst_bytes, throughput
from benchmark.statistics.distances import area_distance, cumulative_areas, jensen_shannon, normalise, shared_grid
from benchmark.statistics.resampling import autocorrelation

FloatArray = NDArray[np.float64]
Side = Sequence[Series]

PACKET_LAGS, SECOND_LAGS = 100, 10
MOST_WINDOWS = 60
# Classes of the conditional gap: sizes that part acknowledgements, requests and full packets; gaps by half
# decades (given) and quarter decades (compared), from 1 us to 10 s and beyond.
SIZE_EDGES = np.array([100.0, 600.0, 1200.0])
GIVEN_EDGES = np.arange(-5.5, 0.6, 0.5)
GAP_EDGES = np.arange(-6.0, 1.01, 0.25)
GIVEN = 2 * (len(SIZE_EDGES) + 1) * (len(GIVEN_EDGES) + 1)
GAPS = len(GAP_EDGES) + 1


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the distance.

    train, test, synthetic: summaries, one row a trace. compare: distance of two groups of traces, from
    (summaries, weights) of each. least: what a real-against-real value is taken for if it is smaller, in
    the part's own unit; far below what real traffic shows, it only keeps a quotient finite where train and
    test are all but the same.
    """

    train: FloatArray
    test: FloatArray
    synthetic: FloatArray
    compare: Callable[[FloatArray, FloatArray, FloatArray, FloatArray], float]
    least: float

    def floor(self) -> float:
        """Distance of the training traces from the test traces, at least ``least``."""
        ones = np.ones(len(self.train)), np.ones(len(self.test))
        return max(self.least, self.compare(self.test, ones[1], self.train, ones[0]))

    def distance(self, test: FloatArray, synthetic: FloatArray) -> float:
        """Distance of the synthetic traces from the test traces, by weights of the traces."""
        return self.compare(self.test, test, self.synthetic, synthetic)


def parts_of(train: Side, test: Side, synthetic: Side) -> Mapping[str, Part]:
    """Return the parts by name; every side has at least one trace with packets."""
    sides = train, test, synthetic
    rate = float(np.mean([series.size.sum() * 8e-6 / series.duration for series in test]))
    windows = min(MOST_WINDOWS, max(_windows_of(series) for series in test))
    return {
        "gap_autocorrelation": _profile(sides, lambda s: autocorrelation(s.log_gap, PACKET_LAGS), 0.002),
        "size_autocorrelation": _profile(sides, lambda s: autocorrelation(s.size, PACKET_LAGS), 0.002),
        "bytes_autocorrelation": _profile(sides, lambda s: autocorrelation(throughput(s, 1.0), SECOND_LAGS), 0.002),
        "window_bytes": _profile(sides, lambda s: _window_bytes(s, windows), 0.01 * rate),
        "throughput_10ms": _distribution(sides, lambda s: _relative_throughput(s, 0.01), True, 0.01),
        "throughput_100ms": _distribution(sides, lambda s: _relative_throughput(s, 0.1), True, 0.01),
        "throughput_1s": _distribution(sides, lambda s: _relative_throughput(s, 1.0), True, 0.01),
        "burst_bytes": _distribution(sides, lambda s: np.log10(1 + burst_bytes(s)), False, 0.005),
        "conditional_gap": _conditional(sides),
    }


def _windows_of(series: Series) -> int:
    return max(1, round(series.duration / series.window))


def _window_bytes(series: Series, windows: int) -> FloatArray:
    """Return the mean Mbit/s in each window of the trace, 0 after its end, float64 [windows]."""
    index = np.floor(series.ts / series.window + 1e-9).astype(np.int64)
    inside = index < windows
    total = np.bincount(index[inside], series.size[inside], minlength=windows)
    return np.asarray(total * 8e-6 / series.window)


def _relative_throughput(series: Series, width: float) -> FloatArray:
    """Return throughput in bins of ``width`` seconds over the trace's own mean, float64 [bins].

    The level is ``window_bytes``'s to judge. Left in, the links' rates, which differ from trace to trace
    far more than anything within one, would drown the shape: shuffled packets then score like real ones.
    """
    rate = throughput(series, width)
    return rate / max(float(rate.mean()), 1e-9)


def _profile(sides: Sequence[Side], summary: Callable[[Series], FloatArray], least: float) -> Part:
    """Compare the mean curves of two groups: the mean absolute difference over their points."""

    def compare(first: FloatArray, a: FloatArray, second: FloatArray, b: FloatArray) -> float:
        return float(np.abs(a @ first / a.sum() - b @ second / b.sum()).mean())

    train, test, synthetic = (np.array([summary(series) for series in side]) for side in sides)
    return Part(train, test, synthetic, compare, least)


def _distribution(
    sides: Sequence[Side], values: Callable[[Series], FloatArray], each_trace_alike: bool, least: float
) -> Part:
    """Compare distributions by Wasserstein distance; values count alike, or traces do whatever they hold."""
    groups = [[values(series) for series in side] for side in sides]
    grid = shared_grid([group for side in groups for group in side])
    tables = [cumulative_areas(side, grid) for side in groups]
    if each_trace_alike:
        tables = [table / np.maximum(table[:, -1:], 1) for table in tables]

    def compare(first: FloatArray, a: FloatArray, second: FloatArray, b: FloatArray) -> float:
        return area_distance(a @ first, b @ second)

    return Part(tables[0], tables[1], tables[2], compare, least)


def _conditional(sides: Sequence[Side]) -> Part:
    """Compare the gap given direction, size and previous gap: divergence in bits.

    Classes (direction, size, previous gap) weigh what they weigh in real traffic.
    A class that the synthetic side never shows is as far as can be: leaving it out would reward silence.
    """

    def compare(first: FloatArray, a: FloatArray, second: FloatArray, b: FloatArray) -> float:
        real, other = (a @ first).reshape(GIVEN, GAPS), (b @ second).reshape(GIVEN, GAPS)
        weight = normalise(real.sum(axis=1))
        return float(weight @ jensen_shannon(real, other))

    train, test, synthetic = (np.array([_classes(series) for series in side]) for side in sides)
    return Part(train, test, synthetic, compare, 0.002)


def _classes(series: Series) -> FloatArray:
    """Count packets by direction, size and previous gap, and by gap, float64 [GIVEN * GAPS]."""
    log_gap = series.log_gap
    if len(log_gap) < 2:
        return np.zeros(GIVEN * GAPS)
    sizes = np.searchsorted(SIZE_EDGES, series.size[2:], "right")
    previous = np.searchsorted(GIVEN_EDGES, log_gap[:-1], "right")
    given = (series.up[2:] * (len(SIZE_EDGES) + 1) + sizes) * (len(GIVEN_EDGES) + 1) + previous
    cell = given * GAPS + np.searchsorted(GAP_EDGES, log_gap[1:], "right")
    return np.bincount(cell, minlength=GIVEN * GAPS).astype(np.float64)


def direction_gaps(series: Series, up: bool) -> NDArray[Any]:
    """Return log10 of the gaps ahead of the packets of one direction, float64 [packets]."""
    return np.asarray(series.log_gap[series.up[1:] == up])
