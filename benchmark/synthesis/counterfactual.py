"""Pairs of conditions that differ in the quality asked for alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Condition, Labels

WINDOWS = 3  # that a pair lasts at most: enough for a player's start and what follows
_SHARES = (0.1, 0.9)  # quantiles of the frame rates of training windows, where there is no ladder


def counterfactual_pairs(
    conditions: Sequence[Condition], ladder: Sequence[int], count: int
) -> list[tuple[Condition, Condition]]:
    """Return ``count`` pairs, spread over ``conditions``: low and high quality in every window, all else alike.

    Quality is the lowest and the highest rung of the ladder, or where there is none a low and a high frame rate.
    """
    chosen = [conditions[number * len(conditions) // count] for number in range(min(count, len(conditions)))]
    rates = np.concatenate([np.zeros(0, np.float32), *(condition.labels.fps for condition in conditions)])
    known = rates[np.isfinite(rates)]
    frames = np.quantile(known, _SHARES) if len(known) else np.full(2, np.nan)
    return [(_ask(condition, ladder, False, frames), _ask(condition, ladder, True, frames)) for condition in chosen]


def _ask(condition: Condition, ladder: Sequence[int], high: bool, frames: NDArray[np.float64]) -> Condition:
    windows = min(WINDOWS, len(condition.labels))
    labels = Labels.unknown(windows)
    if ladder:
        rung = len(ladder) - 1 if high else 0
        labels = replace(
            labels,
            rung=np.full(windows, rung, np.int8),
            height=np.full(windows, ladder[rung], np.int16),
            stall=np.where(np.arange(windows) == 0, condition.labels.stall[:windows], 0).astype(np.float32),
            startup=condition.labels.startup,
        )
    else:
        labels = replace(labels, fps=np.full(windows, frames[int(high)], np.float32))
    return replace(condition, duration=min(condition.duration, windows * condition.window), labels=labels)
