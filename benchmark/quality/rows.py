"""A closed window's features, written in the order of ``feature_names``."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import int64, uint32, void

from benchmark.quality.arithmetic import LOW, TICK_SHIFT, elapsed, mean
from benchmark.quality.names import GAP_BINS, RING, SEGMENT_BINS, SIZE_BINS
from benchmark.quality.records import HALF_TYPE, HALVES_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE
from benchmark.quality.state import NONE_32

HALF_COLUMNS = (2, 6 + SIZE_BINS, 6 + GAP_BINS, 8)  # features of one direction in F0, F1, F2, F3
SEGMENT_COLUMNS = 11 + SEGMENT_BINS + 6
DOWN_BYTES = 3  # the column by which a trace's flow is chosen


@numba.njit(int64(HALF_TYPE, uint32[::1], int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_half(own: Any, row: Any, at: int, part: int) -> int:
    """Write a half's features of set ``part`` (0 to 3) from column ``at`` on; return the column after
    them."""
    if part == 0:
        row[at], row[at + 1] = own.packets, own.bytes
        return at + 2
    if part == 1:
        row[at], row[at + 1] = own.data, own.payload
        row[at + 2] = mean(own.payload, own.data)
        row[at + 3] = own.size_squares
        row[at + 4] = own.size_min if own.data else 0
        row[at + 5] = own.size_max
        for k in range(SIZE_BINS):
            row[at + 6 + k] = own.size_bins[k]
        return at + 6 + SIZE_BINS
    if part == 2:
        row[at] = own.gap_sum
        row[at + 1] = mean(own.gap_sum, own.packets)
        row[at + 2] = own.gap_squares
        row[at + 3] = own.gap_min if own.gap_min != NONE_32 else 0
        row[at + 4], row[at + 5] = own.gap_max, own.bursts
        for k in range(GAP_BINS):
            row[at + 6 + k] = own.gap_bins[k]
        return at + 6 + GAP_BINS
    row[at], row[at + 1] = own.pushes, own.repeated_acks
    row[at + 2], row[at + 3] = own.retransmits, own.holes
    row[at + 4] = own.rtt_samples
    row[at + 5] = mean(own.rtt_sum, own.rtt_samples)
    row[at + 6] = own.rtt_min if own.rtt_samples else 0
    row[at + 7] = own.rtt_max
    return at + 8


@numba.njit(int64(SEGMENTS_TYPE, int64, uint32[::1], int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_segments(down: Any, end: int, row: Any, at: int) -> int:
    """Write the features of segments and frames from column ``at`` on; return the column after them."""
    row[at], row[at + 1] = down.segments, down.bytes
    row[at + 2] = mean(down.bytes, down.segments)
    row[at + 3], row[at + 4], row[at + 5] = down.size_max, down.size_last, down.open
    row[at + 6], row[at + 7] = down.time, down.time_max
    row[at + 8] = mean(down.rate_sum, down.segments)
    row[at + 9] = down.idle
    row[at + 10] = elapsed(end, down.last) if down.open else 0
    at += 11
    for k in range(SEGMENT_BINS):
        row[at + k] = down.bins[k]
    at += SEGMENT_BINS
    row[at], row[at + 1] = down.frames, down.frame_bytes
    row[at + 2] = mean(down.frame_bytes, down.frames)
    row[at + 3], row[at + 4], row[at + 5] = down.frame_max, down.frame_gap_squares, down.frame_gap_max
    return at + 6


@numba.njit(void(SEGMENTS_TYPE, uint32[::1], int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_ring(down: Any, row: Any, at: int) -> None:
    """Write the window's last segments, newest first: all sizes, then all intervals."""
    place: Any = np.int64(down.ring_next)
    listed: Any = min(RING, np.int64(down.segments))
    for k in range(listed):
        place = RING - 1 if place == 0 else place - 1
        row[at + k] = down.ring_bytes[place]
        row[at + RING + k] = down.ring_gap[place]


@numba.njit(  # type: ignore[untyped-decorator]
    void(HALVES_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE, int64, uint32[::1], int64), cache=True, nogil=True
)
def write_row(halves: Any, up: Any, down: Any, window: int, row: Any, level: int) -> None:
    """Write all features of the flow's window, in the order of ``feature_names``; halves not in it stay
    zero."""
    row[:] = 0
    at = 0
    for part in range(min(level, 3) + 1):
        for way in range(2):
            if halves[way].window == window:
                write_half(halves[way], row, at, part)
            at += HALF_COLUMNS[part]
    if level < 4:
        return
    up_in, down_in = halves[0].window == window, halves[1].window == window
    if up_in:
        row[at] = up.requests
    if down_in:
        write_segments(down, np.int64(halves[1].window_end >> np.uint64(TICK_SHIFT)) & LOW, row, at + 1)
    at += 1 + SEGMENT_COLUMNS
    if level < 5:
        return
    if up_in:
        row[at] = halves[0].unique
    if down_in:
        row[at + 1] = halves[1].unique
        write_ring(down, row, at + 2)
