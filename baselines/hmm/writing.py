"""Writes the packets of a segment: phases and symbols, reined in by what the segment is to bring down."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from baselines.hmm.packets import BINS, Phases, draw_place
from baselines.parts.chains import Pools
from baselines.parts.fixed_symbols import SIZES, draw_payload
from baselines.parts.sketches import REQUEST_SPACING

_TRIES = 32


class Law(NamedTuple):
    """What packets are drawn from. phases: running sums. edges: of the gap bins. payloads: of application, kind.

    application: its number. request: the least payload up that opens a segment.
    """

    phases: Phases
    edges: Any
    payloads: Pools
    application: int
    request: int


class Task(NamedTuple):
    """What a segment is to be: bytes down, rows after the last of them, ns that a packet takes at its rate.

    latency: ns from the opening to the first byte. freeze: ns of silence, once ``frozen`` bytes are left.
    end: ns, past which nothing is written. timed: it lasts until the end, whatever its bytes.
    """

    bytes: int
    tail: int
    unit: float
    latency: int
    freeze: int
    frozen: int
    end: int
    timed: bool


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_rows(page: Any, count: int, law: Any, task: Any, now: Any, random: Any) -> int:
    """Add the rows that follow the opening one at ``now``; return the number of rows of the page.

    A row that would open a segment, or bring down more once all has come, is drawn again.
    """
    left, tail, opened = task.bytes, task.tail, now
    phase = draw_place(law.phases.start, random)
    fresh, waiting, freezing = True, True, task.freeze > 0
    while count < len(page.ts) and (task.timed or left > 0 or tail > 0):
        if not fresh:
            phase = draw_place(law.phases.steps[phase], random)
        fresh = False
        kind, gap, found = 0, np.int64(0), False
        for _ in range(_TRIES):
            symbol = draw_place(law.phases.emissions[phase], random)
            kind, place = symbol // BINS, symbol % BINS
            low, high = law.edges[kind, place], law.edges[kind, place + 1]
            long = 10.0 ** (low + (high - low) * random.random())
            gap = np.int64(long if kind >= SIZES else long * task.unit)
            brings = 0 < kind < SIZES
            if task.timed or not (brings and left == 0):
                found = True
                break
        if not found:
            if left == 0 and not task.timed:
                break
            continue
        sent = draw_payload(kind, law.application, law.payloads, page.last, random)
        if kind < SIZES and sent > 0 and waiting and not task.timed:
            # The answer's first byte comes when the segment's latency is over.
            gap = max(gap % 50_000, opened + task.latency - now)
            waiting = False
        if freezing and left <= task.frozen:
            gap += task.freeze
            freezing = False
        if kind >= SIZES and not task.timed and sent >= law.request and now + gap - opened >= REQUEST_SPACING:
            continue
        now += gap
        if now >= task.end:
            break
        if not task.timed:
            if left == 0:
                tail -= 1
            if kind < SIZES:
                sent = min(sent, left)
                left -= sent
        page.ts[count], page.up[count], page.payload[count] = now, kind >= SIZES, sent
        count += 1
    return count
