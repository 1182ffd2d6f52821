"""What a condition asks for, moment by moment, as the state columns of a tokenization that has no other state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import DELAYS, LINKS, LOSSES, RUNGS, STALLS, asked_of, delay_level, stack, take_rows
from benchmark.method import IntArray
from benchmark.trace import Condition

_LEFT_EDGES = np.array([0.0, 0.5, 1, 2, 4, 8])  # seconds left until playback is to start
# Nothing is asked where a column is 0.
COLUMNS = (
    ("rung", RUNGS),
    ("stall", STALLS),
    ("link", LINKS),
    ("loss", LOSSES),
    ("delay", DELAYS),
    ("start", 2 + len(_LEFT_EDGES)),
)


class Told:
    """What a batch of conditions asks for, one row a condition."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._asked = stack([asked_of(condition) for condition in conditions])
        self._delay = np.array([delay_level(delay) for delay in self._asked.delay], np.int64)

    def keep(self, rows: IntArray) -> None:
        """Go on with these rows only."""
        self._asked, self._delay = take_rows(self._asked, rows), self._delay[rows]

    def at(self, rows: IntArray, seconds: NDArray[np.float64]) -> IntArray:
        """Return ``COLUMNS`` of some rows [n] at moments [n] since their first packets, int64 [n, columns]."""
        asked = self._asked
        left = asked.startup[rows] - seconds
        start = np.where(np.isnan(left), 0, 1 + np.searchsorted(_LEFT_EDGES, left))
        return np.stack(
            [
                1 + _course(asked.rungs, asked.window, rows, seconds),
                _course(asked.stalls, asked.window, rows, seconds),
                _course(asked.links, asked.step, rows, seconds),
                asked.loss[rows],
                self._delay[rows],
                start,
            ],
            axis=1,
        )


def _course(values: IntArray, width: NDArray[np.float64], rows: IntArray, seconds: NDArray[np.float64]) -> IntArray:
    """Return what courses of steps [rows, steps] are at; the last step goes on."""
    place = (seconds / width[rows]).astype(np.int64).clip(0, values.shape[1] - 1)
    return np.asarray(values[rows, place], np.int64)
