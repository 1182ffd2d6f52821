"""A batch of traces that are written row by row: each row's random stream, and the packets written so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.learnt_symbols import sketch_with
from benchmark.method import IntArray
from benchmark.synthesis.sketch import ROUND_TRIP, Sketch

_BLOCK = 512  # steps for which a row's uniforms are drawn at once


class Batch:
    """Rows that leave as they end; what a row draws depends on its own seed alone.

    streams: of the rows still written. rows: int64 [rows], the place of each in the batch as it began.
    packets: int64 [traces, room, 3], ns, up and size (``sizes_of``). written: int64 [traces]. steps: draws so far.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.streams = [np.random.default_rng([seed, 1]) for seed in seeds]
        self.rows = np.arange(len(seeds))
        self.packets = np.zeros((len(seeds), 1024, 3), np.int64)
        self.written = np.zeros(len(seeds), np.int64)
        self.steps = 0
        self._uniforms = np.zeros((len(seeds), _BLOCK, 2))

    def draw(self) -> NDArray[np.float64]:
        """Return two uniforms a row for the next step, float64 [rows, 2], and make room for its packets."""
        place = self.steps % _BLOCK
        if place == 0:
            for row, stream in enumerate(self.streams):
                self._uniforms[row] = stream.random((_BLOCK, 2))
        if self.written.max(initial=0) + 1 >= self.packets.shape[1]:
            self.packets = np.concatenate([self.packets, np.zeros_like(self.packets)], axis=1)
        self.steps += 1
        return self._uniforms[:, place]

    def keep(self, rows: IntArray) -> None:
        """Go on with these rows only."""
        self.rows, self._uniforms = self.rows[rows], self._uniforms[rows]
        self.streams = [self.streams[row] for row in rows]

    def sketch(self, row: int, transport: str, round_trip: int = ROUND_TRIP) -> Sketch:
        """Return what a row of the batch as it began has written."""
        ts, up, sizes = self.packets[row, : self.written[row]].T
        return sketch_with(transport, ts, up > 0, sizes, round_trip)


def keep_rows(owner: object, names: Sequence[str], rows: IntArray) -> None:
    """Keep these rows of the owner's arrays of those names."""
    for name in names:
        setattr(owner, name, getattr(owner, name)[rows])
