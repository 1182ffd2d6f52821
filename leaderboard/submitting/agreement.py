"""When scores claimed and scores measured agree: within the noise of seeds, and no closer look than the data bear.

The rule. For each figure of record that is claimed, the mean over the claimed seeds is set against the measured one. If
both came from one distribution, their difference is as wide as Student's t says, with the measured seeds' spread (the
claimed spread is the claimant's word, and a wide one would hide much), at n - 1 degrees of freedom. The p-values are
corrected for their number (Holm); a corrected p below 0.05 is a disagreement. A gap below half the table's last
digit is none, however small the noise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from benchmark.statistics.resampling import holm

# Figures of record that don't need a router (design: what methods are ranked by).
FIGURES = (
    "downstream.rung.skill_kept", "downstream.rung6.skill_kept", "downstream.fps.skill_kept",
    "downstream.height.skill_kept", "timing.distance", "fidelity.c2st", "validity.l2.raw",
)  # fmt: skip
LEVEL, LEAST_GAP, LEAST_SEEDS = 0.05, 0.005, 3
RULE = (
    "each claimed mean lies where Student's t puts it, given the measured seeds' spread "
    f"(Holm over the figures, level {LEVEL:g}); gaps below {LEAST_GAP:g} are none"
)


@dataclass(frozen=True)
class Comparison:
    """One figure: its two means, the p-value after correction, and whether they agree."""

    figure: str
    claimed: float
    measured: float | None
    p_value: float
    agrees: bool


def compare_scores(claimed: Mapping[str, Sequence[float]], measured: Mapping[str, Sequence[float]]) -> list[Comparison]:
    """Compare the claimed scores of each figure with the measured ones, a value a seed.

    Raises ValueError where a measured figure has fewer seeds than the rule needs.
    """
    figures = [figure for figure in FIGURES if claimed.get(figure)]
    raw = [_p_value(claimed[figure], measured.get(figure) or ()) for figure in figures]
    found = []
    for figure, p_value in zip(figures, holm(raw), strict=True):
        values = measured.get(figure) or ()
        mean = statistics.fmean(values) if values else None
        asserted = statistics.fmean(claimed[figure])
        small = mean is not None and abs(asserted - mean) < LEAST_GAP
        found.append(Comparison(figure, asserted, mean, p_value, small or p_value >= LEVEL))
    return found


def _p_value(claimed: Sequence[float], measured: Sequence[float]) -> float:
    """Two-sided p-value of the gap; 0 where a claimed figure couldn't be measured at all."""
    if not measured:
        return 0.0
    if len(measured) < LEAST_SEEDS:
        raise ValueError(f"{len(measured)} seeds; the noise of seeds shows from {LEAST_SEEDS} on")
    gap = statistics.fmean(claimed) - statistics.fmean(measured)
    if not math.isfinite(gap):
        return 0.0
    spread = statistics.stdev(measured) * math.sqrt(1 / len(claimed) + 1 / len(measured))
    if spread == 0:
        return 1.0 if gap == 0 else 0.0
    return float(2 * stats.t.sf(abs(gap) / spread, len(measured) - 1))
