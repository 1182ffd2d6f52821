"""The rows of a growing sketch, in room that compiled samplers fill."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.synthesis.sketch import Sketch

MOST_ROWS = 1_000_000


class Page(NamedTuple):
    """Room for the rows of a sketch, [MOST_ROWS]; last: int64 [2], the last large payload each way."""

    ts: NDArray[np.int64]
    up: NDArray[np.bool_]
    payload: NDArray[np.int32]
    last: NDArray[np.int64]


class Rows:
    """The rows written so far; ``count`` of the page are filled."""

    def __init__(self) -> None:
        ts, payload = np.zeros(MOST_ROWS, np.int64), np.zeros(MOST_ROWS, np.int32)
        self.page = Page(ts, np.zeros(MOST_ROWS, np.bool_), payload, np.zeros(2, np.int64))
        self.count = 0

    @property
    def full(self) -> bool:
        """Tell whether there is no room for another row."""
        return self.count >= MOST_ROWS

    @property
    def latest(self) -> int:
        """When the last row passed, ns."""
        return int(self.page.ts[self.count - 1])

    def add(self, now: int, up: bool, payload: int) -> None:
        """Add the row that opens a segment, ``payload`` bytes at ``now`` ns."""
        self.page.ts[self.count], self.page.up[self.count], self.page.payload[self.count] = now, up, payload
        self.count += 1

    def sketch(self, transport: str, round_trip: int) -> Sketch:
        """Return what was written."""
        page, count = self.page, self.count
        return Sketch(transport, page.ts[:count], page.up[:count], page.payload[:count], round_trip)
