"""Cuts a sketch into segments, and says of each what its header says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import Asked, asked_of
from baselines.parts.sketches import SLICE, TRANSPORTS, find_openings, gaps_of
from baselines.tokenizations.segments.pacing import tell_gaps
from baselines.tokenizations.segments.state import talks
from benchmark.method import IntArray
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition

_NOW_PAUSE = 0.3  # seconds; a request that follows within it comes as soon as it can
_SLICE = SLICE / NANOSECONDS


@dataclass(frozen=True, eq=False)
class Headers:
    """The headers of one trace: bytes down, bytes/s until the last of them, seconds to the next opening.

    opened: float64 [n], seconds. size, rate, cycle: float64 [n]; 0 means nothing came, or the next follows at
    once. seconds: float64 [n], from opening to next opening. rung_end: int64 [n], asked for where the last byte
    comes. whole: bool [n], neither cut by the end of the trace nor alone in it.
    """

    opened: NDArray[np.float64]
    size: NDArray[np.float64]
    rate: NDArray[np.float64]
    cycle: NDArray[np.float64]
    seconds: NDArray[np.float64]
    rung_end: NDArray[np.int64]
    whole: NDArray[np.bool_]
    asked: Asked


def find_headers(sketch: Sketch, condition: Condition) -> tuple[Headers, IntArray, NDArray[np.bool_]]:
    """Return the headers of a sketch, int64 [n] the packet that each stands at, and bool [packets] the openings.

    A header stands after the request that opens its segment, or before the packet where none does.
    """
    opens = find_openings(sketch)
    seconds, asked = sketch.ts / NANOSECONDS, asked_of(condition, sketch.began / NANOSECONDS)
    if sketch.transport == "rtp":
        at = _slices(seconds)
        opened = np.concatenate([seconds[:0], [0.0], seconds[at[1:] - 1]])[: len(at)]
    else:
        at = np.flatnonzero(opens)
        if len(sketch) and (not len(at) or at[0] > 0):
            at = np.concatenate([[0], at])
        opened = seconds[at].copy()
        if len(at) and not opens[at[0]]:
            opened[0] = 0.0
    if not len(at):
        nothing, none = np.zeros(0), np.zeros(0, np.int64)
        empty = Headers(nothing, nothing, nothing, nothing, nothing, none, none > 0, asked)
        return empty, none, opens
    data = ~sketch.up & (sketch.payload > 0)
    size = np.add.reduceat(np.where(data, sketch.payload, 0).astype(float), at)
    last = np.maximum.reduceat(np.where(data, seconds, -1.0), at)
    finish = np.append(opened[1:], seconds[-1])
    if sketch.transport == "rtp":
        upward = np.add.reduceat(np.where(sketch.up, sketch.payload, 0).astype(float), at)
        rate, cycle = np.where(size > 0, upward / _SLICE + 1, 0), np.zeros(len(at))
    else:
        rate = np.where(size > 0, size / np.maximum(last - opened, 1e-3), 0.0)
        pause = finish - np.maximum(last, opened)
        cycle = np.where(pause >= _NOW_PAUSE, finish - opened, 0.0)
        cycle[-1] = 0.0

    last_end = np.maximum(last, opened) + asked.began
    whole = np.ones(len(at), bool)
    whole[-1] = len(at) == 1
    headers = Headers(
        opened,
        size,
        rate,
        cycle,
        finish - opened,
        asked.rungs[np.minimum((last_end / asked.window).astype(int), len(asked.rungs) - 1)],
        whole,
        asked,
    )
    return headers, at, opens


def _slices(seconds: NDArray[np.float64]) -> IntArray:
    """Packets before which a second of datagrams begins: after the first packet past the second before."""
    starts, opened = [0] if len(seconds) else [], 0.0
    for k in range(len(seconds) - 1):
        if seconds[k] >= opened + _SLICE:
            starts.append(k + 1)
            opened = float(seconds[k])
    return np.array(starts, np.int64)


def told_gaps(sketch: Sketch, headers: Headers, at: IntArray, opens: NDArray[np.bool_]) -> IntArray:
    """Return the gap before each packet in ns, in segments as it would be at the usual rate; int64 [n]."""
    marks = np.zeros(len(sketch), np.int64)
    marks[at] = 1
    way = TRANSPORTS.index(sketch.transport)
    rates = [0.0 if talks(size, way) else rate for size, rate in zip(headers.size, headers.rate, strict=True)]
    speed, gap = np.concatenate([[0.0], rates])[np.cumsum(marks)], gaps_of(sketch)
    return np.where(opens, gap, np.asarray(tell_gaps(gap / NANOSECONDS, speed, way) * NANOSECONDS, np.int64))
