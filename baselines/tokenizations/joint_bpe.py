"""Merged joint symbols: byte-pair encoding over one symbol a packet, so that a token holds up to sixteen packets.

Symbols are those of ``joint`` with coarser gaps, which merge better. Packets large enough for a request never merge:
each begins a token, and stays a rare event of its own. ``acknowledgements`` "rule" leaves them out of the tokens
and puts them back by the client's habits (``AcknowledgementRule``); a gap then counts from the packet kept before.

Exact: the number of packets, their order and directions, common sizes. Sizes come back within their class, gaps
within their bin, drawn as training has them; by rule, acknowledgements are as many as in training only on average.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from baselines.parts.acknowledgement_rule import AcknowledgementRule
from baselines.parts.learnt_symbols import LARGEST_PAYLOAD, PacketSymbols, learn_symbols, sizes_of, sketch_with
from baselines.parts.merges import apply_merges, learn_merges, spell_merges
from baselines.parts.sketches import TCP_REQUEST_BYTES, TRANSPORTS, gaps_of
from benchmark.errors import ConfigError, nearest
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace

END, FIRST_TRANSPORT, FIRST_SYMBOL = 0, 1, 1 + len(TRANSPORTS)
ACKNOWLEDGEMENTS = ("kept", "rule")
MOST_MERGES = 4096


def build(options: Mapping[str, Any]) -> JointBpe:
    """Build the tokenization.

    Options: ``merges``, most of them; ``longest``, most packets of a token; ``gap_bins``, see ``learn_symbols``;
    ``acknowledgements``, kept or rule.
    """
    return JointBpe(**options)


class JointBpe:
    """See the module."""

    def __init__(self, merges: int = 512, longest: int = 16, gap_bins: int = 1, acknowledgements: str = "kept") -> None:
        if acknowledgements not in ACKNOWLEDGEMENTS:
            known = ", ".join(ACKNOWLEDGEMENTS)
            raise ConfigError(
                f"joint_bpe: acknowledgements '{acknowledgements}' is none of {known}"
                f"{nearest(acknowledgements, ACKNOWLEDGEMENTS)}"
            )
        if not 0 <= merges <= MOST_MERGES:
            raise ConfigError(f"joint_bpe: merges must be from 0 to {MOST_MERGES}, not {merges}")
        self._merges, self._longest, self._gap_bins = merges, longest, gap_bins
        self._rule = AcknowledgementRule() if acknowledgements == "rule" else None
        nothing = np.zeros(0, np.int64)
        symbols = learn_symbols(nothing > 0, nothing, nothing, gap_bins)
        self._take(symbols, np.zeros((0, 2), np.int64))
        self._seen = np.ones((len(TRANSPORTS), len(self._members)), np.bool_)

    @property
    def vocabulary(self) -> Vocabulary:
        """The end, the transports, the symbols, then the merges by their members."""
        transports = (f"transport {name}" for name in TRANSPORTS)
        merged = ("+".join(str(member) for member in members) for members in self._members[len(self._symbols) :])
        return Vocabulary(("end", *transports, *self._symbols.names(), *merged))

    @property
    def loses(self) -> tuple[str, ...]:
        """What doesn't come back."""
        return (
            "flows but the largest",
            "addresses, ports, sequence numbers, options, handshake and teardown: the compiler's own",
            "payload sizes within their class; common ones are exact",
            "gaps within their bin, at most a decade between 10 us and 100 s",
            *(("the times and the exact number of acknowledgements",) if self._rule else ()),
        )

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for, on average."""
        uniforms = np.linspace(0, 1, 257)
        everyone = np.repeat(np.arange(len(self._symbols)), len(uniforms))
        gaps, _ = self._symbols.draw(everyone, np.stack([np.tile(uniforms, len(self._symbols))] * 2, 1))
        each = gaps.reshape(-1, len(uniforms)).mean(axis=1) / NANOSECONDS
        spans = [float(each[members].sum()) for members in self._members]
        return np.concatenate([np.zeros(FIRST_SYMBOL), spans])

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn the acknowledgements' rule, the symbols, then the merges."""
        sketches = [sketch_of(trace) for trace in traces]
        if self._rule:
            self._rule.fit(sketches)
            sketches = [self._rule.remove(sketch) for sketch in sketches]
        nothing = np.zeros(0, np.int64)
        symbols = learn_symbols(
            np.concatenate([nothing > 0, *(sketch.up for sketch in sketches)]),
            np.concatenate([nothing, *(sizes_of(sketch) for sketch in sketches)]),
            np.concatenate([nothing, *(gaps_of(sketch) for sketch in sketches)]),
            self._gap_bins,
        )
        numbers = [symbols.encode(sketch.up, sizes_of(sketch), gaps_of(sketch)) for sketch in sketches]
        asking = (symbols.high > TCP_REQUEST_BYTES) & (symbols.low <= LARGEST_PAYLOAD)
        request = (symbols.up & asking)[symbols.classes]
        self._take(symbols, learn_merges(numbers, len(symbols), self._merges, self._longest, request))
        self._seen = np.zeros((len(TRANSPORTS), len(self._members)), np.bool_)
        for sketch, own in zip(sketches, numbers, strict=True):
            self._seen[TRANSPORTS.index(sketch.transport), apply_merges(own, self._pairs, len(symbols))] = True

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        sketch = sketch_of(trace)
        if self._rule:
            sketch = self._rule.remove(sketch)
        numbers = self._symbols.encode(sketch.up, sizes_of(sketch), gaps_of(sketch))
        way = FIRST_TRANSPORT + TRANSPORTS.index(sketch.transport)
        merged = apply_merges(numbers, self._pairs, len(self._symbols))
        return np.concatenate([[way], FIRST_SYMBOL + merged, [END]]).astype(np.int64)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, gaps and sizes drawn from a seed of the tokens' own."""
        sketch = self._sketch(tokens, zlib.crc32(np.asarray(tokens, np.int64).tobytes()))
        duration = (float(sketch.ts[-1]) / NANOSECONDS if len(sketch) else 0.0) + 1.0
        return trace_of(sketch, Condition("", duration, duration, Labels.unknown(1)), "decoded", 0)

    def write(self, tokens: IntArray, condition: Condition, name: str, seed: int) -> Trace:
        """Return the trace that the tokens describe as the compiler makes it for a condition."""
        return trace_of(self._sketch(tokens, seed), condition, name, seed)

    def grammar(self) -> Grammar:
        """Legal sequences: a transport, then tokens that training has shown over it, then the end."""
        ways = len(TRANSPORTS)
        legal = np.zeros((ways + 2, FIRST_SYMBOL + len(self._members)), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        legal[0, FIRST_TRANSPORT:FIRST_SYMBOL] = self._seen.any(axis=1)
        following[0, FIRST_TRANSPORT:FIRST_SYMBOL] = np.arange(1, ways + 1)
        legal[1:-1, FIRST_SYMBOL:] = self._seen
        legal[1:-1, END] = True
        following[1:-1] = np.arange(1, ways + 1)[:, None]
        following[1:-1, END] = ways + 1
        return Grammar(legal, following)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = self._symbols.arrays() | {"pairs": self._pairs, "seen": self._seen}
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "joint_bpe.safetensors")
        (folder / "joint_bpe.json").write_text(json.dumps(self._rule.facts() if self._rule else {}))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays = load_file(folder / "joint_bpe.safetensors")
        pairs, self._seen = arrays.pop("pairs"), arrays.pop("seen")
        self._take(PacketSymbols.of(arrays), pairs)
        if self._rule:
            self._rule.recall(json.loads((folder / "joint_bpe.json").read_text()))

    def _take(self, symbols: PacketSymbols, pairs: IntArray) -> None:
        self._symbols, self._pairs = symbols, pairs
        self._members = spell_merges(pairs, len(symbols))
        self._counts = np.array([len(members) for members in self._members], np.int64)
        self._spelt = np.array([member for members in self._members for member in members], np.int64)

    def _sketch(self, tokens: IntArray, seed: int) -> Sketch:
        """Read the packets off."""
        tokens = np.asarray(tokens, np.int64)
        ways = tokens[(tokens >= FIRST_TRANSPORT) & (tokens < FIRST_SYMBOL)] - FIRST_TRANSPORT
        held = tokens[tokens >= FIRST_SYMBOL] - FIRST_SYMBOL
        counts = self._counts[held]
        starts = np.concatenate([[0], np.cumsum(self._counts)])[held]
        inside = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        symbols = self._spelt[np.repeat(starts, counts) + inside]
        gaps, sizes = self._symbols.draw(symbols, np.random.default_rng(abs(seed)).random((len(symbols), 2)))
        up = self._symbols.up[self._symbols.classes[symbols]]
        sketch = sketch_with(TRANSPORTS[ways[0]] if len(ways) else "tcp", np.cumsum(gaps), up, sizes)
        return self._rule.restore(sketch) if self._rule else sketch
