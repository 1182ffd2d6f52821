"""Tokens to packets and back, with the state advanced on the way; compiled, many rows at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import row_of
from baselines.tokenizations.segments.alphabet import (
    CYCLE,
    CYCLE_FLOOR,
    CYCLE_PER_OCTAVE,
    OPEN_LATER,
    OPEN_NOW,
    PER_OCTAVE,
    QUIET,
    RATE,
    RATE_FLOOR,
    RATE_PER_OCTAVE,
    SIZE,
    SIZE_FLOOR,
)
from baselines.tokenizations.segments.pacing import heed_gap, time_of
from baselines.tokenizations.segments.state import allowed, describe, take_header, take_packet


class Lexicon(NamedTuple):
    """What each token is.

    kinds, places: int64 [vocabulary], its kind and its number within the kind. up: bool [vocabulary].
    gaps: float64 [vocabulary, 9], quantiles of log10 ns. sizes: float64 [vocabulary, 9].
    """

    kinds: NDArray[np.int64]
    places: NDArray[np.int64]
    up: NDArray[np.bool_]
    gaps: NDArray[np.float64]
    sizes: NDArray[np.float64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def header_value(kind: int, place: int, uniform: float) -> float:
    """Return the value at a share ``uniform`` of the way through a header bin, 0 for bin 0."""
    if place == 0 or kind < SIZE or kind > CYCLE:
        return 0.0
    floor = SIZE_FLOOR if kind == SIZE else RATE_FLOOR if kind == RATE else CYCLE_FLOOR
    per = CYCLE_PER_OCTAVE if kind == CYCLE else RATE_PER_OCTAVE if kind == RATE else PER_OCTAVE
    return float(2.0 ** (floor + (place - 1 + uniform) / per))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def quantile(points: Any, uniform: float) -> float:
    """Interpolate between evenly spaced quantiles."""
    x = uniform * (len(points) - 1)
    k = min(int(x), len(points) - 2)
    return points[k] + (x - k) * (points[k + 1] - points[k])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def push_token(token: int, draw: Any, real: Any, whole: Any, lexicon: Any, out: Any) -> None:
    """Advance one row by a token, drawing gap and payload within their bins from ``draw`` (two uniforms).

    out: int64 [3], ns, up and size of a packet; -1 where none.
    """
    kind = lexicon.kinds[token]
    out[0] = -1
    if kind < QUIET:
        place = lexicon.places[token]
        take_header(real, whole, kind, place, header_value(kind, place, draw[0]))
        return
    gap = 10.0 ** (quantile(lexicon.gaps[token], draw[0]) - 9.0)
    if kind != OPEN_NOW and kind != OPEN_LATER:
        gap = heed_gap(gap, real, whole)
    size = int(np.rint(quantile(lexicon.sizes[token], draw[1])))
    now = time_of(real, whole, kind, gap)
    out[0] = int(now * 1e9)
    out[1] = lexicon.up[token]
    out[2] = size
    take_packet(real, whole, kind, lexicon.up[token], size, now)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def describe_rows(real: Any, whole: Any, asked: Any, out: Any) -> None:
    """State columns of all rows, the application's left to the caller; out [rows, 1 + columns]."""
    for row in range(len(real)):
        describe(real[row], whole[row], row_of(asked, row), out[row, 1:])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def allow_rows(real: Any, whole: Any, duration: Any, out: Any) -> None:
    """Sets of token kinds that may follow in each row."""
    for row in range(len(real)):
        out[row] = allowed(real[row], whole[row], duration[row])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def push_rows(
    tokens: Any, draws: Any, real: Any, whole: Any, lexicon: Any, rows: Any, packets: Any, written: Any
) -> None:
    """Advance every row by its token; note packets in ``packets`` [traces, most, 3], whose rows are ``rows``."""
    packet = np.zeros(3, np.int64)
    for row in range(len(tokens)):
        push_token(tokens[row], draws[row], real[row], whole[row], lexicon, packet)
        if packet[0] >= 0:
            at = rows[row]
            packets[at, written[at]] = packet
            written[at] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def replay(tokens: Any, draws: Any, real: Any, whole: Any, lexicon: Any, packets: Any) -> None:
    """Play a token sequence back into packets [tokens, 3]."""
    for i in range(len(tokens)):
        push_token(tokens[i], draws[i], real, whole, lexicon, packets[i])
