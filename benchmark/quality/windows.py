"""Windows of a flow: when one closes, and what is cleared with it.

A flow's window is the newer of its halves'. A packet past its half's ``window_end``, or whose half is in an
older window than the other, moves its half to the window that its time falls in, but never to one older than
the flow's. If that window is newer than the flow's, the flow's closes: halves in it give their values, a half
left in an older one gives zeros. So each packet counts once, windows without packets aren't written, and a late
packet counts in the window that is open.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import int64, uint32, void

from benchmark.quality.arithmetic import LOW
from benchmark.quality.names import GAP_BINS, MAP_BITS, SEGMENT_BINS, SIZE_BINS
from benchmark.quality.records import CLOCK_TYPE, HALF_TYPE, HALVES_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE
from benchmark.quality.rows import write_row
from benchmark.quality.state import NONE_16, NONE_32


@numba.njit(int64(CLOCK_TYPE, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def window_at(clock: Any, ns: int) -> Any:
    """Index of the window that an instant falls in, by one 32-bit division; the clock's own for earlier
    instants."""
    since = ns - np.int64(clock.epoch)
    if since < 0:
        return np.int64(clock.index)
    units: Any = min(since >> np.int64(clock.shift), LOW)
    return (np.int64(clock.index) + units // np.int64(clock.units)) & LOW


@numba.njit(void(HALF_TYPE), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clear_half(own: Any) -> None:
    """Clear a half's window fields."""
    own.packets = own.bytes = 0
    own.data = own.payload = own.size_squares = own.size_max = 0
    own.size_min = NONE_16
    for k in range(SIZE_BINS):
        own.size_bins[k] = 0
    own.gap_sum = own.gap_squares = own.gap_max = own.bursts = 0
    own.gap_min = NONE_32
    for k in range(GAP_BINS):
        own.gap_bins[k] = 0
    own.pushes = own.repeated_acks = own.retransmits = own.holes = 0
    own.rtt_samples = own.rtt_sum = own.rtt_max = 0
    own.rtt_min = NONE_32
    own.unique = 0
    for k in range(MAP_BITS // 32):
        own.size_map[k] = 0


@numba.njit(void(SEGMENTS_TYPE), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clear_segments(down: Any) -> None:
    """Clear the window fields of segments and frames; the running ones go on."""
    down.segments = down.bytes = down.size_max = down.time = down.time_max = 0
    down.rate_sum = down.idle = 0
    for k in range(SEGMENT_BINS):
        down.bins[k] = 0
    down.frames = down.frame_bytes = down.frame_max = 0
    down.frame_gap_squares = down.frame_gap_max = 0
    down.ring_next = 0


@numba.njit(  # type: ignore[untyped-decorator]
    int64(HALVES_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE, CLOCK_TYPE, int64, int64, uint32[::1], int64),
    cache=True,
    nogil=True,
)
def enter_window(halves: Any, up: Any, down: Any, clock: Any, way: int, ns: int, row: Any, level: int) -> Any:
    """Move a half past its window's end to the window of ``ns``.

    If that closes the flow's window, write its features to ``row`` and return its index; else return -1.
    """
    own, other = halves[way], halves[1 - way]
    newest = max(np.int64(own.window), np.int64(other.window))
    index = max(window_at(clock, ns), newest)
    closed: Any = -1
    if index > newest and (own.window_end | other.window_end) != 0:
        write_row(halves, up, down, newest, row, level)
        closed = newest
    own.window = index
    own.window_end = clock.epoch + np.uint64(index + 1 - np.int64(clock.index)) * clock.window
    clear_half(own)
    if way == 0:
        up.requests = 0
    else:
        clear_segments(down)
    return closed
