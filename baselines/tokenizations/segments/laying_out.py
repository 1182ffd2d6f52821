"""A trace's tokens laid out in order, with the state after each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.tokenizations.segments.state import REALS, WHOLES, describe, take_header, take_packet


class Course(NamedTuple):
    """The packets of a flow as tokens. seconds: float64 [n]. up: bool [n]. sizes, symbols: int64 [n].

    opens: bool [n], requests that open a segment. header: int64 [n], the header that stands at each, -1 for none:
    after a request that opens a segment, before any other packet.
    """

    seconds: NDArray[np.float64]
    up: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    symbols: NDArray[np.int64]
    opens: NDArray[np.bool_]
    header: NDArray[np.int64]


class HeaderTokens(NamedTuple):
    """tokens: int64 [headers, 3], of size, rate and cycle. values: float64 [headers, 3], what they stand for."""

    tokens: NDArray[np.int64]
    values: NDArray[np.float64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def lay_out(opener: Any, course: Any, headers: Any, lexicon: Any, asked: Any, tokens: Any, columns: Any) -> None:
    """Write the tokens of a trace to ``tokens`` [n] and the state after each to ``columns`` [n, 1 + columns].

    opener: int64 [2], the tokens of transport and round trip.
    """
    real, whole = np.zeros(REALS), np.zeros(WHOLES, np.int64)
    n = 0
    for token in opener:
        n = _take(token, 0.0, real, whole, lexicon, asked, tokens, columns, n)
    for i in range(len(course.symbols)):
        header = course.header[i]
        for turn in range(2):
            if course.opens[i] == (turn == 0):
                token = course.symbols[i]
                kind = lexicon.kinds[token]
                take_packet(real, whole, kind, course.up[i], course.sizes[i], course.seconds[i])
                n = _note(token, real, whole, asked, tokens, columns, n)
            elif header >= 0:
                for field in range(3):
                    value = headers.values[header, field]
                    n = _take(headers.tokens[header, field], value, real, whole, lexicon, asked, tokens, columns, n)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _take(
    token: int, value: float, real: Any, whole: Any, lexicon: Any, asked: Any, tokens: Any, columns: Any, n: int
) -> int:
    """Take in and note a header token; return how many are noted."""
    take_header(real, whole, lexicon.kinds[token], lexicon.places[token], value)
    return _note(token, real, whole, asked, tokens, columns, n)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _note(token: int, real: Any, whole: Any, asked: Any, tokens: Any, columns: Any, n: int) -> int:
    tokens[n] = token
    describe(real, whole, asked, columns[n, 1:])
    return n + 1
