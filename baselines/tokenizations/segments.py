"""Segments: a request opens one, a header says its size, rate and wait, then each packet is one joint symbol.

A sequence is transport, round trip, then segments, then the end. RTP, where nothing asks, is cut into
seconds.
Kept exactly: the number of packets, their directions, common sizes. Lost: other sizes within their class,
gaps
within their bin (``baselines.symbols``), the time of a request that waited within a thirty-second of an
octave of
its wait, the round trip within half an octave, all flows but the largest. A request keeps to its side of the
50 ms
that make an opening, as far as the packets before it have left it room.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from baselines import segment_state as state
from baselines.headers import HeaderModel, bin_of, fit_headers
from baselines.segment_cuts import SECOND, find_headers, find_openings, gaps_of, trip_bin
from baselines.segment_state import (
    COLUMNS,
    CYCLE_FLOOR,
    CYCLE_PER_OCTAVE,
    CYCLES,
    PER_OCTAVE,
    RATE_FLOOR,
    RATES,
    RTP,
    SIZE_FLOOR,
    SIZES,
    TRANSPORTS,
    TRIP_FLOOR,
    TRIPS,
    lay_out,
    replay,
)
from baselines.segment_writer import Script, SegmentWriter
from baselines.symbols import REQUEST_BYTES, PacketSymbols, fastest, learn_symbols
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import Condition, Labels, Trace


def build(options: Mapping[str, Any]) -> Segments:
    """Build the tokenization. Options: ``gap_bins``, bins of the commonest packets; ``header_members``,
    ``header_epochs``.
    """
    return Segments(**options)


class Segments:
    """See the module; a ``StatefulTokenization``."""

    def __init__(self, gap_bins: int = 48, header_members: int = 4, header_epochs: int = 300) -> None:
        self._gap_bins = gap_bins
        self._members = header_members
        self.header_epochs = header_epochs
        self._applications: tuple[str, ...] = ()
        nothing = np.zeros(0, np.int64)
        self._plain = learn_symbols(nothing > 0, nothing, nothing, gap_bins)
        self._opening = learn_symbols(nothing > 0, nothing, nothing, requests=True)
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        self._shares = (np.zeros((1, len(TRANSPORTS))), np.zeros((1, TRIPS)))
        self._headers = HeaderModel({}, np.ones(2))
        self._fastest = 0.0

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn size classes, gap bins, shares of transports and round trips, and the header model."""
        self._fastest = fastest(traces)
        self._applications = tuple(sorted({trace.condition.application for trace in traces}))
        sketches = [sketch_of(trace) for trace in traces]
        opens = [find_openings(sketch) for sketch in sketches]
        up, payload, gap, opening = (
            np.concatenate([np.zeros(0, np.int64), *parts])
            for parts in (
                [sketch.up for sketch in sketches],
                [sketch.payload for sketch in sketches],
                [gaps_of(sketch) for sketch in sketches],
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
                trips[row, trip_bin(sketch)] += 1
            found.append((application, find_headers(sketch, trace.condition)[0]))
        present = self._seen.any(axis=1)
        transports[:, ~present] = 0
        self._shares = (
            transports / transports.sum(axis=1, keepdims=True).clip(1e-9),
            _smooth(trips),
        )
        self._headers = fit_headers(found, len(self._applications), seed, self._members, self.header_epochs)
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
        """Header tokens, the end among them, are the writer's; symbols that training never showed are
        nobody's.
        """
        return np.asarray((self._script.kinds < state.QUIET) | ~self._seen.any(axis=0))

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        return self._tokens(sketch_of(trace), trace.condition)[0]

    def encode_with_columns(self, trace: Trace, condition: Condition) -> tuple[IntArray, IntArray]:
        """Return tokens [n] and columns [n, 9], as seen by one who was told ``condition``."""
        return self._tokens(sketch_of(trace), condition)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, gaps and sizes drawn within their bins from a fixed
        seed.
        """
        sketch = self.play(tokens)
        duration = (float(sketch.ts[-1]) / SECOND if len(sketch) else 0.0) + 1.0
        return trace_of(sketch, Condition("", duration, duration, Labels.unknown(1)), "decoded", 0)

    def play(self, tokens: IntArray) -> Sketch:
        """Return the packets that the tokens describe."""
        script = self._script
        draws = np.random.default_rng(0).random((len(tokens), 2))
        rows = np.full((len(tokens), 3), -1, np.int64)
        real, whole = np.zeros(state.REALS), np.zeros(state.WHOLES, np.int64)
        replay(
            np.asarray(tokens, np.int64),
            draws,
            real,
            whole,
            script.kinds,
            script.places,
            script.up,
            script.gaps,
            script.sizes,
            rows,
        )
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
        (folder / "segments.json").write_text(
            json.dumps({"applications": self._applications, "fastest": self._fastest})
        )

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays = load_file(folder / "segments.safetensors")
        facts = json.loads((folder / "segments.json").read_text())
        self._applications, self._fastest = tuple(facts["applications"]), float(facts["fastest"])
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
            (state.END, 1),
            (state.TRANSPORT, len(TRANSPORTS)),
            (state.TRIP, TRIPS),
            (state.SIZE, SIZES),
            (state.RATE, RATES),
            (state.CYCLE, CYCLES),
        ]
        starts = np.cumsum([0, *(size for _, size in parts)])
        first = {kind: int(at) for (kind, _), at in zip(parts, starts, strict=False)}
        first[state.QUIET] = int(starts[-1])
        first[state.OPEN_NOW] = first[state.QUIET] + len(plain)
        first[state.OPEN_LATER] = first[state.OPEN_NOW] + len(opening)
        headers = np.concatenate([np.full(size, kind) for kind, size in parts])
        nothing = np.zeros((len(headers), 9))
        kinds = np.concatenate(
            [
                headers,
                packet[plain.classes],
                np.full(len(opening), state.OPEN_NOW),
                np.full(later, state.OPEN_LATER),
            ]
        )
        places = np.concatenate(
            [*(np.arange(size) for _, size in parts), np.zeros(len(kinds) - len(headers), np.int64)]
        )
        return Script(
            kinds=kinds.astype(np.int64),
            places=places.astype(np.int64),
            up=np.concatenate(
                [np.zeros(len(headers), bool), plain.up[plain.classes], np.ones(len(opening) + later, bool)]
            ),
            gaps=np.concatenate([nothing, plain.gaps, opening.gaps, np.zeros((later, 9))]),
            sizes=np.concatenate([nothing, plain.sizes[plain.classes], opening.sizes[opening.classes], opening.sizes]),
            seen=self._seen,
            first=first,
            applications=self._applications,
            transports=self._shares[0],
            trips=self._shares[1],
            headers=self._headers,
            fastest=self._fastest,
        )

    def _tokens(self, sketch: Sketch, condition: Condition) -> tuple[IntArray, IntArray]:
        """Tokens and columns of a sketch."""
        script = self._script
        headers, at, opens = find_headers(sketch, condition)
        gap = gaps_of(sketch)
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
        opener = np.array([script.first[state.TRANSPORT] + way, script.first[state.TRIP] + trip_bin(sketch)], np.int64)
        header_at = np.full(len(sketch), -1, np.int64)
        header_at[at] = np.arange(len(at))
        columns[:, 0] = script.number(condition.application) + 1
        rungs = np.clip(condition.labels.rung, -1, state.RUNGS - 2).astype(np.int64)
        lay_out(
            sketch.ts / SECOND,
            sketch.up,
            sketch.payload.astype(np.int64),
            symbols,
            opens,
            header_at,
            bins,
            values,
            firsts,
            opener,
            script.kinds,
            script.places,
            rungs,
            float(condition.window),
            tokens,
            columns,
        )
        tokens[-1] = script.first[state.END]
        columns[-1] = columns[-2]
        return tokens, columns


def _smooth(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread each count over its neighbours, then return shares."""
    spread = counts + 0.25 * (np.roll(counts, 1, 1) + np.roll(counts, -1, 1)) + 1e-6
    return np.asarray(spread / spread.sum(axis=1, keepdims=True))


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
