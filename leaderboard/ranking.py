"""Ranks with ties: paired over shared seeds and test traces, corrected for the number of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.comparison import rank_ranges, resolvable_gap, spread_of_differences
from benchmark.statistics.resampling import holm
from leaderboard.board import Rank
from leaderboard.scoring import Scores

FloatArray = NDArray[np.float64]
# A result rests on at least this many seeds.
LEAST_SEEDS = 3
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of rows on one metric, float64 [rows, rows] each.

    gaps: mean of the row's less the column's, over the seeds that both have. p_values: before correction, 1 where too
    few seeds are shared. variances, freedoms: of the gaps, NaN there.
    """

    gaps: FloatArray
    p_values: FloatArray
    variances: FloatArray
    freedoms: FloatArray


def compare_all(scores: Sequence[Scores], least_seeds: int = LEAST_SEEDS) -> Pairs:
    """Compare every two rows on the seeds and test traces that both have; rows with the same ones go together."""
    count = len(scores)
    pairs = Pairs(
        np.zeros((count, count)), np.ones((count, count)), np.full((count, count), np.nan),
        np.full((count, count), np.nan),
    )  # fmt: skip
    groups: dict[tuple[tuple[int, ...], tuple[str, ...]], list[int]] = {}
    for place, one in enumerate(scores):
        groups.setdefault((one.seeds, one.traces), []).append(place)
    for (seeds, traces), rows in groups.items():
        for (other_seeds, other_traces), columns in groups.items():
            shared = sorted(set(seeds) & set(other_seeds))
            if len(shared) < least_seeds:
                continue
            common = sorted(set(traces) & set(other_traces))
            names = common if len(common) > 1 else []
            _fill(pairs, scores, rows, columns, shared, names)
    return pairs


def _fill(
    pairs: Pairs, scores: Sequence[Scores], rows: list[int], columns: list[int], seeds: list[int], traces: list[str]
) -> None:
    """Fill in the pairs of two groups, each of rows that were scored on the same seeds and traces."""
    first, second = (np.stack([scores[place].shared(seeds, traces) for place in group]) for group in (rows, columns))
    means = [np.array([scores[p].shared(seeds, []).mean() for p in group]) for group in (rows, columns)]
    gaps = means[0][:, None] - means[1][None]
    # Values are means over traces but for rounding; that mustn't tell equal methods apart.
    gaps[np.abs(gaps) <= 1e-9 * (np.abs(means[0])[:, None] + np.abs(means[1])[None])] = 0.0
    spread = spread_of_differences(first, second)
    where = np.ix_(rows, columns)
    pairs.gaps[where], pairs.p_values[where] = gaps, spread.p_values(gaps)
    pairs.variances[where], pairs.freedoms[where] = spread.variance, spread.freedom


def rank_rows(scores: Sequence[Scores], larger_is_better: bool) -> tuple[list[Rank], float | None]:
    """Return each row's range of ranks on one metric, and the smallest gap that the median pair would show.

    The gap is None where there is no pair to judge by.
    """
    if not scores:
        return [], None
    pairs = compare_all(scores)
    upper = np.triu_indices(len(scores), 1)
    adjusted = np.ones((len(scores), len(scores)))
    adjusted[upper] = holm(pairs.p_values[upper].tolist())
    apart = np.minimum(adjusted, adjusted.T) < LEVEL
    better = apart & ((pairs.gaps > 0) if larger_is_better else (pairs.gaps < 0))
    ranks = [Rank(*both) for both in rank_ranges(better)]
    variances, freedoms = pairs.variances[upper], pairs.freedoms[upper]
    known = np.isfinite(variances)
    if not known.any():
        return ranks, None
    gap = resolvable_gap(float(np.median(variances[known])), float(np.median(freedoms[known])), LEVEL / len(upper[0]))
    return ranks, gap
