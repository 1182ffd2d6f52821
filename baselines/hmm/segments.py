"""Segments as the model sees them: what a request brings down, how fast, and where it falls silent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.parts.requests import opening_rows
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS

FREEZE = 400_000_000  # ns without a row, within a segment, at which the link is taken to have gone
PACKET = 1500.0  # bytes; a gap over the time that a packet of this size takes is free of the link's rate
SLOWEST, FASTEST = 500.0, 5e8  # bytes/s


class Segments(NamedTuple):
    """The segments of a sketch, arrays [s]; times in ns.

    first: row that opens it. opened: its time. bytes: payload down. latency: from the opening to the first of
    them. rate: bytes/s from then to the last, silence left out; where a segment has too few rows to tell, that of
    the one before. freeze: the silence. finished: when the last byte came. tail: rows after it. pause: from the
    last row to the next opening.
    """

    first: NDArray[np.int64]
    opened: NDArray[np.int64]
    bytes: NDArray[np.int64]
    latency: NDArray[np.int64]
    rate: NDArray[np.float64]
    freeze: NDArray[np.int64]
    finished: NDArray[np.int64]
    tail: NDArray[np.int64]
    pause: NDArray[np.int64]


def find_segments(sketch: Sketch) -> Segments:
    """Cut a sketch of at least one row into segments."""
    first = opening_rows(sketch)
    ends = np.append(first[1:], len(sketch))
    ts = sketch.ts
    down = np.where(sketch.up, 0, sketch.payload).astype(np.int64)
    columns = []
    rate = 1e5
    for begin, end in zip(first.tolist(), ends.tolist(), strict=True):
        rows = begin + np.flatnonzero(down[begin:end])
        start, last = (int(rows[0]), int(rows[-1])) if len(rows) else (begin, begin)
        gaps = np.diff(ts[start : last + 1])
        freeze = int(gaps[gaps >= FREEZE].sum())
        active = int(ts[last] - ts[start]) - freeze
        if len(rows) > 4 and active > 0:
            rate = float(np.clip(down[start + 1 : last + 1].sum() * NANOSECONDS / active, SLOWEST, FASTEST))
        following = ts[end] if end < len(ts) else ts[-1]
        columns.append(
            (begin, ts[begin], down[begin:end].sum(), ts[start] - ts[begin], rate, freeze, ts[last],
             end - 1 - last, following - ts[end - 1])
        )  # fmt: skip
    table = np.array(columns, np.float64).reshape(-1, len(Segments._fields)).T
    whole = {name: table[k].astype(np.int64) for k, name in enumerate(Segments._fields) if name != "rate"}
    return Segments(**whole, rate=table[Segments._fields.index("rate")])


def units_of(sketch: Sketch, segments: Segments) -> NDArray[np.float64]:
    """Return the time that a packet takes at the rate of each row's segment, ns, float64 [rows]."""
    rate = np.repeat(segments.rate, np.diff(np.append(segments.first, len(sketch))))
    return np.asarray(PACKET * NANOSECONDS / rate)
