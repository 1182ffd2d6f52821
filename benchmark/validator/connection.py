"""Level 2: how a connection opens and closes, and what its handshake agrees on."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.validator.findings import (
    AFTER_FIN,
    AFTER_RST,
    ECN,
    HANDSHAKE_NUMBER,
    HANDSHAKE_ORDER,
    NO_HANDSHAKE,
    OPTION_UNOFFERED,
    SEQ_WINDOW,
    SYN_AGAIN,
    mark,
)
from benchmark.validator.sequence import WORD, synchronise
from benchmark.validator.state import ANSWERED, ASKED, FRESH, MIDDLE, OPEN, clear, remember, unwrap
from benchmark.wire import ACK, CWR, ECE, FIN, SYN

GRACE = 1_000_000_000  # ns: a flow without SYN this early was open before the capture began
MILLISECOND = 1_000_000


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def open_without_syn(segment: Any, side: Any, other: Any, marks: Any) -> None:
    """Judge a flow's first packet that isn't a SYN; an unreadable one before it may have been the SYN."""
    if side.doubt + other.doubt + segment.lost > 0:
        return
    if segment.flags & SYN:
        mark(marks, segment.packet, HANDSHAKE_ORDER, segment.flags, 0)
    elif segment.time > GRACE:
        mark(marks, segment.packet, NO_HANDSHAKE, segment.time // MILLISECOND, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_syn(
    segment: Any,
    side: Any,
    other: Any,
    key: int,
    phase: int,
    asker: bool,
    memory: Any,
    marks: Any,
    options: Any,
) -> int:
    """Judge a SYN or SYN-ACK, take its numbers and options, and return the connection's phase.

    asker: whether this direction sent the SYN that opened it. options: (mss, shift, sack, has_stamp).
    """
    answer = (segment.flags & ACK) != 0
    if side.isn >= 0 and unwrap(side.isn, segment.seq) == side.isn:
        return phase
    closed = side.fin >= 0 or other.fin >= 0 or side.rst_packet >= 0 or other.rst_packet >= 0
    if not answer and (phase == FRESH or closed or (phase == ASKED and asker)):
        clear(side)
        clear(other)
        _take_syn(segment, side, key, memory, options)
        return ASKED
    if answer and phase == ASKED and not asker:
        due = unwrap(other.top, segment.ack)
        if due <= other.isn or due > other.top:
            mark(marks, segment.packet, HANDSHAKE_NUMBER, segment.ack, other.top & WORD)
            # Either number may be wrong: the next packet tells.
            other.synced = 0
            other.isn = -1
        if options[1] >= 0 and other.shift < 0:
            mark(marks, segment.packet, OPTION_UNOFFERED, 3, 0)
        if options[2] and not other.sack:
            mark(marks, segment.packet, OPTION_UNOFFERED, 4, 0)
        if options[3] and not other.stamps:
            mark(marks, segment.packet, OPTION_UNOFFERED, 8, 0)
        _take_syn(segment, side, key, memory, options)
        other.acked = other.top
        other.edge = other.top + segment.window
        other.widest = max(other.widest, segment.window)
        return ANSWERED
    if not side.seen and (phase in (FRESH, MIDDLE) or (phase == ASKED and not asker)):
        _take_syn(segment, side, key, memory, options)
        return ASKED if not answer and phase == FRESH else MIDDLE
    mark(marks, segment.packet, SYN_AGAIN, segment.seq, 0)
    return phase


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _take_syn(segment: Any, side: Any, key: int, memory: Any, options: Any) -> None:
    number = (np.int64(1) << 32) + segment.seq
    synchronise(side, key, memory, number)
    remember(memory.numbers, key, number + 1)
    side.seen = 1
    side.isn = number
    side.syn_packet = segment.packet
    # Data in a SYN is TCP Fast Open (RFC 7413).
    side.top = number + 1 + segment.payload
    remember(memory.numbers, key, side.top)
    side.top_packet = segment.packet
    side.top_doubt = side.doubt + segment.lost
    side.mss, side.shift, side.sack, side.stamps = options
    side.bare_syn = segment.flags & (ECE | CWR)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_phase(segment: Any, side: Any, other: Any, phase: int, asker: bool, marks: Any) -> int:
    """Judge whether a segment without SYN and RST may come in this phase; return the next one."""
    if phase == ASKED:
        # Without a readable SYN-ACK, by loss of the capture or its corruption, the order can't be known.
        if side.doubt + other.doubt + segment.lost == 0:
            mark(marks, segment.packet, HANDSHAKE_ORDER, segment.flags, 0)
        return MIDDLE
    if phase != ANSWERED:
        return phase
    if asker:
        if other.isn >= 0:
            ack = unwrap(other.top, segment.ack)
            if ack <= other.isn or ack > other.top:
                mark(marks, segment.packet, HANDSHAKE_NUMBER, segment.ack, other.top & WORD)
                other.synced = 0
                other.isn = -1
        return OPEN
    fast_open = other.top > other.isn + 1
    if other.doubt + segment.lost == 0 and not fast_open:
        mark(marks, segment.packet, HANDSHAKE_ORDER, segment.flags, 0)
    return OPEN


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_reset(segment: Any, side: Any, marks: Any) -> None:
    """Judge a RST: its number lies in what the sender has sent or may send (RFC 9293 §3.10.7)."""
    if side.rst_packet < 0:
        side.rst_packet = segment.packet
    if not side.synced or not segment.flags & ACK:
        return
    seq = unwrap(side.top, segment.seq)
    if seq < side.base - 1 or seq > max(side.edge, side.top) + 1:
        mark(marks, segment.packet, SEQ_WINDOW, seq & WORD, side.top & WORD)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_end(segment: Any, side: Any, marks: Any) -> None:
    """Judge FIN and what follows FIN or RST; blame goes to the FIN or RST that wasn't the end."""
    i = segment.packet
    if side.rst_packet >= 0:
        mark(marks, side.rst_packet, AFTER_RST, 0, 0)
        side.rst_packet = -1
    seq = unwrap(side.top, segment.seq)
    end = seq + segment.payload
    if segment.flags & FIN:
        if side.fin >= 0 and side.fin != end + 1:
            mark(marks, i, AFTER_FIN, end & WORD, side.fin & WORD)
            return
        side.fin = end + 1
        side.fin_packet = i
        return
    if side.fin < 0:
        return
    more = segment.payload > 0 and end >= side.fin
    unsent = segment.payload == 0 and segment.fresh and seq < side.fin
    if more or unsent:
        mark(marks, side.fin_packet, AFTER_FIN, side.fin & WORD, seq & WORD)
        side.fin = -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_ecn(segment: Any, bits: int, side: Any, other: Any, asker: bool, marks: Any) -> None:
    """Judge ECE, CWR (``bits``, with AE of RFC 9768 at 0x100) where the handshake was seen."""
    if bits == 0 or side.syn_packet < 0 or other.syn_packet < 0:
        return
    asked = side.bare_syn if asker else other.bare_syn
    answered = other.bare_syn if asker else side.bare_syn
    if asked != (ECE | CWR) or answered == 0:
        mark(marks, segment.packet, ECN, bits, 0)
