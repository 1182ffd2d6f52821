"""Segments: a request opens one, a header says its size, rate and wait, then each packet is one joint symbol.

A sequence is transport, round trip, then segments, then the end. RTP, where nothing asks, is cut into seconds.
Kept exactly: the number of packets, their directions, common sizes. Lost: other sizes within their class, gaps
within their bin (``baselines.symbols``), the time of a request that waited within a thirty-second of an octave of
its wait, the round trip within half an octave, all flows but the largest. A request keeps to its side of the 50 ms
that make an opening, whatever its gap's bin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from baselines import segment_state as state
from baselines.headers import (
    CYCLE_FLOOR,
    CYCLE_PER_OCTAVE,
    CYCLES,
    PER_OCTAVE,
    RATE_FLOOR,
    RATES,
    SIZE_FLOOR,
    SIZES,
    HeaderModel,
    Headers,
    bin_of,
    fit_headers,
)
from baselines.segment_state import COLUMNS, RTP, TRANSPORTS, TRIP_FLOOR, TRIPS, describe, push_token
from baselines.segment_state import take_header as _take_header
from baselines.segment_state import take_packet as _take_packet
from baselines.segment_writer import Script, SegmentWriter
from baselines.symbols import REQUEST_BYTES, PacketSymbols, learn_symbols
from benchmark.compiler import trace_of
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.sketch import Sketch, sketch_of
from benchmark.trace import Condition, Labels, Trace

SECOND = 1e9


def build(options: Mapping[str, Any]) -> Segments:
    """Build the tokenization. Options: ``gap_bins``, bins of the commonest packets; ``header_members``, ``header_epochs``."""
    return Segments(**options)


class Segments:
    """See the module; a ``StatefulTokenization``."""

    def __init__(self, gap_bins: int = 48, header_members: int = 4, header_epochs: int = 300) -> None:
        self._gap_bins = gap_bins
        self._members = header_members
        self._epochs = header_epochs
        self._applications: tuple[str, ...] = ()
        nothing = np.zeros(0, np.int64)
        self._plain = learn_symbols(nothing > 0, nothing, nothing, gap_bins)
        self._opening = learn_symbols(nothing > 0, nothing, nothing, requests=True)
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        self._shares = (np.zeros((1, len(TRANSPORTS))), np.zeros((1, TRIPS)))
        self._headers = HeaderModel({}, np.ones(2))

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn size classes, gap bins, shares of transports and round trips, and the header model."""
        self._applications = tuple(sorted({trace.condition.application for trace in traces}))
        sketches = [sketch_of(trace) for trace in traces]
        opens = [find_openings(sketch) for sketch in sketches]
        up, payload, gap, opening = (
            np.concatenate([np.zeros(0, np.int64), *parts])
            for parts in (
                [sketch.up for sketch in sketches],
                [sketch.payload for sketch in sketches],
                [_gaps(sketch) for sketch in sketches],
                opens,
            )
        )
        up, opening = up > 0, opening > 0
        self._plain = learn_symbols(up[~opening], payload[~opening], gap[~opening], self._gap_bins)
        self._opening = learn_symbols(
            up[opening], payload[opening], gap[opening], self._gap_bins // 4, common=0.02, requests=True
        )
        self._forget()
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        transports = np.full((len(self._applications) + 1, len(TRANSPORTS)), 1e-3)
        trips = np.zeros((len(self._applications) + 1, TRIPS))
        found = []
        for trace, sketch in zip(traces, sketches, strict=True):
            application = self._applications.index(trace.condition.application)
            way = TRANSPORTS.index(sketch.transport)
            self._seen[way, self._tokens(sketch, trace.condition)[0]] = True
            for row in (0, application + 1):
                transports[row, way] += 1
                trips[row, _trip_bin(sketch)] += 1
            found.append((application, find_headers(sketch, trace.condition)[0]))
        present = self._seen.any(axis=1)
        transports[:, ~present] = 0
        self._shares = (
            transports / transports.sum(axis=1, keepdims=True).clip(1e-9),
            _smooth(trips),
        )
        self._headers = fit_headers(
            found, len(self._applications), seed, self._members, self._epochs
        )
        self._forget()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Names of all tokens, in the order of ``segment_state``'s kinds."""
        opening = self._opening.names()
        return Vocabulary(
            (
                "end",
                *(f"transport {name}" for name in TRANSPORTS),
                *(f"round trip {k}" for k in range(TRIPS)),
                *(f"size {k}" for k in range(SIZES)),
                *(f"rate {k}" for k in range(RATES)),
                *(f"wait {k}" for k in range(CYCLES)),
                *self._plain.names(),
                *(f"open {name}" for name in opening),
                *(f"open later {self._opening.low[c]}" for c in range(len(self._opening.up))),
            )
        )

    @property
    def columns(self) -> Sequence[tuple[str, int]]:
        """State columns: application, rung, size, rate, bytes left, lag, wait, age, round trip."""
        return (("application", len(self._applications) + 1), *COLUMNS)

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Header tokens, the end among them, are the writer's; symbols that training never showed are nobody's."""
        return np.asarray((self._script.kinds < state.QUIET) | ~self._seen.any(axis=0))

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        return self._tokens(sketch_of(trace), trace.condition)[0]

    def encode_with_columns(self, trace: Trace, condition: Condition) -> tuple[IntArray, IntArray]:
        """Return tokens [n] and columns [n, 9], as seen by one who was told ``condition``."""
        return self._tokens(sketch_of(trace), condition)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, gaps and sizes drawn within their bins from a fixed seed."""
        sketch = self.play(tokens)
        duration = (float(sketch.ts[-1]) / SECOND if len(sketch) else 0.0) + 1.0
        return trace_of(sketch, Condition("", duration, duration, Labels.unknown(1)), "decoded", 0)

    def play(self, tokens: IntArray) -> Sketch:
        """Return the packets that the tokens describe."""
        script = self._script
        draws = np.random.default_rng(0).random((len(tokens), 2))
        rows = np.full((len(tokens), 3), -1, np.int64)
        real, whole = np.zeros(state.REALS), np.zeros(state.WHOLES, np.int64)
        _replay(
            np.asarray(tokens, np.int64), draws, real, whole,
            script.kinds, script.places, script.up, script.gaps, script.sizes, rows,
        )  # fmt: skip
        rows = rows[rows[:, 0] >= 0]
        trip = 2.0 ** (TRIP_FLOOR + (whole[state.TRIP_BIN] + 0.5) / 2)
        return Sketch(
            TRANSPORTS[whole[state.WAY]],
            rows[:, 0],
            rows[:, 1] > 0,
            rows[:, 2].astype(np.int32),
            round(trip * SECOND),
        )

    @property
    def kinds(self) -> IntArray:
        """What each token is, int64 [vocabulary], by the numbers of ``segment_state``."""
        return self._script.kinds

    @property
    def symbols(self) -> PacketSymbols:
        """Symbols of the packets that don't open a segment."""
        return self._plain

    def grammar(self) -> Grammar:
        """Legal sequences: for each transport, packets after headers, headers after requests (or seconds)."""
        kinds, count = self._script.kinds, len(self.vocabulary)
        first, last, per = 0, 1, 5
        legal = np.zeros((2 + (per + 1) * len(TRANSPORTS), count), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        for way in range(len(TRANSPORTS)):
            trip, ready, sized, rated, inside, opened = (2 + way * (per + 1) + k for k in range(per + 1))
            token = self._script.first[state.TRANSPORT] + way
            legal[first, token], following[first, token] = True, trip
            rules = {
                trip: {state.TRIP: ready},
                ready: {state.SIZE: sized},
                opened: {state.SIZE: sized},
                sized: {state.RATE: rated},
                rated: {state.CYCLE: inside},
                inside: {state.QUIET: inside, state.REQUEST: inside, state.DATA: inside},
            }
            for at in (ready, inside, opened):
                rules[at][state.END] = last
            if way == RTP:
                rules[inside][state.SIZE] = sized
            else:
                for at in (ready, inside):
                    rules[at] |= {state.OPEN_NOW: opened, state.OPEN_LATER: opened}
            for at, moves in rules.items():
                for kind, to in moves.items():
                    legal[at, kinds == kind] = True
                    following[at, kinds == kind] = to
        return Grammar(legal, following, first)

    def writer(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> SegmentWriter:
        """Start one trace a condition."""
        return SegmentWriter(self._script, conditions, seeds)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        arrays: dict[str, NDArray[Any]] = {f"plain.{k}": v for k, v in self._plain.arrays().items()}
        arrays |= {f"opening.{k}": v for k, v in self._opening.arrays().items()}
        arrays |= {f"headers.{k}": v for k, v in self._headers.weights.items()}
        arrays |= {"needed": self._headers.needed, "seen": self._seen}
        arrays |= {"transports": self._shares[0], "trips": self._shares[1]}
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "segments.safetensors")
        (folder / "segments.json").write_text(json.dumps({"applications": self._applications}))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays = load_file(folder / "segments.safetensors")
        self._applications = tuple(json.loads((folder / "segments.json").read_text())["applications"])
        self._plain = PacketSymbols.of(_under("plain.", arrays))
        self._opening = PacketSymbols.of(_under("opening.", arrays))
        self._headers = HeaderModel(_under("headers.", arrays), arrays["needed"])
        self._seen = arrays["seen"]
        self._shares = (arrays["transports"], arrays["trips"])
        self._forget()

    def _forget(self) -> None:
        """Drop the tables made from what was learnt before."""
        for name in ("vocabulary", "_script"):
            self.__dict__.pop(name, None)

    @cached_property
    def _script(self) -> Script:
        """Tables of what each token is."""
        plain, opening = self._plain, self._opening
        quiet = np.where(plain.up, plain.high <= REQUEST_BYTES, plain.high <= 1)
        packet = np.where(quiet, state.QUIET, np.where(plain.up, state.REQUEST, state.DATA))
        later = len(opening.up)
        parts = [
            (state.END, 1), (state.TRANSPORT, len(TRANSPORTS)), (state.TRIP, TRIPS),
            (state.SIZE, SIZES), (state.RATE, RATES), (state.CYCLE, CYCLES),
        ]  # fmt: skip
        starts = np.cumsum([0, *(size for _, size in parts)])
        first = {kind: int(at) for (kind, _), at in zip(parts, starts, strict=False)}
        first[state.QUIET] = int(starts[-1])
        first[state.OPEN_NOW] = first[state.QUIET] + len(plain)
        first[state.OPEN_LATER] = first[state.OPEN_NOW] + len(opening)
        headers = np.concatenate([np.full(size, kind) for kind, size in parts])
        nothing = np.zeros((len(headers), 9))
        kinds = np.concatenate(
            [headers, packet[plain.classes], np.full(len(opening), state.OPEN_NOW), np.full(later, state.OPEN_LATER)]
        )
        places = np.concatenate(
            [*(np.arange(size) for _, size in parts), np.zeros(len(kinds) - len(headers), np.int64)]
        )
        return Script(
            kinds=kinds.astype(np.int64),
            places=places.astype(np.int64),
            up=np.concatenate([np.zeros(len(headers), bool), plain.up[plain.classes], np.ones(len(opening) + later, bool)]),
            gaps=np.concatenate([nothing, plain.gaps, opening.gaps, np.zeros((later, 9))]),
            sizes=np.concatenate([nothing, plain.sizes[plain.classes], opening.sizes[opening.classes], opening.sizes]),
            seen=self._seen,
            first=first,
            applications=self._applications,
            transports=self._shares[0],
            trips=self._shares[1],
            headers=self._headers,
        )

    def _tokens(self, sketch: Sketch, condition: Condition) -> tuple[IntArray, IntArray]:
        """Tokens and columns of a sketch."""
        script = self._script
        headers, at, opens = find_headers(sketch, condition)
        gap = _gaps(sketch)
        symbols = script.first[state.QUIET] + self._plain.encode(sketch.up, sketch.payload, gap)
        chosen = np.flatnonzero(opens)
        waited = np.zeros(len(sketch), bool)
        waited[at[1:]] = headers.cycle[:-1] > 0
        opening = self._opening.encode(sketch.up[chosen], sketch.payload[chosen], gap[chosen])
        symbols[chosen] = np.where(
            waited[chosen],
            script.first[state.OPEN_LATER] + self._opening.classes[opening],
            script.first[state.OPEN_NOW] + opening,
        )
        bins = np.stack(
            [
                bin_of(headers.size, SIZE_FLOOR, PER_OCTAVE, SIZES),
                bin_of(headers.rate, RATE_FLOOR, PER_OCTAVE, RATES),
                bin_of(headers.cycle, CYCLE_FLOOR, CYCLE_PER_OCTAVE, CYCLES),
            ],
            1,
        )
        values = np.stack([headers.size, headers.rate, headers.cycle], 1)
        firsts = np.array([script.first[k] for k in (state.SIZE, state.RATE, state.CYCLE)], np.int64)
        count = 3 + len(sketch) + 3 * len(at)
        tokens, columns = np.zeros(count, np.int64), np.zeros((count, 1 + len(COLUMNS)), np.int64)
        way = TRANSPORTS.index(sketch.transport)
        opener = np.array(
            [script.first[state.TRANSPORT] + way, script.first[state.TRIP] + _trip_bin(sketch)], np.int64
        )
        header_at = np.full(len(sketch), -1, np.int64)
        header_at[at] = np.arange(len(at))
        columns[:, 0] = script.number(condition.application) + 1
        rungs = np.clip(condition.labels.rung, -1, state.RUNGS - 2).astype(np.int64)
        _write(
            sketch.ts / SECOND, sketch.up, sketch.payload.astype(np.int64), symbols, opens, header_at, bins, values,
            firsts, opener, script.kinds, script.places, rungs, float(condition.window), tokens, columns,
        )  # fmt: skip
        tokens[-1] = script.first[state.END]
        columns[-1] = columns[-2]
        return tokens, columns


def find_openings(sketch: Sketch) -> NDArray[np.bool_]:
    """Tell which packets are requests that open a segment: 60 bytes or more up, 50 ms after the last opening."""
    opens = np.zeros(len(sketch), np.bool_)
    if sketch.transport == "rtp":
        return opens
    last = -np.inf
    for k in np.flatnonzero(sketch.up & (sketch.payload >= REQUEST_BYTES)):
        if sketch.ts[k] - last >= state.REQUEST_SPACING * SECOND:
            opens[k] = True
            last = sketch.ts[k]
    return opens


def find_headers(sketch: Sketch, condition: Condition) -> tuple[Headers, IntArray, NDArray[np.bool_]]:
    """Return the headers of a sketch, the packet that each stands at (before it, or after a request) and the openings."""
    opens = find_openings(sketch)
    seconds = sketch.ts / SECOND
    rungs = condition.labels.rung.astype(np.int64) if len(condition.labels) else np.full(1, -1, np.int64)
    if sketch.transport == "rtp":
        at = _slices(seconds)
        opened = np.concatenate([seconds[:0], [0.0], seconds[at[1:] - 1]])[: len(at)]
    else:
        at = np.flatnonzero(opens)
        if len(sketch) and (not len(at) or at[0] > 0):
            at = np.concatenate([[0], at])
        opened = seconds[at].copy()
        if len(at) and not opens[at[0]]:
            opened[0] = 0.0
    if not len(at):
        nothing, none = np.zeros(0), np.zeros(0, np.int64)
        empty = Headers(
            nothing, nothing, nothing, nothing, nothing, none, none > 0, condition.window, rungs
        )
        return empty, none, opens
    data = ~sketch.up & (sketch.payload > 0)
    size = np.add.reduceat(np.where(data, sketch.payload, 0).astype(float), at)
    last = np.maximum.reduceat(np.where(data, seconds, -1.0), at)
    finish = np.append(opened[1:], seconds[-1])
    if sketch.transport == "rtp":
        upward = np.add.reduceat(np.where(sketch.up, sketch.payload, 0).astype(float), at)
        rate, cycle = np.where(size > 0, upward / state.SLICE + 1, 0), np.zeros(len(at))
    else:
        rate = np.where(size > 0, size / np.maximum(last - opened, 1e-3), 0.0)
        pause = finish - np.maximum(last, opened)
        cycle = np.where(pause >= state.NOW_PAUSE, finish - opened, 0.0)
        cycle[-1] = 0.0

    def rung_at(moment: NDArray[np.float64]) -> IntArray:
        return np.asarray(rungs[np.clip((moment / condition.window).astype(int), 0, len(rungs) - 1)])

    whole = np.ones(len(at), bool)
    whole[-1] = len(at) == 1
    headers = Headers(
        opened, size, rate, cycle, finish - opened, rung_at(np.maximum(last, opened)), whole, condition.window, rungs
    )
    return headers, at, opens


def _slices(seconds: NDArray[np.float64]) -> IntArray:
    """Packets before which a second of datagrams begins: after the first packet past the second before."""
    starts, opened = [0] if len(seconds) else [], 0.0
    for k in range(len(seconds) - 1):
        if seconds[k] >= opened + state.SLICE:
            starts.append(k + 1)
            opened = float(seconds[k])
    return np.array(starts, np.int64)


def _gaps(sketch: Sketch) -> IntArray:
    return np.diff(sketch.ts, prepend=0)


def _trip_bin(sketch: Sketch) -> int:
    return int(np.clip((np.log2(sketch.round_trip / SECOND) - TRIP_FLOOR) * 2, 0, TRIPS - 1))


def _smooth(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread each count over its neighbours, then return shares."""
    spread = counts + 0.25 * (np.roll(counts, 1, 1) + np.roll(counts, -1, 1)) + 1e-6
    return np.asarray(spread / spread.sum(axis=1, keepdims=True))


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(
    seconds: Any, up: Any, payload: Any, symbols: Any, opens: Any, header_at: Any, bins: Any, values: Any,
    firsts: Any, opener: Any, kinds: Any, places: Any, rungs: Any, window: float, tokens: Any, columns: Any,
) -> None:  # fmt: skip
    """Lay out the tokens of a trace, with the state after each."""
    real, whole = np.zeros(state.REALS), np.zeros(state.WHOLES, np.int64)
    n = 0
    for token in opener:
        _take_header(real, whole, kinds[token], places[token], 0.0)
        tokens[n] = token
        describe(real, whole, rungs, window, columns[n, 1:])
        n += 1
    for i in range(len(symbols)):
        header = header_at[i]
        if opens[i]:
            _take_packet(real, whole, kinds[symbols[i]], up[i], payload[i], seconds[i])
            tokens[n] = symbols[i]
            describe(real, whole, rungs, window, columns[n, 1:])
            n += 1
        if header >= 0:
            for field in range(3):
                token = firsts[field] + bins[header, field]
                _take_header(real, whole, kinds[token], places[token], values[header, field])
                tokens[n] = token
                describe(real, whole, rungs, window, columns[n, 1:])
                n += 1
        if not opens[i]:
            _take_packet(real, whole, kinds[symbols[i]], up[i], payload[i], seconds[i])
            tokens[n] = symbols[i]
            describe(real, whole, rungs, window, columns[n, 1:])
            n += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _replay(
    tokens: Any, draws: Any, real: Any, whole: Any, kinds: Any, places: Any, up: Any, gaps: Any, sizes: Any, rows: Any
) -> None:
    """Play a token sequence back into packets, rows [tokens, 3]."""
    for i in range(len(tokens)):
        push_token(tokens[i], draws[i], real, whole, kinds, places, up, gaps, sizes, rows[i])
