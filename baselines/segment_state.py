"""The state of a trace written segment by segment, advanced one token at a time; compiled, many rows at once.

A segment is opened by a request (TCP, QUIC) or by a second having passed (RTP). Its header says how many
bytes are
to come down, how fast, and when the next request follows; the state counts what has come since. All compiled
functions stand in this file: numba notices a change in a file that it cached, not in what that file imports.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

TRANSPORTS = ("tcp", "quic", "rtp")
TRIPS = 28
TRIP_FLOOR = -12.0  # log2 of seconds; two bins an octave from 0.24 ms to 4 s
RTP = 2
PER_OCTAVE = 4  # bins of size and rate
CYCLE_PER_OCTAVE = 32
SIZE_FLOOR, RATE_FLOOR, CYCLE_FLOOR = 4.0, 4.0, -6.0  # log2 of bytes, bytes/s, seconds
SIZES, RATES, CYCLES = 1 + 24 * PER_OCTAVE, 1 + 24 * PER_OCTAVE, 1 + 14 * CYCLE_PER_OCTAVE
REQUEST_SPACING = 0.05  # seconds; requests closer together belong to one segment
SLICE = 1.0  # seconds of a segment where nothing asks
NOW_PAUSE = 0.3  # seconds; a request that follows within it comes as soon as it can
DONE_SHARE, OVER_SHARE = 0.92, 1.06
_TAIL = 256  # packets after which an overdue segment may only end

# What a token is; one bit each in the set of what may follow.
END, TRANSPORT, TRIP, SIZE, RATE, CYCLE, QUIET, REQUEST, DATA, OPEN_NOW, OPEN_LATER = range(11)
# Phases of a row.
START, TRIPPING, FIRST, SIZING, RATING, CYCLING, PACKETS, ENDED = range(8)
# Columns of the real and the whole numbers that a row keeps.
OPENED, TARGET, SPEED, WAIT, GOT, NOW = range(6)
PHASE, WAY, SIZE_BIN, RATE_BIN, LATER, TAIL, TRIP_BIN, RUN, LAST_RUN, OLDER_RUN = range(10)
REALS, WHOLES = 6, 10

AGES = np.array([0.5, 1, 2, 4, 6, 8, 12, 16, 20, 25, 30, 40, 60, 120])
LAGS = np.array([-2.0, -0.8, -0.4, -0.2, -0.1, -0.05, -0.02, -0.007, 0.007, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 2.0])
_LEFTS = 48
_RUNS = 16
RUNGS = 16
COLUMNS = (
    ("rung", RUNGS),
    ("size", SIZES),
    ("rate", RATES),
    ("left", _LEFTS),
    ("lag", len(LAGS) + 1),
    ("kind", 3 * len(TRANSPORTS)),
    ("age", len(AGES) + 1),
    ("trip", TRIPS),
    ("run", _RUNS),
    ("last run", _RUNS),
    ("older run", _RUNS),
)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def describe(real: Any, whole: Any, rungs: Any, window: float, out: Any) -> None:
    """Write the state columns of one row to ``out``; ``rungs`` is asked for at the segment's expected end."""
    speed = real[SPEED]
    if whole[WAY] == RTP and real[TARGET] > 0:
        speed = real[TARGET] / SLICE
    end = real[NOW]
    if speed > 0:
        end = max(end, real[OPENED] + real[TARGET] / speed)
    place = int(end / window)
    out[0] = rungs[min(place, len(rungs) - 1)] + 1 if len(rungs) else 0
    out[1] = whole[SIZE_BIN]
    out[2] = whole[RATE_BIN]
    left = real[TARGET] - real[GOT]
    if left > 0:
        out[3] = min(3 + int(2 * np.log2(1 + left / 64)), _LEFTS - 1)
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
    out[8] = min(whole[RUN], _RUNS - 1)
    out[9] = min(whole[LAST_RUN], _RUNS - 1)
    out[10] = min(whole[OLDER_RUN], _RUNS - 1)


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
        return (1 << QUIET) | (1 << REQUEST) | (1 << DATA)
    opening = 1 << (OPEN_LATER if whole[LATER] > 0 else OPEN_NOW)
    if phase == FIRST:
        return opening
    bits = 0
    if whole[TAIL] < _TAIL:
        bits |= 1 << QUIET
        if real[NOW] - real[OPENED] < REQUEST_SPACING:
            bits |= 1 << REQUEST
        if real[GOT] < OVER_SHARE * real[TARGET]:
            bits |= 1 << DATA
    if real[GOT] >= DONE_SHARE * real[TARGET]:
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
    """Take in a header token: the bin ``place`` of the transport, round trip, size, rate or cycle, and its
    value.
    """
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
        real[SPEED] = value
        whole[RATE_BIN] = place
        whole[PHASE] = CYCLING
    elif kind == CYCLE:
        real[WAIT] = value
        whole[LATER] = 1 if place > 0 else 0
        whole[PHASE] = PACKETS
    elif kind == END:
        whole[PHASE] = ENDED


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_packet(real: Any, whole: Any, kind: int, up: bool, payload: int, now: float) -> None:
    """Take in a packet that passed at ``now`` seconds."""
    real[NOW] = now
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
        real[GOT] += payload
    if real[GOT] >= DONE_SHARE * real[TARGET] and whole[WAY] != RTP:
        whole[TAIL] += 1
    whole[PHASE] = SIZING if whole[WAY] == RTP and now >= real[OPENED] + SLICE else PACKETS


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def time_of(real: Any, whole: Any, kind: int, gap: float) -> float:
    """Return when the next packet passes, seconds: after its gap, as far as openings and requests allow."""
    now = real[NOW] + gap
    spaced = real[OPENED] + REQUEST_SPACING
    if kind == OPEN_LATER:
        return max(real[NOW] + 1e-6, real[OPENED] + real[WAIT])
    if kind == OPEN_NOW:
        return max(now, spaced)
    if kind == REQUEST and whole[WAY] != RTP and real[NOW] < spaced:
        return max(real[NOW], min(now, spaced - 1e-6))
    return now


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def header_value(kind: int, place: int, uniform: float) -> float:
    """Return the value at a share ``uniform`` of the way through a header bin, 0 for bin 0."""
    if place == 0 or kind < SIZE or kind > CYCLE:
        return 0.0
    floor = SIZE_FLOOR if kind == SIZE else RATE_FLOOR if kind == RATE else CYCLE_FLOOR
    per = CYCLE_PER_OCTAVE if kind == CYCLE else PER_OCTAVE
    return float(2.0 ** (floor + (place - 1 + uniform) / per))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def push_token(
    token: int,
    draw: Any,
    real: Any,
    whole: Any,
    kinds: Any,
    places: Any,
    up: Any,
    gaps: Any,
    sizes: Any,
    out: Any,
) -> None:
    """Advance one row by a token, drawing gap and payload within their bins from ``draw`` (two uniforms).

    kinds, places: int64 [vocabulary]. up: bool [vocabulary]. gaps: log10 ns quantiles [vocabulary, 9].
    sizes: payload quantiles [vocabulary, 9]. out: int64 [3], ns, up and payload of a packet; -1 where none.
    """
    kind = kinds[token]
    out[0] = -1
    if kind < QUIET:
        take_header(real, whole, kind, places[token], header_value(kind, places[token], draw[0]))
        return
    gap = 10.0 ** (quantile(gaps[token], draw[0]) - 9.0)
    payload = int(np.rint(quantile(sizes[token], draw[1])))
    now = time_of(real, whole, kind, gap)
    out[0] = int(now * 1e9)
    out[1] = up[token]
    out[2] = payload
    take_packet(real, whole, kind, up[token], payload, now)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def quantile(points: Any, uniform: float) -> float:
    """Interpolate between evenly spaced quantiles."""
    x = uniform * (len(points) - 1)
    k = min(int(x), len(points) - 2)
    return points[k] + (x - k) * (points[k + 1] - points[k])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def describe_rows(real: Any, whole: Any, rungs: Any, window: Any, out: Any) -> None:
    """State columns of all rows, the application's left to the caller; out [rows, 1 + columns]."""
    for row in range(len(real)):
        describe(real[row], whole[row], rungs[row], window[row], out[row, 1:])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def allow_rows(real: Any, whole: Any, duration: Any, out: Any) -> None:
    """Sets of token kinds that may follow in each row."""
    for row in range(len(real)):
        out[row] = allowed(real[row], whole[row], duration[row])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def push_rows(
    tokens: Any,
    draws: Any,
    real: Any,
    whole: Any,
    kinds: Any,
    places: Any,
    up: Any,
    gaps: Any,
    sizes: Any,
    rows: Any,
    packets: Any,
    written: Any,
) -> None:
    """Advance every row by its token; note packets in ``packets`` [traces, most, 3], whose rows are
    ``rows``.
    """
    packet = np.zeros(3, np.int64)
    for row in range(len(tokens)):
        push_token(tokens[row], draws[row], real[row], whole[row], kinds, places, up, gaps, sizes, packet)
        if packet[0] >= 0:
            at = rows[row]
            packets[at, written[at]] = packet
            written[at] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def lay_out(
    seconds: Any,
    up: Any,
    payload: Any,
    symbols: Any,
    opens: Any,
    header_at: Any,
    bins: Any,
    values: Any,
    firsts: Any,
    opener: Any,
    kinds: Any,
    places: Any,
    rungs: Any,
    window: float,
    tokens: Any,
    columns: Any,
) -> None:
    """Lay out the tokens of a trace, with the state after each."""
    real, whole = np.zeros(REALS), np.zeros(WHOLES, np.int64)
    n = 0
    for token in opener:
        take_header(real, whole, kinds[token], places[token], 0.0)
        tokens[n] = token
        describe(real, whole, rungs, window, columns[n, 1:])
        n += 1
    for i in range(len(symbols)):
        header = header_at[i]
        if opens[i]:
            take_packet(real, whole, kinds[symbols[i]], up[i], payload[i], seconds[i])
            tokens[n] = symbols[i]
            describe(real, whole, rungs, window, columns[n, 1:])
            n += 1
        if header >= 0:
            for field in range(3):
                token = firsts[field] + bins[header, field]
                take_header(real, whole, kinds[token], places[token], values[header, field])
                tokens[n] = token
                describe(real, whole, rungs, window, columns[n, 1:])
                n += 1
        if not opens[i]:
            take_packet(real, whole, kinds[symbols[i]], up[i], payload[i], seconds[i])
            tokens[n] = symbols[i]
            describe(real, whole, rungs, window, columns[n, 1:])
            n += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def replay(
    tokens: Any,
    draws: Any,
    real: Any,
    whole: Any,
    kinds: Any,
    places: Any,
    up: Any,
    gaps: Any,
    sizes: Any,
    rows: Any,
) -> None:
    """Play a token sequence back into packets, rows [tokens, 3]."""
    for i in range(len(tokens)):
        push_token(tokens[i], draws[i], real, whole, kinds, places, up, gaps, sizes, rows[i])
