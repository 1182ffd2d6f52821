"""What a trace opens with, before any packet: its transport and its round trip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import DELAYS, Asked, delay_level
from baselines.parts.sketches import TRANSPORTS
from baselines.tokenizations.segments.alphabet import TRIPS, trip_bin
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS

Shares = tuple[NDArray[np.float64], NDArray[np.float64]]


def learn_openers(sketches: Sequence[Sketch], asked: Sequence[tuple[int, Asked]], applications: int) -> Shares:
    """Return the shares of transports [applications + 1, transports] and round trips [applications + 1, DELAYS, TRIPS].

    asked: of each sketch its application's number and what was asked for. Row 0 is of all applications.
    """
    transports = np.full((applications + 1, len(TRANSPORTS)), 1e-3)
    trips = np.zeros((applications + 1, DELAYS, TRIPS))
    present = np.zeros(len(TRANSPORTS), np.bool_)
    for sketch, (application, wanted) in zip(sketches, asked, strict=True):
        way = TRANSPORTS.index(sketch.transport)
        present[way] = True
        for row in (0, application + 1):
            transports[row, way] += 1
            for level in {0, delay_level(wanted.delay)}:
                trips[row, level, trip_bin(sketch.round_trip / NANOSECONDS)] += 1
    transports[:, ~present] = 0
    return transports / transports.sum(axis=1, keepdims=True).clip(1e-9), _smooth(trips)


def _smooth(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread each count over its neighbours, then return shares [applications + 1, delays, trips].

    A delay that an application hasn't shown has the shares of all its delays.
    """
    spread = counts + 0.25 * (np.roll(counts, 1, 2) + np.roll(counts, -1, 2))
    spread = spread + 0.01 * spread[:, :1] + 1e-6
    return np.asarray(spread / spread.sum(axis=2, keepdims=True))
