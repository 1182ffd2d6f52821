"""Distances between distributions: pure functions over counts, samples and cumulative tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def normalise(counts: NDArray[Any]) -> FloatArray:
    """Return shares along the last axis; rows that are all zero stay zero."""
    values = np.asarray(counts, np.float64)
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(values, total, out=np.zeros_like(values), where=total > 0))


def jensen_shannon(first: NDArray[Any], second: NDArray[Any]) -> FloatArray:
    """Jensen-Shannon divergence in bits along the last axis, 0 to 1.

    Source: Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37(1), 1991.
    The divergence, not its square root (which is what ``scipy.spatial.distance.jensenshannon`` returns).
    first, second: counts or shares [..., bins] over the same bins. Two empty sides are 0 apart, one empty
    side 1.
    """
    p, q = normalise(first), normalise(second)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=-1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=-1)
    return _with_empty_sides(np.clip((left + right) / 2, 0.0, 1.0), p, q)


def total_variation(first: NDArray[Any], second: NDArray[Any]) -> FloatArray:
    """Total variation along the last axis, 0 to 1: half the sum of absolute differences of shares."""
    p, q = normalise(first), normalise(second)
    return _with_empty_sides(np.abs(p - q).sum(axis=-1) / 2, p, q)


def hellinger(first: NDArray[Any], second: NDArray[Any]) -> FloatArray:
    """Hellinger distance along the last axis, 0 to 1 (the root of 1 minus the Bhattacharyya coefficient)."""
    p, q = normalise(first), normalise(second)
    # The sum of squares form keeps identical shares at exactly zero, which 1 - sum(sqrt(pq)) doesn't.
    distance = np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2)
    return _with_empty_sides(np.minimum(distance, 1.0), p, q)


def _with_empty_sides(distance: NDArray[Any], p: FloatArray, q: FloatArray) -> FloatArray:
    """One side without any mass is as far as can be; two such sides don't differ."""
    return np.asarray(np.where(p.any(axis=-1) != q.any(axis=-1), 1.0, distance), np.float64)


def bin_edges(real: NDArray[Any], bins: int) -> FloatArray:
    """Return ``bins + 1`` equal-width edges over the real values' range.

    Real values decide alone; ``histogram`` adds a bin below and one above, so that nothing out of range is
    lost. A constant gets one narrow bin. Raises ValueError where there are no real values.
    """
    if len(real) == 0:
        raise ValueError("bin edges need at least one real value")
    low, high = float(np.min(real)), float(np.max(real))
    if low == high:
        width = max(1e-9, abs(low) * 1e-9)
        return np.array([low - width, high + width])
    return np.linspace(low, high, bins + 1)


def histogram(values: NDArray[Any], edges: FloatArray) -> NDArray[np.int64]:
    """Count values per bin, int64 [edges + 1]: below the first edge, the bins, above the last edge.

    Bins are half open, but the last one holds its upper edge.
    """
    index = np.searchsorted(edges, values, side="right")
    index[np.asarray(values) == edges[-1]] = len(edges) - 1
    return np.bincount(index, minlength=len(edges) + 1).astype(np.int64)


def wasserstein(first: NDArray[Any], second: NDArray[Any]) -> float:
    """First Wasserstein distance of two samples in their own unit: the area between their cumulative curves.

    Raises ValueError on an empty sample: there is no distance to nothing.
    """
    if len(first) == 0 or len(second) == 0:
        raise ValueError("a Wasserstein distance needs at least one value on each side")
    a, b = np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64))
    points = np.sort(np.concatenate([a, b]))
    gap = np.searchsorted(a, points, "right") / len(a) - np.searchsorted(b, points, "right") / len(b)
    return float((np.abs(gap[:-1]) * np.diff(points)).sum())


def shared_grid(groups: Sequence[NDArray[Any]], points: int = 2048) -> FloatArray:
    """Return at most ``points`` sorted values that cut the groups' common range into cells.

    They are the pooled values themselves where few are distinct, else evenly many of them lie in each cell;
    the least and the greatest are among them, so that no mass lies outside.
    """
    pooled = np.unique(np.concatenate([np.asarray(group, np.float64) for group in groups]))
    if len(pooled) <= points:
        return pooled
    return np.asarray(pooled[np.linspace(0, len(pooled) - 1, points).round().astype(np.int64)])


def cumulative_areas(groups: Sequence[NDArray[Any]], grid: FloatArray) -> FloatArray:
    """Return the area under each group's cumulative count by cell, then its count, float64 [groups, grid].

    Sums of rows describe pooled groups, so that any weighting of groups can be compared at the cost of a sum.
    """
    table = np.zeros((len(groups), max(1, len(grid))))
    for row, group in zip(table, groups, strict=True):
        values = np.sort(np.asarray(group, np.float64))
        row[-1] = len(values)
        if len(values) and len(grid) > 1:
            below = np.searchsorted(values, grid, "right")
            # Up to x, the area under the cumulative count is the sum of x - v over the values v below x.
            sums = np.concatenate([[0.0], np.cumsum(values - grid[0])])
            row[:-1] = np.diff(below * (grid - grid[0]) - sums[below])
    return table


def area_distance(first: FloatArray, second: FloatArray) -> float:
    """Return the Wasserstein distance of two (sums of) rows of ``cumulative_areas``; NaN where one is empty.

    Exact but for cells within which the cumulative curves cross, where it falls short by at most their area
    there.
    """
    if first[-1] == 0 or second[-1] == 0:
        return float("nan")
    return float(np.abs(first[:-1] / first[-1] - second[:-1] / second[-1]).sum())
