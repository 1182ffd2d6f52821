"""Paired comparison of methods that were scored on the same seeds and test traces: pure functions of arrays.

Scores are [seeds, traces]. Seeds and traces are both drawn anew, crossed, each trace whole and paired: the pigeonhole
bootstrap (Owen, Ann. Appl. Stat. 1(2), 2007). Its variance has a closed form in the mean squares of a two-way layout,
so that all pairs of a table cost a few products of matrices, and nothing is drawn. P-values and intervals come from
Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 2(6), 1946), not from percentiles: three seeds
that happen to fall on one side of zero would be a finding in a quarter of all cases, and the least p-value of 2,000
draws doesn't outlast a correction for a hundred pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]
# What rounding leaves of nothing, as a share: of sums of squares that are subtracted, and of scores that are centred.
_SUBTRACTED, _CENTRED = 1e-13, 1e-28


@dataclass(frozen=True, eq=False)
class Spread:
    """How well means are known: their variance, and the degrees of freedom of that variance.

    Arrays of one shape; NaN where a single seed and a single trace leave nothing to vary.
    """

    variance: FloatArray
    freedom: FloatArray

    def half_widths(self, level: float = 0.95) -> FloatArray:
        """Half of the interval of a mean at ``level``; NaN where nothing varies."""
        return np.asarray(special.stdtrit(self.freedom, (1 + level) / 2) * np.sqrt(self.variance))

    def p_values(self, means: FloatArray) -> FloatArray:
        """Two-sided p-values of means against zero; 1 where nothing varies, or where there is no variance to judge by.

        A mean that isn't zero, with no variance over several seeds or traces, has p-value 0.
        """
        known = np.isfinite(self.freedom)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(means == 0, 0.0, np.abs(means) / np.sqrt(self.variance))
        return np.where(known, 2 * special.stdtr(np.where(known, self.freedom, 1.0), -np.where(known, ratio, 0.0)), 1.0)


def spread_of_means(scores: FloatArray) -> Spread:
    """How well the means of ``scores``, float64 [n, seeds, traces] and finite, are known.

    With one trace it is the variance of Student's test over seeds, with one seed that over traces. Where neither seeds
    nor traces matter it is up to three times too large: the bootstrap errs towards calling things equal.
    """
    parts = _parts(scores)
    squares = [np.einsum("nij,nij->n", part, part) for part in parts]
    return _spread(squares, np.einsum("nij,nij->n", scores, scores), scores.shape[1:])


def spread_of_differences(first: FloatArray, second: FloatArray) -> Spread:
    """How well the difference of means of each pair is known; arrays are [n, m].

    first: float64 [n, seeds, traces]; second: [m, seeds, traces], of the same seeds and traces in the same order.
    """
    shape = first.shape[1:]
    squares = [_pairwise(a, b) for a, b in zip(_parts(first), _parts(second), strict=True)]
    return _spread(squares, _scale(first, second), shape)


def _parts(scores: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Split scores into what is due to seeds [n, s, 1], to traces [n, 1, t], and the rest [n, s, t]."""
    mean = scores.mean(axis=(1, 2), keepdims=True)
    seeds = scores.mean(axis=2, keepdims=True) - mean
    traces = scores.mean(axis=1, keepdims=True) - mean
    return seeds, traces, scores - mean - seeds - traces


def _pairwise(first: FloatArray, second: FloatArray) -> FloatArray:
    """Sum of squares of the difference of each pair, [n, m], by |a - b|² = |a|² + |b|² - 2ab."""
    both = _scale(first, second)
    square = both - 2 * first.reshape(len(first), -1) @ second.reshape(len(second), -1).T
    return np.where(square <= _SUBTRACTED * both, 0.0, square)


def _scale(first: FloatArray, second: FloatArray) -> FloatArray:
    a, b = np.einsum("nij,nij->n", first, first), np.einsum("nij,nij->n", second, second)
    return np.asarray(a[:, None] + b[None])


def _spread(squares: list[FloatArray], scale: FloatArray, shape: tuple[int, ...]) -> Spread:
    """Variance and degrees of freedom from the sums of squares of seeds, traces and the rest.

    The bootstrap's variance is the sum of the three parts' variances, each but for its factor (n - 1) / n, which few
    seeds can't afford; dividing by degrees of freedom instead of counts takes it out.
    """
    seeds, traces = shape
    freedoms = (seeds - 1, traces - 1, (seeds - 1) * (traces - 1))
    # The first two sums are over means of a row or a column each, which stand for all its members.
    members = (1 / seeds, 1 / traces, 1 / (seeds * traces))
    variances = [
        np.where(square <= _CENTRED * scale, 0.0, square) * share / freedom
        for square, share, freedom in zip(squares, members, freedoms, strict=True)
        if freedom > 0
    ]
    if not variances:
        return Spread(np.full(scale.shape, np.nan), np.full(scale.shape, np.nan))
    total = np.asarray(sum(variances), np.float64)
    known = [freedom for freedom in freedoms if freedom > 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = total**2 / sum(part**2 / count for part, count in zip(variances, known, strict=True))
    return Spread(total, np.where(total > 0, freedom, float(sum(known))))


def resolvable_gap(variance: float, freedom: float, level: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true gap that a test at ``level`` finds with probability ``power``, in the scores' unit.

    variance, freedom: of the difference, as estimated. By the noncentral t distribution; the other tail is left out.
    NaN where nothing varies, 0 where there is no variance.
    """
    if not math.isfinite(freedom):
        return math.nan
    if variance <= 0:
        return 0.0
    bar = float(special.stdtrit(freedom, 1 - level / 2))
    # The estimated deviation over the true one, chi over its degrees of freedom, at evenly many of its quantiles.
    deviation = np.sqrt(special.chdtri(freedom, (np.arange(2000) + 0.5) / 2000) / freedom)

    low, high = 0.0, bar * float(deviation[0]) + 10
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        found = float(special.ndtr(middle - bar * deviation).mean())
        low, high = (middle, high) if found < power else (low, middle)
    return high * math.sqrt(variance)


def rank_ranges(better: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the best and the worst rank, 1 the best, that each method may have; ties share ranks.

    better: bool [methods, methods]: the one of the row beats that of the column, after correction. A method's best rank
    is one more than the methods that beat it; its worst leaves out those that it beats.
    """
    beaten_by, beats = better.sum(axis=0), better.sum(axis=1)
    return [(1 + int(above), len(better) - int(below)) for above, below in zip(beaten_by, beats, strict=True)]
