"""Joint symbols: one token a packet, of its direction, size class and gap bin; flat, after one for the transport.

Kept exactly: the number of packets, their directions, common sizes. Lost: other sizes within their class, gaps
within their bin (``baselines.parts.learnt_symbols``), the round trip, all flows but the largest.
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

from baselines.parts.batch import Batch, keep_rows
from baselines.parts.learnt_symbols import RUNAWAY, PacketSymbols, fastest, learn_symbols, sizes_of, sketch_with
from baselines.parts.sketches import TRANSPORTS, gaps_of
from baselines.parts.told import COLUMNS, Told
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace

END, FIRST_TRANSPORT, FIRST_SYMBOL = 0, 1, 1 + len(TRANSPORTS)


def build(options: Mapping[str, Any]) -> Joint:
    """Build the tokenization. Option: ``gap_bins``, bins of the commonest packets."""
    return Joint(**options)


class Joint:
    """See the module; a ``StatefulTokenization`` whose only state is the condition."""

    def __init__(self, gap_bins: int = 48) -> None:
        self._gap_bins = gap_bins
        self._applications: tuple[str, ...] = ()
        nothing = np.zeros(0, np.int64)
        self._symbols = learn_symbols(nothing > 0, nothing, nothing, gap_bins)
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        self._shares = np.zeros((1, len(TRANSPORTS)))
        self._fastest = 0.0

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn size classes, gap bins and which application uses which transport."""
        sketches = [sketch_of(trace) for trace in traces]
        nothing = np.zeros(0, np.int64)
        self._symbols = learn_symbols(
            np.concatenate([nothing > 0, *(sketch.up for sketch in sketches)]),
            np.concatenate([nothing, *(sizes_of(sketch) for sketch in sketches)]),
            np.concatenate([nothing, *(gaps_of(sketch) for sketch in sketches)]),
            self._gap_bins,
        )
        self.__dict__.pop("vocabulary", None)
        self._applications = tuple(sorted({trace.condition.application for trace in traces}))
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        self._shares = np.zeros((len(self._applications) + 1, len(TRANSPORTS)))
        for trace, sketch in zip(traces, sketches, strict=True):
            way = TRANSPORTS.index(sketch.transport)
            self._seen[way, self._tokens(sketch)[1:]] = True
            self._shares[0, way] += 1
            self._shares[self._applications.index(trace.condition.application) + 1, way] += 1
        self._shares /= self._shares.sum(axis=1, keepdims=True)
        self._fastest = fastest(traces)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The end, the transports, then the symbols."""
        return Vocabulary(("end", *(f"transport {name}" for name in TRANSPORTS), *self._symbols.names()))

    @property
    def columns(self) -> Sequence[tuple[str, int]]:
        """The application, and what is asked for besides."""
        return (("application", len(self._applications) + 1), *COLUMNS)

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Transport and end are the writer's; symbols that training never showed are nobody's."""
        drawn: NDArray[np.bool_] = np.logical_not(self._seen.any(axis=0))
        drawn[:FIRST_SYMBOL] = True
        return drawn

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [packets + 2]."""
        return self._tokens(sketch_of(trace))

    def encode_with_columns(self, trace: Trace, condition: Condition) -> tuple[IntArray, IntArray]:
        """Return tokens [n] and columns [n, columns], as seen by one who was told ``condition``."""
        sketch = sketch_of(trace)
        tokens = self._tokens(sketch)
        # The transport stands where the flow begins, the end where its last packet passed.
        moments = np.concatenate([[0], sketch.ts, sketch.ts[-1:] if len(sketch) else [0]])
        told = Told([condition]).at(np.zeros(len(tokens), np.int64), (sketch.began + moments) / NANOSECONDS)
        return tokens, np.insert(told, 0, self.number(condition), axis=1)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, gaps and sizes drawn within their bins from a fixed seed."""
        tokens = np.asarray(tokens, np.int64)
        ways = tokens[(tokens >= FIRST_TRANSPORT) & (tokens < FIRST_SYMBOL)] - FIRST_TRANSPORT
        symbols = tokens[tokens >= FIRST_SYMBOL] - FIRST_SYMBOL
        gap, sizes = self._symbols.draw(symbols, np.random.default_rng(0).random((len(symbols), 2)))
        ts = np.cumsum(gap)
        sketch = sketch_with(TRANSPORTS[ways[0]] if len(ways) else "tcp", ts, self.up[symbols], sizes)
        duration = (float(ts[-1]) / NANOSECONDS if len(ts) else 0.0) + 1.0
        return trace_of(sketch, Condition("", duration, duration, Labels.unknown(1)), "decoded", 0)

    def grammar(self) -> Grammar:
        """Legal sequences: a transport, then symbols, then the end."""
        legal = np.zeros((3, len(self.vocabulary)), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        legal[0, FIRST_TRANSPORT:FIRST_SYMBOL] = True
        legal[1, FIRST_SYMBOL:] = legal[1, END] = True
        following[:2] = 1
        following[1, END] = 2
        return Grammar(legal, following)

    def writer(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> JointWriter:
        """Start one trace a condition."""
        return JointWriter(self, conditions, seeds, self._fastest)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = self._symbols.arrays() | {"seen": self._seen, "shares": self._shares}
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "joint.safetensors")
        (folder / "joint.json").write_text(json.dumps({"applications": self._applications, "fastest": self._fastest}))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays = load_file(folder / "joint.safetensors")
        self._seen, self._shares = arrays.pop("seen"), arrays.pop("shares")
        self._symbols = PacketSymbols.of(arrays)
        facts = json.loads((folder / "joint.json").read_text())
        self._applications, self._fastest = tuple(facts["applications"]), float(facts["fastest"])
        self.__dict__.pop("vocabulary", None)

    @property
    def up(self) -> NDArray[np.bool_]:
        """Direction of each symbol."""
        return np.asarray(self._symbols.up[self._symbols.classes])

    @property
    def symbols(self) -> PacketSymbols:
        """The packet symbols."""
        return self._symbols

    def number(self, condition: Condition) -> int:
        """Value of the application's column; 0 where it is unknown or hidden."""
        known = condition.application in self._applications
        return 1 + self._applications.index(condition.application) if known else 0

    def shares(self, number: int) -> NDArray[np.float64]:
        """Shares of the transports for a value of the application's column."""
        return np.asarray(self._shares[number])

    def masks(self) -> NDArray[np.bool_]:
        """Legal packet symbols of each transport, bool [transports, vocabulary]; the end where there are none."""
        masks = self._seen.copy()
        masks[:, :FIRST_SYMBOL] = False
        masks[~masks.any(axis=1), END] = True
        return np.asarray(masks)

    def _tokens(self, sketch: Sketch) -> IntArray:
        symbols = self._symbols.encode(sketch.up, sizes_of(sketch), gaps_of(sketch))
        way = FIRST_TRANSPORT + TRANSPORTS.index(sketch.transport)
        return np.concatenate([[way], FIRST_SYMBOL + symbols, [END]]).astype(np.int64)


class JointWriter:
    """See ``benchmark.method.Writer``: keeps each row's time, and ends it when its duration is full."""

    def __init__(self, owner: Joint, conditions: Sequence[Condition], seeds: Sequence[int], fastest: float) -> None:
        self._owner, self._masks, self._up = owner, owner.masks(), owner.up
        self._batch = Batch(seeds)
        self._number = np.array([owner.number(c) for c in conditions], np.int64)
        shares = (owner.shares(number) for number in self._number)
        ways = zip(self._batch.streams, shares, strict=True)
        self._first = np.array([random.choice(len(TRANSPORTS), p=share) for random, share in ways])
        self._ways = self._first.copy()
        self._told = Told(conditions)
        self._duration = np.array([c.duration for c in conditions])
        # A decoder that drifts into ever shorter gaps must not write without end.
        self._most = np.array([1000 + RUNAWAY * fastest * c.duration for c in conditions])
        self._now = np.zeros(len(conditions), np.int64)

    def mask(self) -> NDArray[np.bool_]:
        """Legal next tokens, bool [rows, vocabulary]."""
        legal = self._masks[self._first]
        if self._batch.steps == 0:
            legal[:] = False
            legal[np.arange(len(legal)), FIRST_TRANSPORT + self._first] = True
        written = self._batch.written[self._batch.rows]
        full = (self._now >= self._duration * NANOSECONDS) | (written >= self._most)
        legal[full] = False
        legal[full, END] = True
        return np.asarray(legal)

    def columns(self) -> IntArray:
        """The application and what is asked for besides, int64 [rows, columns]."""
        told = self._told.at(np.arange(len(self._now)), self._now / NANOSECONDS)
        return np.concatenate([self._number[:, None], told], axis=1)

    def push(self, tokens: IntArray) -> NDArray[np.bool_]:
        """Take one token a row; return which rows have ended."""
        batch, uniforms = self._batch, self._batch.draw()
        chosen = np.flatnonzero(tokens >= FIRST_SYMBOL)
        symbols = tokens[chosen] - FIRST_SYMBOL
        gap, sizes = self._owner.symbols.draw(symbols, uniforms[chosen])
        self._now[chosen] += gap
        rows = batch.rows[chosen]
        batch.packets[rows, batch.written[rows]] = np.stack([self._now[chosen], self._up[symbols], sizes], 1)
        batch.written[rows] += 1
        return np.asarray(tokens == END)

    def keep(self, rows: IntArray) -> None:
        """Go on with these rows only."""
        self._batch.keep(rows)
        keep_rows(self, ("_number", "_first", "_duration", "_most", "_now"), rows)
        self._told.keep(rows)

    def trace(self, row: int, condition: Condition, name: str, seed: int) -> Trace:
        """Compile what an original row has written."""
        return trace_of(self._batch.sketch(row, TRANSPORTS[self._ways[row]]), condition, name, seed)
