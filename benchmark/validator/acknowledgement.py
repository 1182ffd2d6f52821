"""Level 2: acknowledgements and SACK blocks speak of data that was sent, at its edges, and don't go back."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.validator.findings import ACK_BACK, ACK_INSIDE, ACK_UNSEEN, SACK, SEQ_GAP, mark
from benchmark.validator.sequence import WORD, joined
from benchmark.validator.state import knows, remember, unwrap


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_acknowledgement(segment: Any, side: Any, other: Any, key: int, memory: Any, marks: Any) -> None:
    """Judge the acknowledgement of a segment against ``other``, whose set of edges is ``key``'s."""
    i = segment.packet
    if not other.synced:
        return
    ack = unwrap(other.top, segment.ack)
    if ack > other.top:
        # A capture that began with a keep-alive saw the number before the next (RFC 9293 §3.8.4).
        probed = other.isn < 0 and other.largest == 0 and ack == other.top + 1
        if other.doubt + segment.lost == other.top_doubt and not probed:
            mark(marks, i, ACK_UNSEEN, ack & WORD, other.top & WORD)
            if side.leap_ack < 0 or ack < side.leap_ack:
                side.leap_ack = ack
                return
            side.leap_ack = -1
            other.gaps += 1
        # An unreadable packet carried it, or a second acknowledgement says the same: the capture missed it.
        other.top = ack
        other.top_packet = -1
        other.top_doubt = other.doubt + segment.lost
        remember(memory.numbers, key, ack)
    elif ack < other.acked:
        known = other.isn >= 0 or ack >= other.base
        if known and segment.newer and ack > other.acked_before and other.acked_packet >= 0:
            # The newer one goes on from before the leap: the leap was wrong.
            mark(marks, other.acked_packet, ACK_BACK, other.acked & WORD, ack & WORD)
            other.acked, other.acked_packet = ack, -1
        elif known and (segment.newer or ack < other.base):
            mark(marks, i, ACK_BACK, ack & WORD, other.acked & WORD)
        elif known and _inside(other, key, memory, ack):
            mark(marks, i, ACK_INSIDE, ack & WORD, 0)
        return
    elif ack > other.acked and _inside(other, key, memory, ack):
        mark(marks, i, ACK_INSIDE, ack & WORD, 0)
        return
    if ack > other.acked:
        other.acked_before, other.acked_packet = other.acked, i
    other.acked = ack
    _blame_holes(segment, other, memory, marks, ack)
    scale = np.int64(14)
    if side.syn_packet >= 0 and other.syn_packet >= 0:
        scale = np.int64(side.shift) if side.shift >= 0 and other.shift >= 0 else np.int64(0)
    window = np.int64(segment.window) << scale
    other.widest = max(other.widest, window)
    other.edge = max(other.edge, ack + window)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _inside(other: Any, key: int, memory: Any, ack: int) -> bool:
    """Tell whether ``ack`` falls inside a segment that was seen whole."""
    if joined(other) or knows(memory.numbers, key, ack):
        return False
    hole = other.hole
    while hole >= 0 and memory.hole_start[hole] < ack:
        if ack <= memory.hole_end[hole]:
            return False
        hole = memory.hole_next[hole]
    # A receiver whose window ends there takes part of a segment.
    return bool(ack != other.edge)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _blame_holes(segment: Any, other: Any, memory: Any, marks: Any, ack: int) -> None:
    """Data that is acknowledged but never came: blame the packet that leapt over it."""
    while other.hole >= 0 and memory.hole_start[other.hole] < ack:
        hole = other.hole
        other.gaps += 1
        if memory.hole_doubt[hole] == other.doubt:
            end, start = memory.hole_end[hole] & WORD, memory.hole_start[hole] & WORD
            mark(marks, memory.hole_packet[hole], SEQ_GAP, end, start)
        if memory.hole_end[hole] > ack:
            memory.hole_start[hole] = ack
            return
        other.hole = memory.hole_next[hole]
        other.holes -= 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_sack(segment: Any, other: Any, key: int, memory: Any, marks: Any, data: Any, at: int, blocks: int) -> None:
    """Judge ``blocks`` SACK blocks whose first edge stands at ``at`` (RFC 2018 §3, D-SACK: RFC 2883)."""
    if not other.synced:
        return
    for k in range(blocks):
        left = unwrap(other.top, _long(data, at + 8 * k))
        right = unwrap(other.top, _long(data, at + 8 * k + 4))
        trusted = other.doubt + segment.lost == other.top_doubt
        wrong = right <= left or (right > other.top and trusted) or (k > 0 and left < unwrap(other.top, segment.ack))
        sure = other.isn >= 0 and other.doubt + segment.lost == 0 and left >= other.base and right <= other.top
        if wrong or (sure and (_inside(other, key, memory, left) or _inside(other, key, memory, right))):
            mark(marks, segment.packet, SACK, right & WORD, other.top & WORD)
            return


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _long(data: Any, at: int) -> Any:
    value = np.int64(0)
    for k in range(4):
        value = (value << 8) | np.int64(data[at + k])
    return value
