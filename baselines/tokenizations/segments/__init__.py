"""Segments: a request opens one, a header says its size, rate and wait, then each packet is one joint symbol.

A sequence is transport, round trip, then segments, then the end. RTP, where nothing asks, is cut into seconds.
Kept exactly: the number of packets, their directions, common sizes, SACK blocks. Lost: other sizes within their
class, gaps within their bin (``baselines.parts.learnt_symbols``) and a sixteenth of an octave of their segment's
rate, the time of a request that waited within a thirty-second of an octave of its wait, the round trip within half an
octave, all flows but the largest. A request keeps to its side of the 50 ms that make an opening, as far as the
packets before it have left it room. What a writer writes keeps to its headers besides: packets that are late are
hurried. Segments of a few kilobytes, as handshakes are, keep to none (``alphabet.TALK``).

``alphabet`` says what tokens there are and ``vocabulary`` numbers them; ``cuts`` finds the headers of a trace and
``laying_out`` its tokens; ``state`` is what each token changes, ``pacing`` says when packets pass, ``playing`` turns
tokens into packets, ``openers`` counts transports and round trips, ``header_model`` draws headers, and ``writer``
writes traces with all of them.
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

from baselines.parts.asked import DELAYS
from baselines.parts.learnt_symbols import PacketSymbols, fastest, learn_symbols, sizes_of, sketch_with
from baselines.parts.sketches import TRANSPORTS
from baselines.tokenizations.segments.alphabet import (
    COLUMNS,
    CYCLE,
    END,
    OPEN_LATER,
    OPEN_NOW,
    QUIET,
    RATE,
    SIZE,
    TRANSPORT,
    TRIP,
    TRIPS,
    bin_of,
    trip_bin,
    trip_in,
)
from baselines.tokenizations.segments.cuts import find_headers, told_gaps
from baselines.tokenizations.segments.header_fitting import fit_headers
from baselines.tokenizations.segments.header_model import FIELDS, HeaderModel
from baselines.tokenizations.segments.laying_out import Course, HeaderTokens, lay_out
from baselines.tokenizations.segments.openers import learn_openers
from baselines.tokenizations.segments.pacing import TOLD_PAUSE
from baselines.tokenizations.segments.playing import replay
from baselines.tokenizations.segments.script import Script
from baselines.tokenizations.segments.state import REALS, TRIP_BIN, WAY, WHOLES
from baselines.tokenizations.segments.vocabulary import first_tokens, make_grammar, make_lexicon, name_tokens
from baselines.tokenizations.segments.writer import SegmentWriter
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace


def build(options: Mapping[str, Any]) -> Segments:
    """Build the tokenization.

    Options: ``gap_bins``, bins of the commonest packets; ``header_members`` and ``header_epochs`` of the header model.
    """
    return Segments(**options)


class Segments:
    """See the module; a ``StatefulTokenization``."""

    def __init__(self, gap_bins: int = 48, header_members: int = 4, header_epochs: int = 800) -> None:
        self._gap_bins = gap_bins
        self._members = header_members
        self.header_epochs = header_epochs
        self._applications: tuple[str, ...] = ()
        nothing = np.zeros(0, np.int64)
        self._plain = learn_symbols(nothing > 0, nothing, nothing, gap_bins)
        self._opening = learn_symbols(nothing > 0, nothing, nothing, requests=True)
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        self._shares = (np.zeros((1, len(TRANSPORTS))), np.zeros((1, DELAYS, TRIPS)))
        self._headers = HeaderModel({}, np.ones(2), np.zeros(1))
        self._fastest = 0.0

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn size classes, gap bins, shares of transports and round trips, and the header model."""
        self._fastest = fastest(traces)
        self._applications = tuple(sorted({trace.condition.application for trace in traces}))
        sketches = [sketch_of(trace) for trace in traces]
        cuts = [find_headers(sketch, trace.condition) for sketch, trace in zip(sketches, traces, strict=True)]
        opens = [own for _, _, own in cuts]
        up, sizes, gap, opening = (
            np.concatenate([np.zeros(0, np.int64), *parts])
            for parts in (
                [sketch.up for sketch in sketches],
                [sizes_of(sketch) for sketch in sketches],
                [told_gaps(sketch, *cut) for sketch, cut in zip(sketches, cuts, strict=True)],
                opens,
            )
        )
        up, opening = up > 0, opening > 0
        self._plain = learn_symbols(up[~opening], sizes[~opening], gap[~opening], self._gap_bins, border=TOLD_PAUSE)
        self._opening = learn_symbols(
            up[opening], sizes[opening], gap[opening], self._gap_bins // 4, common=0.02, requests=True
        )
        self._forget()
        self._seen = np.zeros((len(TRANSPORTS), len(self.vocabulary)), np.bool_)
        found = []
        for trace, sketch, (headers, _, _) in zip(traces, sketches, cuts, strict=True):
            way = TRANSPORTS.index(sketch.transport)
            self._seen[way, self._tokens(sketch, trace.condition)[0]] = True
            found.append((self._applications.index(trace.condition.application), headers))
        asked = [(application, headers.asked) for application, headers in found]
        self._shares = learn_openers(sketches, asked, len(self._applications))
        self._headers = fit_headers(found, len(self._applications), seed, self._members, self.header_epochs)
        self._forget()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Names of all tokens."""
        return Vocabulary(name_tokens(self._plain, self._opening))

    @property
    def columns(self) -> Sequence[tuple[str, int]]:
        """State columns: the application and those of ``alphabet``."""
        return (("application", len(self._applications) + 1), *COLUMNS)

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Header tokens, the end among them, are the writer's; symbols that training never showed are nobody's."""
        return np.asarray((self.kinds < QUIET) | ~self._seen.any(axis=0))

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        return self._tokens(sketch_of(trace), trace.condition)[0]

    def encode_with_columns(self, trace: Trace, condition: Condition) -> tuple[IntArray, IntArray]:
        """Return tokens [n] and columns [n, columns], as seen by one who was told ``condition``."""
        return self._tokens(sketch_of(trace), condition)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, gaps and sizes drawn within their bins from a fixed seed."""
        sketch = self.play(tokens)
        duration = (float(sketch.ts[-1]) / NANOSECONDS if len(sketch) else 0.0) + 1.0
        return trace_of(sketch, Condition("", duration, duration, Labels.unknown(1)), "decoded", 0)

    def play(self, tokens: IntArray) -> Sketch:
        """Return the packets that the tokens describe."""
        draws = np.random.default_rng(0).random((len(tokens), 2))
        packets = np.full((len(tokens), 3), -1, np.int64)
        real, whole = np.zeros(REALS), np.zeros(WHOLES, np.int64)
        replay(np.asarray(tokens, np.int64), draws, real, whole, self._script.lexicon, packets)
        ts, up, sizes = packets[packets[:, 0] >= 0].T
        trip = round(trip_in(int(whole[TRIP_BIN])) * NANOSECONDS)
        return sketch_with(TRANSPORTS[whole[WAY]], ts, up > 0, sizes, trip)

    @property
    def kinds(self) -> IntArray:
        """What each token is, int64 [vocabulary], by the kinds of ``alphabet``."""
        return self._script.lexicon.kinds

    @property
    def symbols(self) -> PacketSymbols:
        """Symbols of the packets that don't open a segment."""
        return self._plain

    def grammar(self) -> Grammar:
        """Return the automaton of legal sequences."""
        return make_grammar(self.kinds)

    def writer(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> SegmentWriter:
        """Start one trace a condition."""
        return SegmentWriter(self._script, conditions, seeds)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        arrays: dict[str, NDArray[Any]] = {f"plain.{k}": v for k, v in self._plain.arrays().items()}
        arrays |= {f"opening.{k}": v for k, v in self._opening.arrays().items()}
        arrays |= {f"headers.{k}": v for k, v in self._headers.weights.items()}
        arrays |= {"needed": self._headers.needed, "lags": self._headers.lags, "seen": self._seen}
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
        self._headers = HeaderModel(_under("headers.", arrays), arrays["needed"], arrays["lags"])
        self._seen = arrays["seen"]
        self._shares = (arrays["transports"], arrays["trips"])
        self._forget()

    def _forget(self) -> None:
        """Drop the tables made from what was learnt before."""
        for name in ("vocabulary", "_script"):
            self.__dict__.pop(name, None)

    @cached_property
    def _script(self) -> Script:
        """What the writer needs, made from what was learnt."""
        return Script(
            lexicon=make_lexicon(self._plain, self._opening),
            first=first_tokens(self._plain, self._opening),
            seen=self._seen,
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
        values = np.stack([headers.size, headers.rate, headers.cycle], 1)
        bins = [
            first_bin + bin_of(value, floor, per_octave, count)
            for first_bin, value, (_, floor, per_octave, count, _) in zip(
                (script.first[kind] for kind in (SIZE, RATE, CYCLE)), values.T, FIELDS, strict=True
            )
        ]
        header_at = np.full(len(sketch), -1, np.int64)
        header_at[at] = np.arange(len(at))
        waited = np.zeros(len(sketch), bool)
        waited[at[1:]] = headers.cycle[:-1] > 0
        gaps = told_gaps(sketch, headers, at, opens)
        symbols = self._symbols(sketch, gaps, opens, waited)
        opener = [
            script.first[TRANSPORT] + TRANSPORTS.index(sketch.transport),
            script.first[TRIP] + trip_bin(sketch.round_trip / NANOSECONDS),
        ]
        count = 3 + len(sketch) + 3 * len(at)
        tokens, columns = np.zeros(count, np.int64), np.zeros((count, 1 + len(COLUMNS)), np.int64)
        columns[:, 0] = script.number(condition.application) + 1
        lay_out(
            np.array(opener, np.int64),
            Course(sketch.ts / NANOSECONDS, sketch.up, sizes_of(sketch), symbols, opens, header_at),
            HeaderTokens(np.stack(bins, 1), values),
            script.lexicon,
            headers.asked,
            tokens,
            columns,
        )
        tokens[-1] = script.first[END]
        columns[-1] = columns[-2]
        return tokens, columns

    def _symbols(self, sketch: Sketch, gap: IntArray, opens: NDArray[np.bool_], waited: NDArray[np.bool_]) -> IntArray:
        """Token of each packet, int64 [n]; waited: bool [n], openings whose time their header says."""
        first = self._script.first
        symbols = first[QUIET] + self._plain.encode(sketch.up, sizes_of(sketch), gap)
        chosen = np.flatnonzero(opens)
        opening = self._opening.encode(sketch.up[chosen], sketch.payload[chosen], gap[chosen])
        later = first[OPEN_LATER] + self._opening.classes[opening]
        symbols[chosen] = np.where(waited[chosen], later, first[OPEN_NOW] + opening)
        return symbols


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
