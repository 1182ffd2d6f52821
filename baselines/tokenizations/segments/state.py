"""The state of a trace written segment by segment: what each token changes, what may follow, what a network sees.

A segment is opened by a request (TCP, QUIC) or by a second having passed (RTP). Its header says how many bytes
are to come down, how fast, and when the next request follows; the state counts what has come since. A row keeps
real numbers (``OPENED`` and on) and whole ones (``PHASE`` and on); times are seconds since the flow began.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from baselines.parts.asked import at_moment
from baselines.parts.learnt_symbols import LARGEST_PAYLOAD
from baselines.parts.sketches import REQUEST_SPACING, SLICE, TRANSPORTS
from baselines.tokenizations.segments.alphabet import (
    AGES,
    CYCLE,
    DATA,
    END,
    LAGS,
    LEFTS,
    OPEN_LATER,
    OPEN_NOW,
    QUIET,
    RATE,
    RATES_SEEN,
    REQUEST,
    RTP,
    RUNS,
    SHORT,
    SIZE,
    TALK,
    TRANSPORT,
    TRIP,
)
from benchmark.trace import NANOSECONDS

DONE_SHARE, OVER_SHARE = 0.92, 1.06  # of a segment's bytes, from which it may end and must
_TALKED = 0.2  # the former of one that is talk
_TAIL = 256  # packets after which an overdue segment may only end
TCP = TRANSPORTS.index("tcp")
SPACING, _SLICE = REQUEST_SPACING / NANOSECONDS, SLICE / NANOSECONDS

# Phases of a row.
START, TRIPPING, FIRST, SIZING, RATING, CYCLING, PACKETS, ENDED = range(8)
# Columns of the real and the whole numbers that a row keeps.
OPENED, TARGET, SPEED, WAIT, GOT, NOW = range(6)
PHASE, WAY, SIZE_BIN, RATE_BIN, LATER, TAIL, TRIP_BIN, RUN, LAST_RUN, OLDER_RUN, BLOCKS, LED = range(12)
REALS, WHOLES = 6, 12


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def talks(size: float, way: int) -> bool:
    """Tell whether a segment of so many bytes is talk."""
    return way != RTP and 0 < size < TALK


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def describe(real: Any, whole: Any, asked: Any, out: Any) -> None:
    """Write the state columns of one row to ``out``; of the rungs asked for, that at the segment's expected end."""
    speed = real[SPEED]
    if whole[WAY] == RTP and real[TARGET] > 0:
        speed = real[TARGET] / _SLICE
    end = real[NOW]
    if speed > 0:
        end = max(end, real[OPENED] + real[TARGET] / speed)
    out[0] = at_moment(asked.rungs, asked.window, end + asked.began) + 1
    out[1] = whole[SIZE_BIN]
    out[2] = (whole[RATE_BIN] + RATES_SEEN - 1) // RATES_SEEN
    left = real[TARGET] - real[GOT]
    if talks(real[TARGET], whole[WAY]):
        out[3] = LEFTS - 1
    elif left > 0:
        out[3] = min(3 + int(2 * np.log2(1 + left / 64)), LEFTS - 2)
    elif real[GOT] <= OVER_SHARE * real[TARGET]:
        out[3] = 2
    else:
        out[3] = 1 if real[TARGET] > 0 else 0
    out[4] = len(LAGS) // 2
    if speed > 0:
        lag = (real[NOW] - real[OPENED]) - min(real[GOT], real[TARGET]) / speed
        out[4] = np.searchsorted(LAGS, lag)
    later = 0
    if whole[LATER] > 0:
        later = 1 if real[NOW] < real[OPENED] + real[WAIT] else 2
    out[5] = 3 * max(whole[WAY], 0) + later
    out[6] = np.searchsorted(AGES, real[NOW])
    out[7] = whole[TRIP_BIN]
    # Packets down since the last one up, and how many there were before: what delayed acknowledgements count.
    out[8] = min(whole[RUN], RUNS - 1)
    out[9] = min(whole[LAST_RUN], RUNS - 1)
    out[10] = min(whole[OLDER_RUN], RUNS - 1)
    out[11] = whole[BLOCKS]
    out[12] = at_moment(asked.stalls, asked.window, real[NOW] + asked.began)
    out[13] = at_moment(asked.links, asked.step, real[NOW] + asked.began)
    out[14] = asked.loss


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def allowed(real: Any, whole: Any, duration: float) -> int:
    """Return the set of token kinds that may follow, one bit each."""
    phase = whole[PHASE]
    if phase == START:
        return 1 << TRANSPORT
    if phase == TRIPPING:
        return 1 << TRIP
    if phase == SIZING:
        return 1 << SIZE
    if phase == RATING:
        return 1 << RATE
    if phase == CYCLING:
        return 1 << CYCLE
    if phase == ENDED or real[NOW] >= duration:
        return 1 << END
    if whole[WAY] == RTP:
        return (1 << QUIET) | (1 << SHORT) | (1 << REQUEST) | (1 << DATA)
    opening = 1 << (OPEN_LATER if whole[LATER] > 0 else OPEN_NOW)
    if phase == FIRST:
        return opening
    done, most = DONE_SHARE, OVER_SHARE * real[TARGET]
    if talks(real[TARGET], whole[WAY]):
        done, most = _TALKED, TALK
    bits = 0
    if whole[TAIL] < _TAIL:
        bits |= 1 << QUIET
        if real[NOW] - real[OPENED] < SPACING:
            bits |= (1 << SHORT) | (1 << REQUEST)
        elif whole[WAY] != TCP:
            bits |= 1 << SHORT
        if real[GOT] < most:
            bits |= 1 << DATA
    if real[GOT] >= done * real[TARGET]:
        bits |= opening
    return bits


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def open_segment(real: Any, whole: Any) -> None:
    """Forget the last segment's header; the one that opens now has none yet."""
    real[OPENED] = real[NOW]
    real[TARGET] = real[SPEED] = real[WAIT] = real[GOT] = 0.0
    whole[SIZE_BIN] = whole[RATE_BIN] = whole[LATER] = whole[TAIL] = 0


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_header(real: Any, whole: Any, kind: int, place: int, value: float) -> None:
    """Take in a header token: its bin ``place`` (transport, round trip, size, rate or cycle) and its value."""
    if kind == TRANSPORT:
        whole[WAY] = place
        whole[PHASE] = TRIPPING
    elif kind == TRIP:
        whole[TRIP_BIN] = place
        whole[PHASE] = SIZING if whole[WAY] == RTP else FIRST
    elif kind == SIZE:
        # A header without a request before it opens its own segment.
        if whole[PHASE] != SIZING or whole[WAY] == RTP:
            open_segment(real, whole)
        real[TARGET] = value
        whole[SIZE_BIN] = place
        whole[PHASE] = RATING
    elif kind == RATE:
        real[SPEED] = 0.0 if talks(real[TARGET], whole[WAY]) else value
        whole[RATE_BIN] = place
        whole[PHASE] = CYCLING
    elif kind == CYCLE:
        real[WAIT] = value
        whole[LATER] = 1 if place > 0 else 0
        whole[PHASE] = PACKETS
    elif kind == END:
        whole[PHASE] = ENDED


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_packet(real: Any, whole: Any, kind: int, up: bool, size: int, now: float) -> None:
    """Take in a packet that passed at ``now`` seconds; size: see ``learnt_symbols.sizes_of``."""
    real[NOW] = now
    if up:
        whole[BLOCKS] = max(0, size - LARGEST_PAYLOAD)
    if not up:
        whole[RUN] += 1
    elif whole[RUN] > 0:
        whole[OLDER_RUN] = whole[LAST_RUN]
        whole[LAST_RUN] = whole[RUN]
        whole[RUN] = 0
    if kind in (OPEN_NOW, OPEN_LATER):
        open_segment(real, whole)
        whole[PHASE] = SIZING
        return
    if not up:
        real[GOT] += size
    if real[GOT] >= DONE_SHARE * real[TARGET] and whole[WAY] != RTP:
        whole[TAIL] += 1
    whole[PHASE] = SIZING if whole[WAY] == RTP and now >= real[OPENED] + _SLICE else PACKETS
