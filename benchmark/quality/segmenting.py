"""Segments and video frames of a flow, told apart packet by packet (F4 and F5).

Segments (Bronzino et al. 2019): an up packet of at least 60 payload bytes, over TCP of at least 47, is a request if it
comes 50 ms or more after the last one that counted. The first down payload after it closes the running segment and
opens one. HTTP/2 compresses a request that repeats another to as little as 48 B, and what else a client sends stays
below: a PING, its longest control frame, takes 46 B in a record of TLS 1.2.
Frames (VCAML, Sharma et al., IMC 2023): a UDP down packet above 298 payload bytes whose size is within 2 B
of one of the last three such packets goes on with the frame; any other opens one.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import int64, void

from benchmark.quality.arithmetic import bit_length, elapsed, log2_eighths, more, square
from benchmark.quality.names import RING, SEGMENT_BINS
from benchmark.quality.records import REQUESTS_TYPE, SEGMENTS_TYPE
from benchmark.wire import TCP

REQUEST_TICKS = 48_829  # 50 ms, rounded up
REQUEST_BYTES, TCP_REQUEST_BYTES = 60, 47
FRAME_BYTES = 298  # VCAML's UDP length of 306, less the header
FRAME_SLACK = 2


@numba.njit(void(REQUESTS_TYPE, int64, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_request(up: Any, tick: int, size: int, protocol: int) -> None:
    """F4: tell requests among up packets."""
    if size < (TCP_REQUEST_BYTES if protocol == TCP else REQUEST_BYTES):
        return
    if up.number != 0 and elapsed(tick, up.tick) < REQUEST_TICKS:
        return
    up.tick = tick
    # Number 0 is before the first request, so counting wraps to 1.
    up.number = 1 if up.number == 0xFFFF else up.number + 1
    up.requests = more(up.requests)


@numba.njit(void(SEGMENTS_TYPE, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def close_segment(down: Any, request: int) -> None:
    """Count the running segment as complete; ``request`` is the tick of the one that ended it."""
    size = np.int64(down.open)
    time = elapsed(down.last, down.start)
    down.segments = more(down.segments)
    down.bytes = down.bytes + size
    down.size_last = size
    down.size_max = max(np.int64(down.size_max), size)
    down.time = down.time + time
    down.time_max = max(np.int64(down.time_max), time)
    down.rate_sum = down.rate_sum + (256 + log2_eighths(size) - log2_eighths(time))
    down.idle = down.idle + elapsed(request, down.last)
    place = min(bit_length(size >> 12), SEGMENT_BINS - 1)
    down.bins[place] = min(down.bins[place] + 1, 0xFF)
    place = np.int64(down.ring_next)
    down.ring_bytes[place] = size
    down.ring_gap[place] = elapsed(request, down.start)
    down.ring_next = 0 if place + 1 == RING else place + 1


@numba.njit(void(SEGMENTS_TYPE, REQUESTS_TYPE, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_segment(down: Any, up: Any, tick: int, size: int) -> None:
    """F4 and F5: add payload to the running segment, having closed it if there was a request since."""
    if size == 0:
        return
    if down.number != up.number:
        if down.number != 0 and down.open != 0:
            close_segment(down, up.tick)
        down.number = up.number
        down.start = up.tick
        down.open = 0
    down.open = down.open + size
    down.last = tick


@numba.njit(void(SEGMENTS_TYPE, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_frame(down: Any, tick: int, size: int) -> None:
    """F4: tell video frames apart by packet size."""
    if size <= FRAME_BYTES:
        return
    same = False
    for k in range(3):
        if abs(size - np.int64(down.recent[k])) <= FRAME_SLACK:
            same = True
    down.recent[2] = down.recent[1]
    down.recent[1] = down.recent[0]
    down.recent[0] = size
    down.frame_bytes = down.frame_bytes + size
    if same:
        down.frame_open = down.frame_open + size
        return
    if down.frame_open:
        gap = elapsed(tick, down.frame_tick)
        down.frame_gap_squares = down.frame_gap_squares + square(gap)
        down.frame_gap_max = max(np.int64(down.frame_gap_max), gap)
        down.frame_max = max(np.int64(down.frame_max), np.int64(down.frame_open))
    down.frames = more(down.frames)
    down.frame_tick = tick
    down.frame_open = size
