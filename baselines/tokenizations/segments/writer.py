"""Writes a batch of segmented traces: draws headers, masks what can't follow, keeps times, sizes and budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import asked_of, delay_level, stack, take_rows
from baselines.parts.batch import Batch, keep_rows
from baselines.parts.learnt_symbols import RUNAWAY
from baselines.parts.sketches import TRANSPORTS
from baselines.tokenizations.segments.alphabet import (
    COLUMNS,
    CYCLE,
    END,
    PER_OCTAVE,
    QUIET,
    RATE,
    RATE_FLOOR,
    RATE_PER_OCTAVE,
    RATES,
    RTP,
    SIZE,
    SIZE_FLOOR,
    SIZES,
    TALK,
    TRANSPORT,
    TRIP,
    bin_of,
    trip_in,
)
from baselines.tokenizations.segments.header_model import HeaderHistory, rung_at, rung_code
from baselines.tokenizations.segments.playing import allow_rows, describe_rows, push_rows
from baselines.tokenizations.segments.script import Script
from baselines.tokenizations.segments.state import (
    ENDED,
    LED,
    NOW,
    PHASE,
    RATING,
    REALS,
    SIZING,
    START,
    TRIP_BIN,
    TRIPPING,
    WAY,
    WHOLES,
)
from benchmark.method import IntArray
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition, Trace

# How often a segment is drawn that must end by playback's start, and how much of the time that is left it may take to
# be held to end there.
_TRIES, _NEAR = 6, (0.8, 2.0)
_KEPT = ("_real", "_whole", "_applications", "_duration", "_most", "_forced", "_allowed")


class _Media(NamedTuple):
    """Bytes and bytes/s of a segment, and the rung asked for where it ends."""

    size: float
    rate: float
    rung: int


class SegmentWriter:
    """See ``benchmark.method.Writer``."""

    def __init__(self, script: Script, conditions: Sequence[Condition], seeds: Sequence[int]) -> None:
        """One row a condition, with a random stream of its own."""
        count = len(conditions)
        self._script = script
        self._masks = script.masks()
        self._batch = Batch(seeds)
        self._real = np.zeros((count, REALS))
        self._whole = np.zeros((count, WHOLES), np.int64)
        self._whole[:, WAY] = -1
        self._whole[:, LED] = 1
        self._applications = np.array([script.number(c.application) for c in conditions], np.int64)
        self._wanted = [asked_of(condition) for condition in conditions]
        self._asked = stack(self._wanted)
        self._duration = np.array([c.duration for c in conditions], float)
        self._most = np.array([1000 + RUNAWAY * script.fastest * c.duration for c in conditions])
        self._histories = [HeaderHistory(script.headers.needed) for _ in conditions]
        self._header: list[tuple[int, int, int]] = [(0, 0, 0)] * count
        self._forced = np.full(count, -1, np.int64)
        self._final = np.zeros((count, 2), np.int64)
        self._allowed = np.zeros(count, np.int64)
        self._look()

    def mask(self) -> NDArray[np.bool_]:
        """Legal next tokens, bool [rows, vocabulary]."""
        legal = self._masks[np.maximum(self._whole[:, WAY], 0), self._allowed >> QUIET]
        alone = np.flatnonzero(self._forced >= 0)
        legal[alone] = False
        legal[alone, self._forced[alone]] = True
        return np.asarray(legal)

    def columns(self) -> IntArray:
        """State columns, int64 [rows, columns]: the application and those of ``alphabet.COLUMNS``."""
        out = np.zeros((len(self._real), 1 + len(COLUMNS)), np.int64)
        out[:, 0] = self._applications + 1
        describe_rows(self._real, self._whole, self._asked, out)
        return out

    def push(self, tokens: IntArray) -> NDArray[np.bool_]:
        """Take one token a row; return which rows have ended."""
        batch, uniforms = self._batch, self._batch.draw()
        push_rows(
            *(np.asarray(tokens, np.int64), uniforms, self._real, self._whole, self._script.lexicon),
            *(batch.rows, batch.packets, batch.written),
        )
        # A decoder that drifts into ever shorter gaps must not write without end.
        self._duration[batch.written[batch.rows] >= self._most] = 0.0
        self._final[batch.rows] = self._whole[:, [WAY, TRIP_BIN]]
        self._look()
        return np.asarray(self._whole[:, PHASE] == ENDED)

    def keep(self, rows: IntArray) -> None:
        """Go on with these rows only."""
        self._batch.keep(rows)
        keep_rows(self, _KEPT, rows)
        self._asked = take_rows(self._asked, rows)
        self._wanted = [self._wanted[row] for row in rows]
        self._histories = [self._histories[row] for row in rows]
        self._header = [self._header[row] for row in rows]

    def trace(self, row: int, condition: Condition, name: str, seed: int) -> Trace:
        """Compile what an original row has written."""
        return trace_of(self.sketch(row), condition, name, seed)

    def sketch(self, row: int) -> Sketch:
        """Return the packets that an original row has written."""
        way, trip = max(0, int(self._final[row, 0])), trip_in(int(self._final[row, 1]))
        return self._batch.sketch(row, TRANSPORTS[way], round(trip * NANOSECONDS))

    def _look(self) -> None:
        """Find what may follow in each row, and draw the header tokens that are due."""
        allow_rows(self._real, self._whole, self._duration, self._allowed)
        self._forced[:] = -1
        for row in np.flatnonzero(self._allowed < (1 << QUIET)):
            self._forced[row] = self._due(int(row))

    def _due(self, row: int) -> int:
        """Return the token that must follow."""
        script, random = self._script, self._batch.streams[row]
        phase = self._whole[row, PHASE]
        if self._allowed[row] == 1 << END:
            return script.first[END]
        application = int(self._applications[row])
        if phase == START:
            return script.first[TRANSPORT] + _pick(script.transports[application + 1], random)
        if phase == TRIPPING:
            shares = script.trips[application + 1, delay_level(self._wanted[row].delay)]
            return script.first[TRIP] + _pick(shares, random)
        if phase == SIZING:
            self._header[row] = self._draw(row, application)
            return script.first[SIZE] + self._header[row][0]
        if phase == RATING:
            return script.first[RATE] + self._header[row][1]
        return script.first[CYCLE] + self._header[row][2]

    def _draw(self, row: int, application: int) -> tuple[int, int, int]:
        """Draw size, rate and cycle for the segment that opens now, at the rung asked for where it will end."""
        model, random, history = self._script.headers, self._batch.streams[row], self._histories[row]
        opened = float(self._real[row, NOW])
        wanted = self._wanted[row]
        inputs = history.features(application, len(self._script.applications), opened, wanted)
        due = wanted.startup - wanted.began - model.lags[application + 1] - opened
        for _ in range(_TRIES):
            drawn = self._draw_media(inputs, opened, row)
            seconds = drawn.size / drawn.rate if drawn.size >= TALK and drawn.rate > 0 else 0.0
            # Playback starts where a segment has come (never, or before, compares as false).
            if _NEAR[0] * due < seconds < _NEAR[1] * due:
                drawn = drawn._replace(rate=drawn.size / due)
                break
            if not 0 < due <= seconds:
                break
        size, rate, at_end = drawn
        rate_bin = int(bin_of(rate, RATE_FLOOR, RATE_PER_OCTAVE, RATES))
        known = np.concatenate([rung_code(at_end), inputs])
        cycle_bin, cycle = model.draw(known, [size, rate], random)
        history.remember(size, rate, cycle, at_end)
        if self._whole[row, WAY] == RTP:
            cycle_bin = 0
        return int(bin_of(size, SIZE_FLOOR, PER_OCTAVE, SIZES)), rate_bin, cycle_bin

    def _draw_media(self, inputs: NDArray[np.float64], opened: float, row: int) -> _Media:
        """Draw size and rate of a segment that opens at ``opened`` seconds, at the rung asked for where it will end."""
        model, random, wanted = self._script.headers, self._batch.streams[row], self._wanted[row]
        at_end = rung_at(wanted, opened + 1.0)
        for _ in range(3):
            known = np.concatenate([rung_code(at_end), inputs])
            _, size = model.draw(known, [], random)
            rate = model.draw(known, [size], random)[1] if size > 0 else 0.0
            seconds = size / rate if rate > 0 else 0.0
            asked, at_end = at_end, rung_at(wanted, opened + seconds)
            if asked == at_end:
                break
        return _Media(size, rate, at_end)


def _pick(shares: NDArray[np.float64], random: np.random.Generator) -> int:
    return int(random.choice(len(shares), p=shares))
