"""Level 2: TCP timestamps rise in each direction and echo what the other side sent (RFC 7323)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.validator.findings import TS_BACK, TS_ECHO, TS_MISSING, mark
from benchmark.validator.sequence import WORD
from benchmark.validator.state import CLOCK_SLACK, knows, remember, unwrap
from benchmark.wire import ACK, SYN

LEARNING_TIME = 50_000_000  # ns of a clock's life before its own rate is believed
USUAL_RATE = 1e-6  # ticks per ns: one a millisecond, the fastest that RFC 7323 §5.4 allows


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_clock(
    segment: Any, side: Any, other: Any, key: int, other_key: int, memory: Any, marks: Any, old: bool
) -> None:
    """Judge a segment's timestamp option; ``old`` if its numbers say that it may have been overtaken."""
    if not segment.has_stamp:
        if side.stamp >= 0 and other.stamp >= 0:
            mark(marks, segment.packet, TS_MISSING, 0, 0)
        return
    if side.stamp < 0:
        value = (np.int64(1) << 32) + segment.stamp
        side.stamp_first, side.stamp_first_time = value, segment.time
        _adopt(side, segment, value)
    else:
        _judge_stamp(segment, side, marks, old)
    remember(memory.stamps, key, unwrap(side.stamp, segment.stamp))
    if segment.flags & ACK:
        _judge_echo(segment, side, other, other_key, memory, marks, old)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _adopt(side: Any, segment: Any, value: int) -> None:
    side.stamp_before, side.stamp_before_time = side.stamp, side.stamp_time
    side.stamp, side.stamp_packet, side.stamp_time = value, segment.packet, segment.time


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_stamp(segment: Any, side: Any, marks: Any, old: bool) -> None:
    value = unwrap(side.stamp, segment.stamp)
    if value > side.stamp:
        _adopt(side, segment, value)
        return
    if value == side.stamp or (old and side.stamp - value <= CLOCK_SLACK):
        return
    # Two packets contradict each other: the one further from the clock's own course is wrong.
    if side.stamp_before >= 0 and side.stamp_before <= value:
        rate = USUAL_RATE
        lived = side.stamp_before_time - side.stamp_first_time
        if lived > LEARNING_TIME:
            rate = (side.stamp_before - side.stamp_first) / lived
        newest = side.stamp_before + rate * (side.stamp_time - side.stamp_before_time)
        mine = side.stamp_before + rate * (segment.time - side.stamp_before_time)
        if abs(side.stamp - newest) > abs(value - mine):
            mark(marks, side.stamp_packet, TS_BACK, side.stamp & WORD, value & WORD)
            side.stamp, side.stamp_packet, side.stamp_time = value, segment.packet, segment.time
            return
    mark(marks, segment.packet, TS_BACK, value & WORD, side.stamp & WORD)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_echo(segment: Any, side: Any, other: Any, key: int, memory: Any, marks: Any, old: bool) -> None:
    if other.stamp < 0:
        return
    if segment.echo == 0 and segment.flags & SYN:
        # Some hosts have no clock to echo before the handshake's end; RFC 7323 §3.2 says should, hosts don't.
        return
    value = unwrap(other.stamp, segment.echo)
    seen = knows(memory.stamps, key, value)
    if value < other.stamp_first and other.syn_packet < 0:
        return
    # Where the capture missed packets, their timestamps can be echoed all the same.
    whole = other.doubt + segment.lost + other.gaps == 0
    certain = whole or value > other.stamp + CLOCK_SLACK or value < other.stamp_first
    if (certain and not seen) or (not old and value < side.echo):
        mark(marks, segment.packet, TS_ECHO, value & WORD, other.stamp & WORD)
        return
    side.echo = max(side.echo, value)
