"""The packets of one segment: a Markov chain that a header's bytes, rate and trailing rows rein in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.binning import GAPS, SIZES, SYMBOLS, UP_REQUEST, draw_gap, draw_payload
from baselines.chains import Chain, Pools, draw_from
from baselines.header_pool import Header
from baselines.segments import REQUEST_APART, SLICE

OPEN = SYMBOLS  # the state after the row that opens a segment
MOST_ROWS = 1_000_000
TRIES = 32
STRETCH = 2.0  # the most that pacing slows packets down or speeds them up
LATE = 2_000_000_000  # ns past four times the expected end, at which a segment is given up


@dataclass
class Rows:
    """The rows of a growing sketch; ``count`` are filled. state: of the packet chain."""

    ts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MOST_ROWS, np.int64))
    up: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(MOST_ROWS, np.bool_))
    payload: NDArray[np.int32] = field(default_factory=lambda: np.zeros(MOST_ROWS, np.int32))
    last: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    count: int = 0
    state: int = OPEN

    @property
    def full(self) -> bool:
        """Tell whether there is no room for another row."""
        return self.count >= MOST_ROWS

    def add(self, now: int, up: bool, payload: int) -> None:
        """Add the row that opens a segment."""
        self.ts[self.count], self.up[self.count], self.payload[self.count] = now, up, payload
        self.count += 1
        self.state = OPEN


def add_segment(
    rows: Rows,
    chain: Chain,
    payloads: Pools,
    key: int,
    application: int,
    header: Header,
    end: int,
    random: np.random.Generator,
) -> int:
    """Add the rows that follow the opening one; return when the next segment opens, ns."""
    opened = int(rows.ts[rows.count - 1])
    start = rows.count
    rows.count, left, asked = _fill(
        rows.ts,
        rows.up,
        rows.payload,
        start,
        rows.last,
        chain.rows[key],
        chain.pools,
        payloads,
        application,
        opened,
        header.bytes,
        header.tail,
        min(end, opened + 4 * header.lasts + LATE),
        random,
    )
    if left == 0 and header.bytes:
        _pace(rows.ts, rows.up, rows.payload, start, rows.count, asked, opened + header.lasts)
    return max(int(rows.ts[rows.count - 1]) + header.pause, asked + REQUEST_APART)


def add_slice(
    rows: Rows,
    chain: Chain,
    payloads: Pools,
    key: int,
    application: int,
    now: int,
    random: np.random.Generator,
) -> int:
    """Add the rows of one second of a call, in which nothing is asked for; return where it ends, ns."""
    rows.count, rows.state = _run(
        rows.ts,
        rows.up,
        rows.payload,
        rows.count,
        rows.last,
        chain.rows[key],
        chain.pools,
        payloads,
        application,
        now,
        now + SLICE,
        rows.state,
        random,
    )
    return now + SLICE


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(
    ts: Any,
    up: Any,
    payload: Any,
    count: int,
    last: Any,
    rows: Any,
    pools: Any,
    payloads: Any,
    application: int,
    now: int,
    left: int,
    tail: int,
    end: int,
    random: Any,
) -> Any:
    """Draw packets until ``left`` bytes have come down and ``tail`` rows followed, or until ``end``.

    A packet that would open a segment, or bring down more once all has come, is drawn again. Returns the
    count, the bytes still left and when the last packet of the request went up.
    """
    state, asked = OPEN, now
    while count < len(ts) and (left > 0 or tail > 0):
        found = -1
        gap = 0
        for _ in range(TRIES):
            symbol = draw_from(pools, rows[state], random)
            gap = draw_gap(symbol % GAPS, random)
            kind = symbol // GAPS
            opens = kind >= UP_REQUEST and now + gap - asked >= REQUEST_APART
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
        sent = draw_payload(kind, application, payloads, last, random)
        if kind >= UP_REQUEST:
            asked = now
        if left == 0:
            tail -= 1
        if kind < SIZES:
            sent = min(sent, left)
            left -= sent
        ts[count], up[count], payload[count] = now, kind >= SIZES, sent
        count += 1
        state = found
    return count, left, asked


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pace(ts: Any, up: Any, payload: Any, start: int, stop: int, asked: int, finish: int) -> None:
    """Stretch or squeeze the rows after the request so that the last payload down comes at ``finish``."""
    final = start
    for i in range(start, stop):
        if not up[i] and payload[i] > 0:
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
def _run(
    ts: Any,
    up: Any,
    payload: Any,
    count: int,
    last: Any,
    rows: Any,
    pools: Any,
    payloads: Any,
    application: int,
    now: int,
    end: int,
    state: int,
    random: Any,
) -> Any:
    """Draw packets until ``end``; return the count and the chain's state."""
    while count < len(ts):
        symbol = draw_from(pools, rows[state], random)
        now += draw_gap(symbol % GAPS, random)
        if now >= end:
            break
        state = symbol
        kind = state // GAPS
        ts[count], up[count] = now, kind >= SIZES
        payload[count] = draw_payload(kind, application, payloads, last, random)
        count += 1
    return count, state
