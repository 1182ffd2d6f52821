"""Level 2: do sequence numbers go on where they left off? Loss, resending and reordering are legal."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from benchmark.validator.findings import SEQ_GAP, SEQ_INSIDE, SEQ_OVERLAP, SEQ_WINDOW, mark
from benchmark.validator.state import drop_hole, fill_holes, knows, open_hole, remember, unwrap
from benchmark.wire import FIN

WORD = 0xFFFFFFFF
ETHERNET_SEGMENT = 1460  # the usual MSS; larger payloads are several segments joined by offload


class Segment(NamedTuple):
    """One TCP packet, as the level 2 machine takes it.

    time: ns. stamp, echo: the timestamp option, where has_stamp. lost: packets of the trace so far that
    belong to no flow any more, and may have been anyone's. fresh: its timestamp isn't older than the newest
    (true where it has none); newer: it's later than the newest.
    """

    packet: Any
    time: Any
    seq: Any
    ack: Any
    flags: Any
    payload: Any
    window: Any
    has_stamp: Any
    stamp: Any
    echo: Any
    lost: Any
    fresh: Any
    newer: Any


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def synchronise(side: Any, key: int, memory: Any, number: int) -> None:
    """Take ``number`` for the next sequence number of a direction of which nothing is known."""
    side.synced = 1
    side.base = number
    side.top = number
    side.acked = number
    side.acked_before = number
    side.acked_packet = -1
    side.edge = -1
    side.hole = -1
    side.holes = 0
    remember(memory.numbers, key, number)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def joined(side: Any) -> bool:
    """Tell whether the direction's packets were joined by offload, so that segment edges can't be known."""
    return bool(side.oversize > 2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def distrust(segment: Any, side: Any, key: int, memory: Any) -> None:
    """Take note of a packet that a receiver would drop: what it says may be true, and excuses others."""
    side.doubt += 1
    if side.synced:
        seq = unwrap(side.top, segment.seq)
        remember(memory.numbers, key, seq)
        remember(memory.numbers, key, seq + segment.payload)
    if side.stamp >= 0 and segment.has_stamp:
        remember(memory.stamps, key, unwrap(side.stamp, segment.stamp))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_sequence(segment: Any, side: Any, other: Any, key: int, memory: Any, marks: Any) -> bool:
    """Judge the numbers of a segment and move ``side`` on; False if a receiver would ignore it."""
    i = segment.packet
    length = segment.payload + (1 if segment.flags & FIN else 0)
    if not side.synced:
        synchronise(side, key, memory, (np.int64(1) << 32) + segment.seq)
    seq = unwrap(side.top, segment.seq)
    end = seq + length
    if _outside(side, seq, end):
        side.doubt += 1
        if seq != side.leap_end:
            mark(marks, i, SEQ_WINDOW, end & WORD, side.edge & WORD)
            side.leap_end = end
            return False
        # A second packet goes on from there: the capture missed a stretch.
        synchronise(side, key, memory, seq)
    side.leap_end = -1
    side.largest = max(side.largest, segment.payload)
    if segment.payload > (other.mss if other.mss > 0 else ETHERNET_SEGMENT):
        side.oversize += 1
    doubt = side.doubt + segment.lost
    if length > 0:
        _settle_overlap(side, seq, marks)
    if end > side.top or seq > side.top:
        _advance(segment, side, key, memory, marks, seq, end)
        side.top = max(end, seq)
        side.top_packet = i
        side.top_doubt = doubt
    elif length > 0:
        if not knows(memory.numbers, key, seq) and not _in_hole(memory, side, seq):
            side.suspect = i
        fill_holes(memory, side, seq, end)
    elif segment.fresh and seq < side.top and seq >= side.base:
        _judge_old_acknowledgement(segment, side, key, memory, marks, seq)
    remember(memory.numbers, key, seq)
    if length > 0:
        remember(memory.numbers, key, end)
        remember(memory.numbers, key, seq + segment.payload)
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _outside(side: Any, seq: int, end: int) -> bool:
    """Tell whether a segment lies beyond the window, or a window and more behind what was acknowledged."""
    # A zero-window probe carries one byte beyond the edge (RFC 9293 §3.8.6.1).
    if side.edge >= 0 and end > side.edge + 1:
        return True
    # A keep-alive repeats the byte before the next (RFC 9293 §3.8.4).
    if side.isn >= 0 and seq < side.base - 1:
        return True
    return bool(side.widest > 0 and seq < side.acked - side.widest - 1)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _settle_overlap(side: Any, seq: int, marks: Any) -> None:
    """Blame an overlap: if the sender went on from the second packet's end, the first was too long."""
    if side.overlap_packet < 0 or seq < side.top:
        return
    culprit = side.overlap_packet
    if seq == side.top and side.overlap_before >= 0:
        culprit = side.overlap_before
    mark(marks, culprit, SEQ_OVERLAP, (side.top - side.overlap_size) & WORD, side.top & WORD)
    if culprit == side.overlap_packet and seq == side.top + side.overlap_size:
        side.top = seq
    side.overlap_packet = -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _advance(segment: Any, side: Any, key: int, memory: Any, marks: Any, seq: int, end: int) -> None:
    """Handle a segment that moves the top: in order, over a gap, or from inside what was seen."""
    i = segment.packet
    if seq > side.top:
        # An unreadable packet since the last may well have carried what is missing.
        if side.doubt + segment.lost == side.top_doubt:
            open_hole(memory, side, side.top, seq, side.suspect if side.suspect >= 0 else i)
    elif seq < side.top:
        hole = _hole_at(memory, side, seq)
        if hole >= 0 and memory.hole_end[hole] == side.top:
            # New data runs over the number that a bare acknowledgement claimed to have reached.
            mark(marks, memory.hole_packet[hole], SEQ_GAP, side.top & WORD, memory.hole_start[hole] & WORD)
        elif not knows(memory.numbers, key, seq) and hole < 0 and seq > side.base and not joined(side):
            side.overlap_packet, side.overlap_before = i, side.top_packet
            side.overlap_size = side.top - seq
        fill_holes(memory, side, seq, end)
    side.suspect = -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_old_acknowledgement(segment: Any, side: Any, key: int, memory: Any, marks: Any, seq: int) -> None:
    """Judge a bare acknowledgement below the top: it shows what its sender really sends next."""
    hole = _hole_at(memory, side, seq)
    if hole >= 0:
        start, culprit = memory.hole_start[hole], memory.hole_packet[hole]
        mark(marks, culprit, SEQ_GAP, memory.hole_end[hole] & WORD, start & WORD)
        if side.top_packet == culprit:
            side.top = seq
        before = np.int64(-1)
        at = side.hole
        while at != hole:
            before = at
            at = memory.hole_next[at]
        drop_hole(memory, side, hole, before)
        return
    known = knows(memory.numbers, key, seq) or knows(memory.numbers, key, seq + 1)
    if not known:
        mark(marks, segment.packet, SEQ_INSIDE, seq & WORD, side.top & WORD)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hole_at(memory: Any, side: Any, number: int) -> int:
    hole = side.hole
    while hole >= 0:
        if memory.hole_start[hole] <= number < memory.hole_end[hole]:
            return int(hole)
        hole = memory.hole_next[hole]
    return -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _in_hole(memory: Any, side: Any, number: int) -> bool:
    return bool(_hole_at(memory, side, number) >= 0)
