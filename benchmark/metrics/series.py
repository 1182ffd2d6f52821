"""A trace as the metrics see it: when, how large and which way; and features of its one-second windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.metric import Metric, Score
from benchmark.trace import NANOSECONDS, Trace

FloatArray = NDArray[np.float64]

# Below the corpus's own resolution of 1 us gaps can't be told apart.
LEAST_GAP = 1e-6
# A capture of one packet lasts no time at all; rates need some.
SHORTEST = 0.01
# Packets this far apart belong to different bursts.
BURST_GAP = 0.030
WINDOW_FEATURES = (
    "packets_up", "packets_down", "bytes_up", "bytes_down", "turns", "bursts", "largest_burst",
    "busy_share", "idle_before", "bytes_before",
    "size_up_mean", "size_up_spread", "size_down_mean", "size_down_spread", "size_down_low", "size_down_high",
    "gap_mean", "gap_spread", "gap_low", "gap_middle", "gap_high", "gap_up_mean", "gap_down_mean",
    "gap_correlation", "size_correlation", "gap_size_correlation",
    "bytes_10ms_spread", "bytes_10ms_most", "bytes_10ms_correlation",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Series:
    """The packets of one trace.

    name: the trace's. duration, window: seconds, as its condition says. ts: float64 [n], seconds since the
    first packet, made non-decreasing. size: float64 [n], IP bytes. up: bool [n]. gap: float64 [n], seconds
    since the packet before; the first is 0.
    """

    name: str
    duration: float
    window: float
    ts: FloatArray
    size: FloatArray
    up: NDArray[np.bool_]
    gap: FloatArray

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def log_gap(self) -> FloatArray:
        """Log10 of 1 us plus the gap in seconds, without the first packet's, float64 [n - 1]."""
        return np.asarray(np.log10(LEAST_GAP + self.gap[1:]))


def series_of(trace: Trace) -> Series:
    """Return the series of a trace; packets out of order count as simultaneous, never as negative gaps."""
    packets, condition = trace.packets, trace.condition
    ts = packets.ts - packets.ts[0] if len(packets) else packets.ts
    ts = np.maximum.accumulate(ts) if len(ts) else ts
    gap = np.diff(ts, prepend=ts[:1]) / NANOSECONDS
    return Series(
        trace.name,
        max(float(condition.duration), SHORTEST),
        max(float(condition.window), SHORTEST),
        ts / NANOSECONDS,
        packets.length.astype(np.float64),
        trace.flows.up,
        gap,
    )


def readable(traces: Iterable[Trace]) -> list[Trace]:
    """Return the traces that have packets at all."""
    return [trace for trace in traces if len(trace.packets)]


def absent(metrics: Iterable[Metric], reason: str) -> dict[str, Score]:
    """Return a null score with one reason for each metric."""
    return {metric.name: Score(None, reason) for metric in metrics}


def complete(metrics: Iterable[Metric], scores: Mapping[str, Score], reason: str) -> dict[str, Score]:
    """Return scores for all metrics, in their order; those that are missing are null with the reason."""
    return {metric.name: scores.get(metric.name, Score(None, reason)) for metric in metrics}


def throughput(series: Series, width: float, most: int = 100_000) -> FloatArray:
    """Return Mbit/s in each ``width`` seconds of the condition's duration, float64 [bins]; silence counts.

    At most ``most`` bins, so that an hour's trace costs no more than a short one.
    """
    bins = max(1, min(most, round(series.duration / width)))
    # A timestamp on a bin's edge must not fall below it by a rounding error.
    index = np.floor(series.ts / width + 1e-9).astype(np.int64)
    inside = index < bins
    total = np.bincount(index[inside], series.size[inside], minlength=bins)
    return np.asarray(total * 8e-6 / width)


def burst_bytes(series: Series) -> FloatArray:
    """Return the bytes, both ways, of each burst (packets less than BURST_GAP apart), float64 [bursts]."""
    if len(series) == 0:
        return np.zeros(0)
    starts = np.flatnonzero(series.gap >= BURST_GAP)
    starts = np.concatenate([[0], starts[starts > 0]])
    return np.asarray(np.add.reduceat(series.size, starts), np.float64)


