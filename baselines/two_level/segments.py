"""Segments: what one request brings down, and how the requests follow each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.parts.requests import opening_rows
from baselines.parts.sketches import SLICE
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS

PER_OCTAVE = 2  # rate bins
RATE_FLOOR = 8  # log2 bytes/s
RATES = 2 + 24 * PER_OCTAVE  # bin 0: nothing came down


class Segments(NamedTuple):
    """The segments of a sketch, arrays [s].

    first: row that opens the segment. opened: ns, its time. bytes: payload that came down.
    rate: bytes/s from the opening to the last of them, 0 where none came. finished: ns, when it came.
    tail: rows after the last that came down. pause: ns from the segment's last row to the next opening.
    """

    first: NDArray[np.int64]
    opened: NDArray[np.int64]
    bytes: NDArray[np.int64]
    rate: NDArray[np.float64]
    finished: NDArray[np.int64]
    tail: NDArray[np.int64]
    pause: NDArray[np.int64]


def find_segments(sketch: Sketch) -> Segments:
    """Cut a sketch into segments."""
    first = opening_rows(sketch)
    if len(first) == 0:
        none = np.zeros(0, np.int64)
        return Segments(none, none, none, none.astype(float), none, none, none)
    following = np.append(first[1:], len(sketch))
    down = np.where(sketch.up, 0, sketch.payload).astype(np.int64)
    bytes_down = np.add.reduceat(down, first)
    # The last row with payload down; the opening row where there is none.
    rows = np.arange(len(sketch))
    last = np.maximum.reduceat(np.where(down > 0, rows, 0), first)
    last = np.maximum(last, first)
    opened, finished = sketch.ts[first], sketch.ts[last]
    seconds = np.maximum(finished - opened, 1_000_000) / NANOSECONDS
    if sketch.transport == "rtp":
        seconds = np.full(len(first), SLICE / NANOSECONDS)
    end = np.append(sketch.ts[first[1:]], sketch.ts[-1])
    return Segments(
        first,
        opened,
        bytes_down,
        bytes_down / seconds,
        finished,
        following - 1 - last,
        end - sketch.ts[following - 1],
    )


def bin_rates(rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each rate in bytes/s: half octaves; 0 where nothing came down."""
    logs = (np.log2(np.maximum(rate, 1)) - RATE_FLOOR) * PER_OCTAVE
    return np.where(rate > 0, np.clip(np.floor(logs) + 1, 1, RATES - 1), 0).astype(np.int64)
