"""What the level 2 machine remembers: a record a flow and direction, numbers seen, holes in the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

# Phases of a connection. MIDDLE: it began before the capture, or its handshake couldn't be read.
FRESH, ASKED, ANSWERED, OPEN, MIDDLE = range(5)

MOST_HOLES = 512  # open holes kept a direction; beyond it the oldest is forgotten
CLOCK_SLACK = 10_000  # ticks that a reordered packet may lag behind (10 s at RFC 7323's fastest clock)
_NUMBER_BITS = 42  # unwrapped numbers fit, and leave room for the direction in one key

SIDE = np.dtype(
    [
        ("seen", np.uint8),  # a packet of this direction was read
        ("synced", np.uint8),  # base and top hold
        ("base", np.int64),  # first unwrapped sequence number
        ("top", np.int64),  # one past the highest seen
        ("top_packet", np.int64),
        ("acked", np.int64),  # highest acknowledgement from the other side, or base
        ("acked_before", np.int64),  # highest but one, and the packet that went beyond it
        ("acked_packet", np.int64),
        ("edge", np.int64),  # right edge of the other side's window; -1 unknown
        ("widest", np.int64),  # largest window that the other side advertised, bytes
        ("largest", np.int64),  # largest payload seen
        ("oversize", np.int64),  # payloads beyond the MSS: joined by offload at the capture
        ("shift", np.int8),  # window scale from the SYN; -1 none
        ("mss", np.int64),  # from the SYN; 0 none
        ("sack", np.uint8),  # SACK permitted
        ("stamps", np.uint8),  # timestamps offered, or in use
        ("bare_syn", np.uint8),  # the SYN's ECN bits
        ("isn", np.int64),  # unwrapped number of the SYN; -1 none
        ("syn_packet", np.int64),
        ("fin", np.int64),  # one past the FIN; -1 none
        ("fin_packet", np.int64),
        ("rst_packet", np.int64),  # -1 none
        ("doubt", np.int64),  # packets that couldn't be trusted, so their bytes may fill any hole
        ("top_doubt", np.int64),  # doubt when top last moved
        ("leap_end", np.int64),  # where a packet outside the window ended: a second one there is believed
        ("leap_ack", np.int64),  # the same for an acknowledgement of data never seen
        ("suspect", np.int64),  # last packet that resent from the inside of a segment; -1 none
        ("overlap_packet", np.int64),  # last packet whose new data began inside seen data; -1 none
        ("overlap_before", np.int64),  # and the packet that held the top before it
        ("overlap_size", np.int64),
        ("hole", np.int64),  # first hole of the list; -1 none
        ("holes", np.int64),
        ("stamp", np.int64),  # newest timestamp; -1 none
        ("stamp_packet", np.int64),
        ("stamp_time", np.int64),
        ("stamp_before", np.int64),  # newest but one, and when
        ("stamp_before_time", np.int64),
        ("stamp_first", np.int64),
        ("stamp_first_time", np.int64),
        ("gaps", np.int64),  # stretches that the capture missed
        ("echo", np.int64),  # newest timestamp echoed; -1 none
    ],
    align=True,
)


class Memory(NamedTuple):
    """Working arrays of one run.

    numbers, stamps: open-addressing sets of (direction, unwrapped number): segment edges, timestamps seen.
    hole_*: linked holes, rising in sequence: [start, end), the packet that leapt, doubt then, the next hole.
    used: int64 [1], holes handed out.
    """

    numbers: NDArray[np.int64]
    stamps: NDArray[np.int64]
    hole_start: NDArray[np.int64]
    hole_end: NDArray[np.int64]
    hole_packet: NDArray[np.int64]
    hole_doubt: NDArray[np.int64]
    hole_next: NDArray[np.int64]
    used: NDArray[np.int64]


def make_memory(packets: int) -> Memory:
    """Working arrays for ``packets`` packets: each adds at most three edges, one timestamp and two holes."""
    size = 1 << (4 * packets + 16).bit_length()
    empty = np.full(size, -1, np.int64)
    stamps = np.full(1 << (2 * packets + 16).bit_length(), -1, np.int64)
    start, end, packet, doubt, following = np.zeros((5, 2 * packets + 2), np.int64)
    return Memory(empty, stamps, start, end, packet, doubt, following, np.zeros(1, np.int64))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clear(side: Any) -> None:
    """Start a direction afresh, for a new connection on the same ports."""
    side.seen = 0
    side.synced = 0
    side.base = 0
    side.top = 0
    side.top_packet = -1
    side.acked = 0
    side.acked_before = 0
    side.acked_packet = -1
    side.edge = -1
    side.widest = 0
    side.largest = 0
    side.oversize = 0
    side.shift = -1
    side.mss = 0
    side.sack = 0
    side.stamps = 0
    side.bare_syn = 0
    side.isn = -1
    side.syn_packet = -1
    side.fin = -1
    side.fin_packet = -1
    side.rst_packet = -1
    side.doubt = 0
    side.top_doubt = 0
    side.leap_end = -1
    side.leap_ack = -1
    side.suspect = -1
    side.overlap_packet = -1
    side.overlap_before = -1
    side.overlap_size = 0
    side.hole = -1
    side.holes = 0
    side.stamp = -1
    side.stamp_packet = -1
    side.stamp_time = 0
    side.stamp_before = -1
    side.stamp_before_time = 0
    side.stamp_first = -1
    side.stamp_first_time = 0
    side.gaps = 0
    side.echo = -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unwrap(near: Any, value: Any) -> Any:
    """Return the number nearest to ``near`` that is ``value`` modulo 2^32 (RFC 9293 §3.4)."""
    return near + ((np.int64(value) - near + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _slot(table: Any, key: Any) -> Any:
    mask = np.uint64(len(table) - 1)
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64((mixed ^ (mixed >> np.uint64(29))) & mask)
    while table[slot] != -1 and table[slot] != key:
        slot = (slot + 1) & np.int64(mask)
    return slot


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def remember(table: Any, side: int, number: int) -> None:
    """Add a number of a direction to a set."""
    key = (np.int64(side) << _NUMBER_BITS) | (number & ((np.int64(1) << _NUMBER_BITS) - 1))
    table[_slot(table, key)] = key


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def knows(table: Any, side: int, number: int) -> bool:
    """Tell whether a number of a direction is in a set."""
    key = (np.int64(side) << _NUMBER_BITS) | (number & ((np.int64(1) << _NUMBER_BITS) - 1))
    return bool(table[_slot(table, key)] == key)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def open_hole(memory: Any, side: Any, start: int, end: int, packet: int) -> None:
    """Note that [start, end) was skipped; holes are opened at the top, so the list stays in order."""
    new = memory.used[0]
    if new >= len(memory.hole_start):
        return
    memory.used[0] += 1
    memory.hole_start[new], memory.hole_end[new] = start, end
    memory.hole_packet[new], memory.hole_doubt[new] = packet, side.doubt
    memory.hole_next[new] = -1
    side.holes += 1
    if side.hole < 0:
        side.hole = new
        return
    if side.holes > MOST_HOLES:
        side.hole = memory.hole_next[side.hole]
        side.holes -= 1
    last = side.hole
    while memory.hole_next[last] >= 0:
        last = memory.hole_next[last]
    memory.hole_next[last] = new


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill_holes(memory: Any, side: Any, start: int, end: int) -> None:
    """Take [start, end) out of the holes."""
    before = np.int64(-1)
    hole = side.hole
    while hole >= 0 and memory.hole_start[hole] < end:
        following = memory.hole_next[hole]
        if memory.hole_end[hole] > start:
            left = memory.hole_start[hole] < start
            right = memory.hole_end[hole] > end
            if left and right and memory.used[0] < len(memory.hole_start):
                new = memory.used[0]
                memory.used[0] += 1
                memory.hole_start[new], memory.hole_end[new] = end, memory.hole_end[hole]
                memory.hole_packet[new], memory.hole_doubt[new] = (
                    memory.hole_packet[hole],
                    memory.hole_doubt[hole],
                )
                memory.hole_next[new] = following
                memory.hole_next[hole] = new
                memory.hole_end[hole] = start
                side.holes += 1
                return
            if left:
                memory.hole_end[hole] = start
            elif right:
                memory.hole_start[hole] = end
            else:
                drop_hole(memory, side, hole, before)
                hole = following
                continue
        before = hole
        hole = following


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def drop_hole(memory: Any, side: Any, hole: int, before: int) -> None:
    """Unlink ``hole``, which follows ``before`` (-1 where it's the first)."""
    if before < 0:
        side.hole = memory.hole_next[hole]
    else:
        memory.hole_next[before] = memory.hole_next[hole]
    side.holes -= 1