def window_features(series: Series) -> FloatArray:
    """Return features of the full seconds that hold two packets or more, float64 [rows, features].

    Sizes, directions, gaps and throughput only: no address, port or counter, and nothing of the trace's
    length (a last, partial second is left out, unless it's the only one). Logarithms are to base 10,
    spreads are standard deviations.
    """
    if len(series) < 2:
        return np.zeros((0, len(WINDOW_FEATURES)))
    seconds = np.floor(series.ts + 1e-9).astype(np.int64)
    last = max(1, int(np.floor(series.ts[-1] + 1e-9)))
    starts = np.flatnonzero(np.diff(seconds, prepend=-1))
    starts = starts[seconds[starts] < last]
    ends = np.append(starts[1:], np.searchsorted(seconds, last))
    table = np.zeros((len(starts), len(WINDOW_FEATURES)))
    log_gap = np.log10(LEAST_GAP + series.gap)
    _describe(series.ts, series.size, series.up, series.gap, log_gap, seconds, starts, ends, table)
    return table[ends - starts >= 2]


def stack(tables: Sequence[FloatArray]) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the tables' rows in one table, and the number of the table that each row came from."""
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    return np.concatenate([*tables, np.zeros((0, len(WINDOW_FEATURES)))]), owner


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _correlation(first: Any, second: Any) -> float:
    """Pearson's correlation; 0 where a side is constant."""
    if len(first) < 3:
        return 0.0
    a, b = first - first.mean(), second - second.mean()
    power = (a * a).sum() * (b * b).sum()
    if power <= 1e-18:
        return 0.0
    return float((a * b).sum() / np.sqrt(power))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _describe(
    ts: Any, size: Any, up: Any, gap: Any, log_gap: Any, seconds: Any, starts: Any, ends: Any, table: Any
) -> None:
    bytes_before = 0.0
    for row in range(len(starts)):
        i, j = starts[row], ends[row]
        sizes, ways, gaps = size[i:j], up[i:j], log_gap[i:j]
        # The first packet's gap reaches back into the window before: it is ``idle_before``, not one of this
        # window's.
        inner, inner_ways = gaps[1:], ways[1:]
        if j - i < 2:
            bytes_before = sizes.sum()
            continue
        rising, falling = sizes[ways], sizes[~ways]
        ten = np.zeros(100)
        bursts, burst, largest = 1, 0.0, 0.0
        for k in range(i, j):
            place = min(99, max(0, int((ts[k] - seconds[i]) * 100)))
            ten[place] += size[k]
            if k > i and gap[k] >= BURST_GAP:
                bursts += 1
                burst = 0.0
            burst += size[k]
            largest = max(largest, burst)
        turns = 0
        for k in range(i + 1, j):
            turns += up[k] != up[k - 1]
        f = table[row]
        f[0], f[1] = np.log10(1.0 + len(rising)), np.log10(1.0 + len(falling))
        f[2], f[3] = np.log10(1.0 + rising.sum()), np.log10(1.0 + falling.sum())
        f[4] = turns / (j - i - 1)
        f[5], f[6] = bursts, np.log10(largest)
        f[7] = (ten > 0).sum() / 100
        f[8] = gaps[0]
        consecutive = row > 0 and seconds[starts[row - 1]] == seconds[i] - 1
        f[9] = np.log10(1.0 + bytes_before) if consecutive else 0.0
        if len(rising):
            f[10], f[11] = rising.mean(), rising.std()
        if len(falling):
            f[12], f[13] = falling.mean(), falling.std()
            falling.sort()
            f[14], f[15] = falling[len(falling) // 10], falling[len(falling) * 9 // 10]
        f[16], f[17] = inner.mean(), inner.std()
        ordered = np.sort(inner)
        f[18] = ordered[len(ordered) // 10]
        f[19], f[20] = ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10]
        rising_gaps, falling_gaps = inner[inner_ways], inner[~inner_ways]
        f[21] = rising_gaps.mean() if len(rising_gaps) else 0.0
        f[22] = falling_gaps.mean() if len(falling_gaps) else 0.0
        f[23] = _correlation(inner[1:], inner[:-1])
        f[24] = _correlation(sizes[1:], sizes[:-1])
        f[25] = _correlation(inner, sizes[1:])
        f[26] = np.log10(1.0 + ten.std())
        f[27] = np.log10(1.0 + ten.max())
        f[28] = _correlation(ten[1:], ten[:-1])
        bytes_before = sizes.sum()
