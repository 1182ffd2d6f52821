"""The state machine from packets to features; the kernel program matches it bit for bit.

Integers only. Stored fields wrap at their width; 16- and 8-bit counters stay at their maximum. A packet's
tick is the u32 (ns >> 10), which wraps; an interval that is negative, or 2^31 ticks or more, is 0. Division
happens only where a window opens or closes.

``counting`` and ``segmenting`` are what a packet changes, ``windows`` when a window closes, ``rows`` what it
leaves; ``state`` is what is kept of a flow.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import boolean, int32, int64, uint32

from benchmark.quality.counting import count_packet
from benchmark.quality.records import CLOCK_TYPE, HALVES_TYPE, PACKET_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE
from benchmark.quality.rows import DOWN_BYTES, write_row
from benchmark.quality.state import HALF, REQUESTS, SEGMENTS
from benchmark.quality.windows import enter_window


@numba.njit(  # type: ignore[untyped-decorator]
    int64(HALVES_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE, CLOCK_TYPE, PACKET_TYPE, uint32[::1], int64),
    cache=True,
    nogil=True,
)
def step(halves: Any, up: Any, down: Any, clock: Any, packet: Any, row: Any, level: int) -> Any:
    """Take one packet of the flow. Return the index of the window that it closed, now in ``row``, or -1."""
    way = 0 if packet.up else 1
    own, other = halves[way], halves[1 - way]
    opening = 1 if own.window_end == 0 else 0
    closed = -1
    if packet.ns >= own.window_end or own.window < other.window:
        closed = enter_window(halves, up, down, clock, way, np.int64(packet.ns), row, level)
    count_packet(own, other, up, down, packet, opening, level)
    return closed


@numba.njit(  # type: ignore[untyped-decorator]
    int64(
        *(PACKET_TYPE[::1], int64[::1], CLOCK_TYPE[::1], int64, boolean),
        *(uint32[:, ::1], int32[::1], uint32[::1]),
    ),
    cache=True,
    nogil=True,
)
def run(packets: Any, bounds: Any, clocks: Any, level: int, pick: bool, rows: Any, flow: Any, window: Any) -> int:
    """Run every flow's packets through the machine; return the number of windows closed.

    With ``pick``, row w of ``rows`` becomes the window of the flow with most down bytes; else rows, flows
    and windows are appended as they close, as far as there is room.
    """
    halves, up, down = np.zeros(2, HALF), np.zeros(1, REQUESTS), np.zeros(1, SEGMENTS)
    no_half, no_up, no_down = np.zeros(1, HALF), np.zeros(1, REQUESTS), np.zeros(1, SEGMENTS)
    clock = clocks.copy()
    periods = np.uint64((1 << 31) // np.int64(clock[0].units))
    row = np.zeros(rows.shape[1], np.uint32)
    count = 0
    for number in range(len(bounds) - 1):
        halves[0] = no_half[0]
        halves[1] = no_half[0]
        up[0] = no_up[0]
        down[0] = no_down[0]
        clock[0] = clocks[0]
        for i in range(bounds[number], bounds[number + 1] + 1):
            if i < bounds[number + 1]:
                since = np.int64(packets[i].ns) - np.int64(clock[0].epoch)
                while since >= np.int64(periods * clock[0].window):
                    clock[0].epoch = clock[0].epoch + periods * clock[0].window
                    clock[0].index = clock[0].index + periods
                    since -= np.int64(periods * clock[0].window)
                closed = step(halves, up[0], down[0], clock[0], packets[i], row, level)
            else:
                closed = max(np.int64(halves[0].window), np.int64(halves[1].window))
                write_row(halves, up[0], down[0], closed, row, level)
            if closed < 0:
                continue
            if not pick:
                if count < len(rows):
                    rows[count] = row
                    flow[count] = number
                    window[count] = closed
            elif closed < len(rows) and (flow[closed] < 0 or row[DOWN_BYTES] > rows[closed, DOWN_BYTES]):
                rows[closed] = row
                flow[closed] = number
            count += 1
    return count
