"""The rung asked for, as a state column that a network sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.method import IntArray
from benchmark.trace import Condition

RUNGS = 16  # values of the column: 0 where nothing is asked, then the rungs from the lowest on


def rungs_at(condition: Condition, seconds: NDArray[np.float64]) -> IntArray:
    """Return the column's value at each moment since the trace's first packet: rung + 1, 0 where nothing is asked."""
    rung = np.clip(condition.labels.rung.astype(np.int64), -1, RUNGS - 2)
    if not len(rung):
        return np.zeros(len(seconds), np.int64)
    return np.asarray(rung[np.clip((seconds / condition.window).astype(int), 0, len(rung) - 1)] + 1)
