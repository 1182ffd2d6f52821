"""The packets of one segment: a Markov chain that a header's bytes, rate and trailing rows rein in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.chains import Pools, draw_from
from baselines.parts.fixed_symbols import GAPS, SIZES, SYMBOLS, draw_gap, draw_payload
from baselines.parts.rows import Rows
from baselines.parts.sketches import REQUEST_SPACING, SLICE
from baselines.two_level.header_pool import Header

OPEN = SYMBOLS  # the state after the row that opens a segment
TRIES = 32
STRETCH = 2.0  # the most that pacing slows packets down or speeds them up
LATE = 2_000_000_000  # ns past four times the expected end, at which a segment is given up


class Law(NamedTuple):
    """What the packets of a segment are drawn from.

    rows: int32 [states], the row of ``following`` with the symbols that come after each.
    payloads: of each application and kind. application: its number. request: the first kind that is a request.
    """

    rows: NDArray[np.int32]
    following: Pools
    payloads: Pools
    application: int
    request: int


def add_segment(rows: Rows, law: Law, header: Header, end: int, random: np.random.Generator) -> int:
    """Add the rows that follow the opening one; return when the next segment opens, ns."""
    opened, start = rows.latest, rows.count
    given_up = min(end, opened + 4 * header.lasts + LATE)
    rows.count, left = _fill(rows.page, start, law, opened, header.bytes, header.tail, given_up, random)
    if left == 0 and header.bytes:
        _pace(rows.page, start, rows.count, opened, opened + header.lasts)
    return max(rows.latest + header.pause, opened + REQUEST_SPACING)


def add_slice(rows: Rows, law: Law, now: int, state: int, random: np.random.Generator) -> tuple[int, int]:
    """Add the rows of one second of a call, in which nothing is asked for; return where it ends, ns.

    state: of the packet chain, ``OPEN`` at first; it is returned too, for the next second.
    """
    rows.count, state = _run(rows.page, rows.count, law, now, now + SLICE, state, random)
    return now + SLICE, state


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(page: Any, count: int, law: Any, now: int, left: int, tail: int, end: int, random: Any) -> Any:
    """Draw packets until ``left`` bytes have come down and ``tail`` rows followed, or until ``end``.

    A packet that would open a segment, or bring down more once all has come, is drawn again. Returns the
    count and the bytes still left.
    """
    state, opened = OPEN, now
    while count < len(page.ts) and (left > 0 or tail > 0):
        found = -1
        gap = 0
        for _ in range(TRIES):
            symbol = draw_from(law.following, law.rows[state], random)
            gap = draw_gap(symbol % GAPS, random)
            kind = symbol // GAPS
            opens = kind >= law.request and now + gap - opened >= REQUEST_SPACING
            brings = 0 < kind < SIZES
            if not opens and not (brings and left == 0):
                found = symbol
                break
        if found < 0:
            if left == 0 or state == OPEN:
                break
            # A state that only leads to requests: go on as after one.
            state = OPEN
            continue
        now += gap
        if now >= end:
            break
        kind = found // GAPS
        sent = draw_payload(kind, law.application, law.payloads, page.last, random)
        if left == 0:
            tail -= 1
        if kind < SIZES:
            sent = min(sent, left)
            left -= sent
        page.ts[count], page.up[count], page.payload[count] = now, kind >= SIZES, sent
        count += 1
        state = found
    return count, left


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pace(page: Any, start: int, stop: int, asked: int, finish: int) -> None:
    """Stretch or squeeze the rows after the request so that the last payload down comes at ``finish``."""
    ts = page.ts
    final = start
    for i in range(start, stop):
        if not page.up[i] and page.payload[i] > 0:
            final = i
    took = ts[final] - asked
    if took <= 0:
        return
    factor = min(max((finish - asked) / took, 1 / STRETCH), STRETCH)
    moved = np.int64(took * (factor - 1))
    for i in range(start, stop):
        if i > final:
            ts[i] += moved
        elif ts[i] > asked:
            ts[i] = asked + np.int64((ts[i] - asked) * factor)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run(page: Any, count: int, law: Any, now: int, end: int, state: int, random: Any) -> Any:
    """Draw packets until ``end``; return the count and the chain's state."""
    while count < len(page.ts):
        symbol = draw_from(law.following, law.rows[state], random)
        now += draw_gap(symbol % GAPS, random)
        if now >= end:
            break
        state = symbol
        kind = state // GAPS
        page.ts[count], page.up[count] = now, kind >= SIZES
        page.payload[count] = draw_payload(kind, law.application, law.payloads, page.last, random)
        count += 1
    return count, state
