"""Writes a batch of segmented traces: draws headers, masks what can't follow, keeps times, sizes and
budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines import segment_state as state
from baselines.headers import HeaderHistory, HeaderModel, rung_code
from baselines.segment_state import (
    COLUMNS,
    PHASE,
    TRANSPORTS,
    TRIP_BIN,
    TRIP_FLOOR,
    WAY,
    allow_rows,
    describe_rows,
    push_rows,
)
from baselines.symbols import RUNAWAY
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Trace

IntArray = NDArray[np.int64]
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Script:
    """What a writer needs to know of its tokenization.

    kinds, places: int64 [vocabulary], what each token is and its number within its kind. up: bool
    [vocabulary].
    gaps, sizes: float64 [vocabulary, 9], quantiles within each symbol. seen: bool [transports, vocabulary].
    first: kind to its first token. transports: float64 [applications + 1, transports], shares; row 0 is
    unknown.
    trips: float64 [applications + 1, TRIPS], shares. fastest: packets a second of the fastest training trace.
    """

    kinds: IntArray
    places: IntArray
    up: NDArray[np.bool_]
    gaps: NDArray[np.float64]
    sizes: NDArray[np.float64]
    seen: NDArray[np.bool_]
    first: dict[int, int]
    applications: tuple[str, ...]
    transports: NDArray[np.float64]
    trips: NDArray[np.float64]
    headers: HeaderModel
    fastest: float

    def number(self, application: str) -> int:
        """Return the number of an application, -1 where it is unknown or hidden."""
        return self.applications.index(application) if application in self.applications else -1

    def masks(self) -> NDArray[np.bool_]:
        """Legal tokens for every transport and set of packet kinds, bool [transports, sets, vocabulary]."""
        bits = np.arange(1 << (state.OPEN_LATER + 1 - state.QUIET))
        packet = self.kinds - state.QUIET
        table = np.zeros((len(TRANSPORTS), len(bits), len(self.kinds)), np.bool_)
        for way in range(len(TRANSPORTS)):
            legal = ((bits[:, None] >> np.maximum(packet, 0)[None, :]) & 1).astype(bool) & (packet >= 0)
            table[way] = legal & self.seen[way]
            table[way, ~table[way].any(axis=1), self.first[state.END]] = True
        return table


class SegmentWriter:
    """See ``benchmark.method.Writer``."""

    def __init__(self, script: Script, conditions: Sequence[Condition], seeds: Sequence[int]) -> None:
        """One row a condition, with a random stream of its own."""
        count = len(conditions)
        self._script = script
        self._masks = script.masks()
        self._random = [np.random.default_rng([seed, 1]) for seed in seeds]
        self._real = np.zeros((count, state.REALS))
        self._whole = np.zeros((count, state.WHOLES), np.int64)
        self._whole[:, WAY] = -1
        self._applications = np.array([script.number(c.application) for c in conditions], np.int64)
        windows = max([1, *(len(c.labels) for c in conditions)])
        self._rungs = np.full((count, windows), -1, np.int64)
        for row, condition in enumerate(conditions):
            own = np.clip(condition.labels.rung, -1, state.RUNGS - 2)
            self._rungs[row] = own[-1] if len(own) else -1
            self._rungs[row, : len(own)] = own
        self._window = np.array([c.window for c in conditions], float)
        self._duration = np.array([c.duration for c in conditions], float)
        self._most = np.array([1000 + RUNAWAY * script.fastest * c.duration for c in conditions])
        self._histories = [HeaderHistory(script.headers.needed) for _ in conditions]
        self._header: list[tuple[int, int, int]] = [(0, 0, 0)] * count
        self._forced = np.full(count, -1, np.int64)
        self._uniforms = np.zeros((count, _BLOCK, 2))
        self._step = 0
        self._rows = np.arange(count)
        self._packets = np.zeros((count, 1024, 3), np.int64)
        self._written = np.zeros(count, np.int64)
        self._final = np.zeros((count, 2), np.int64)
        self._allowed = np.zeros(count, np.int64)
        self._look()

    def mask(self) -> NDArray[np.bool_]:
        """Legal next tokens, bool [rows, vocabulary]."""
        legal = self._masks[np.maximum(self._whole[:, WAY], 0), self._allowed >> state.QUIET]
        alone = np.flatnonzero(self._forced >= 0)
        legal[alone] = False
        legal[alone, self._forced[alone]] = True
        return np.asarray(legal)

    def columns(self) -> IntArray:
        """State columns, int64 [rows, columns]: the application and those of ``segment_state.COLUMNS``."""
        out = np.zeros((len(self._rows), 1 + len(COLUMNS)), np.int64)
        out[:, 0] = self._applications + 1
        describe_rows(self._real, self._whole, self._rungs, self._window, out)
        return out

    def push(self, tokens: IntArray) -> NDArray[np.bool_]:
        """Take one token a row; return which rows have ended."""
        if self._step % _BLOCK == 0:
            for row, random in enumerate(self._random):
                self._uniforms[row] = random.random((_BLOCK, 2))
        if self._written.max(initial=0) + 1 >= self._packets.shape[1]:
            self._packets = np.concatenate([self._packets, np.zeros_like(self._packets)], axis=1)
        script = self._script
        push_rows(
            np.asarray(tokens, np.int64),
            self._uniforms[:, self._step % _BLOCK],
            self._real,
            self._whole,
            script.kinds,
            script.places,
            script.up,
            script.gaps,
            script.sizes,
            self._rows,
            self._packets,
            self._written,
        )
        # A decoder that drifts into ever shorter gaps must not write without end.
        self._duration[self._written[self._rows] >= self._most] = 0.0
        self._step += 1
        self._final[self._rows] = self._whole[:, [WAY, TRIP_BIN]]
        self._look()
        return np.asarray(self._whole[:, PHASE] == state.ENDED)

    def keep(self, rows: IntArray) -> None:
        """Go on with these rows only."""
        for name in (
            "_real",
            "_whole",
            "_applications",
            "_rungs",
            "_window",
            "_duration",
            "_most",
            "_forced",
            "_uniforms",
            "_rows",
            "_allowed",
        ):
            setattr(self, name, getattr(self, name)[rows])
        self._random = [self._random[row] for row in rows]
        self._histories = [self._histories[row] for row in rows]
        self._header = [self._header[row] for row in rows]

    def trace(self, row: int, condition: Condition, name: str, seed: int) -> Trace:
        """Compile what an original row has written."""
        return trace_of(self.sketch(row), condition, name, seed)

    def sketch(self, row: int) -> Sketch:
        """Return the packets that an original row has written."""
        packets = self._packets[row, : self._written[row]]
        way = max(0, int(self._final[row, 0]))
        trip = 2.0 ** (TRIP_FLOOR + (self._final[row, 1] + 0.5) / 2)
        return Sketch(
            TRANSPORTS[way],
            packets[:, 0],
            packets[:, 1] > 0,
            packets[:, 2].astype(np.int32),
            round(trip * 1e9),
        )

    def _look(self) -> None:
        """Find what may follow in each row, and draw the header tokens that are due."""
        allow_rows(self._real, self._whole, self._duration, self._allowed)
        self._forced[:] = -1
        for row in np.flatnonzero(self._allowed < (1 << state.QUIET)):
            self._forced[row] = self._due(int(row))

    def _due(self, row: int) -> int:
        """Return the token that must follow."""
        script, random = self._script, self._random[row]
        phase = self._whole[row, PHASE]
        if self._allowed[row] == 1 << state.END:
            return script.first[state.END]
        application = int(self._applications[row])
        if phase == state.START:
            return script.first[state.TRANSPORT] + _pick(script.transports[application + 1], random)
        if phase == state.TRIPPING:
            return script.first[state.TRIP] + _pick(script.trips[application + 1], random)
        if phase == state.SIZING:
            self._header[row] = self._draw(row, application)
            return script.first[state.SIZE] + self._header[row][0]
        if phase == state.RATING:
            return script.first[state.RATE] + self._header[row][1]
        return script.first[state.CYCLE] + self._header[row][2]

    def _draw(self, row: int, application: int) -> tuple[int, int, int]:
        """Draw size, rate and cycle for the segment that opens now, at the rung asked for where it will
        end.
        """
        model, random, history = self._script.headers, self._random[row], self._histories[row]
        opened = float(self._real[row, state.NOW])
        inputs = history.features(
            application, len(self._script.applications), opened, float(self._window[row]), self._rungs[row]
        )
        at_end = self._rung(row, opened + 1.0)
        for _ in range(3):
            known = np.concatenate([rung_code(at_end), inputs])
            size_bin, size = model.draw(known, [], random)
            rate_bin, rate = model.draw(known, [size], random) if size > 0 else (0, 0.0)
            seconds = size / rate if rate > 0 else 0.0
            asked, at_end = at_end, self._rung(row, opened + seconds)
            if asked == at_end:
                break
        cycle_bin, cycle = model.draw(known, [size, rate], random)
        history.remember(size, rate, cycle, at_end)
        if self._whole[row, WAY] == state.RTP:
            cycle_bin = 0
        return size_bin, rate_bin, cycle_bin

    def _rung(self, row: int, seconds: float) -> int:
        place = min(int(seconds / self._window[row]), self._rungs.shape[1] - 1)
        return int(self._rungs[row, place])


def _pick(shares: NDArray[np.float64], random: np.random.Generator) -> int:
    return int(random.choice(len(shares), p=shares))
