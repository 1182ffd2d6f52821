"""Fields: three tokens a packet, for its direction and kind, its payload size, and its gap; a transport ahead of all.

Exact: the number of packets, their order, directions and kinds (empty, data, request). Sizes come back within their
bin (``SizeBins``), gaps within theirs (``GapBins``). The compiler makes the rest, all flows but the largest are lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.parts.gap_bins import GapBins
from baselines.parts.size_bins import SizeBins
from baselines.parts.sketches import TRANSPORTS, gaps_of, request_bytes
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace

END, FIRST_TRANSPORT = 0, 1
FIRST_KIND = FIRST_TRANSPORT + len(TRANSPORTS)
KINDS = ("down empty", "down data", "up empty", "up data", "up request")
FIRST_GAP = FIRST_KIND + len(KINDS)


def build(options: Mapping[str, Any]) -> Fields:
    """Build the tokenization. Option: ``per_decade``, gap bins of a decade."""
    return Fields(**options)


class Fields:
    """See the module."""

    def __init__(self, per_decade: int = 32) -> None:
        self._gaps = GapBins(per_decade)
        self._first_size = FIRST_GAP + len(self._gaps)
        self._seen_gaps = np.ones(len(self._gaps), np.bool_)
        self._take(SizeBins())
        self._seen[:] = [[_allowed(kind, way, self._sizes) for kind in range(len(KINDS))] for way in TRANSPORTS]

    @property
    def vocabulary(self) -> Vocabulary:
        """The end, transports, kinds, gaps, then sizes."""
        transports = (f"transport {name}" for name in TRANSPORTS)
        return Vocabulary(("end", *transports, *KINDS, *self._gaps.names(), *self._sizes.names()))

    @property
    def loses(self) -> tuple[str, ...]:
        """What doesn't come back."""
        return (
            "flows but the largest",
            "addresses, ports, sequence numbers, options, handshake and teardown: the compiler's own",
            "payload sizes within 8 bytes, above 1,536 within 1,024; common ones are exact",
            f"gaps beyond {100 * self._gaps.bound:.1f} % of themselves or 100 ns, and above 1,000 s",
        )

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for."""
        seconds = np.zeros(self._first_size + len(self._sizes))
        seconds[FIRST_GAP : self._first_size] = self._gaps.values / NANOSECONDS
        return seconds

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn the common sizes, which kinds and sizes each transport has, and which gaps occur."""
        sketches = [sketch_of(trace) for trace in traces]
        payloads = [sketch.payload.astype(np.int64) for sketch in sketches]
        self._take(SizeBins.learn(np.concatenate([np.zeros(0, np.int64), *payloads])))
        gaps = [self._gaps.encode(gaps_of(sketch)) for sketch in sketches if len(sketch)]
        if gaps:
            self._seen_gaps = np.bincount(np.concatenate(gaps), minlength=len(self._gaps)) > 0
        for sketch, payload in zip(sketches, payloads, strict=True):
            self._seen[TRANSPORTS.index(sketch.transport), _kinds(sketch), self._sizes.encode(payload)] = True

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [3 * packets + 2]."""
        sketch = sketch_of(trace)
        rows = np.stack(
            [
                FIRST_KIND + _kinds(sketch),
                self._first_size + self._sizes.encode(sketch.payload.astype(np.int64)),
                FIRST_GAP + self._gaps.encode(gaps_of(sketch)),
            ],
            axis=1,
        )
        way = FIRST_TRANSPORT + TRANSPORTS.index(sketch.transport)
        return np.concatenate([[way], rows.ravel(), [END]]).astype(np.int64)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe; a packet that lacks its kind or size is left out."""
        sketch = self._sketch(tokens)
        duration = (float(sketch.ts[-1]) / NANOSECONDS if len(sketch) else 0.0) + 1.0
        return trace_of(sketch, Condition("", duration, duration, Labels.unknown(1)), "decoded", 0)

    def write(self, tokens: IntArray, condition: Condition, name: str, seed: int) -> Trace:
        """Return the trace that the tokens describe as the compiler makes it for a condition."""
        return trace_of(self._sketch(tokens), condition, name, seed)

    def grammar(self) -> Grammar:
        """Legal sequences: a transport; then a kind, a size and a gap for each packet; then the end.

        For each transport one state ahead of a kind, one ahead of each kind's size, one ahead of the gap. Kinds and
        sizes are those that training has shown over the transport, gaps those that it has shown at all.
        """
        span = len(KINDS) + 2
        legal = np.zeros((2 + span * len(TRANSPORTS), self._first_size + len(self._sizes)), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        for way in range(len(TRANSPORTS)):
            ready, gap = 1 + span * way, span * (way + 1)
            kinds = self._seen[way].any(axis=1)
            legal[0, FIRST_TRANSPORT + way] = kinds.any()
            following[0, FIRST_TRANSPORT + way] = ready
            legal[ready, FIRST_KIND:FIRST_GAP], legal[ready, END] = kinds, True
            following[ready, FIRST_KIND:FIRST_GAP] = np.arange(ready + 1, gap)
            following[ready, END] = len(legal) - 1
            legal[ready + 1 : gap, self._first_size :] = self._seen[way]
            following[ready + 1 : gap] = gap
            legal[gap, FIRST_GAP : self._first_size] = self._seen_gaps
            following[gap] = ready
        return Grammar(legal, following)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        folder.mkdir(parents=True, exist_ok=True)
        seen = [[np.flatnonzero(kind).tolist() for kind in way] for way in self._seen]
        facts = {"common": self._sizes.common, "seen": seen, "gaps": np.flatnonzero(self._seen_gaps).tolist()}
        (folder / "fields.json").write_text(json.dumps(facts))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        facts = json.loads((folder / "fields.json").read_text())
        self._take(SizeBins(facts["common"]))
        self._seen_gaps[:] = False
        self._seen_gaps[facts["gaps"]] = True
        for way, kinds in enumerate(facts["seen"]):
            for kind, sizes in enumerate(kinds):
                self._seen[way, kind, sizes] = True

    def _take(self, sizes: SizeBins) -> None:
        self._sizes = sizes
        self._seen = np.zeros((len(TRANSPORTS), len(KINDS), len(sizes)), np.bool_)

    def _sketch(self, tokens: IntArray) -> Sketch:
        """Read the packets off: each ends with its gap."""
        tokens = np.asarray(tokens, np.int64)
        place = np.arange(len(tokens))
        ways = tokens[(tokens >= FIRST_TRANSPORT) & (tokens < FIRST_KIND)]
        ends = np.flatnonzero((tokens >= FIRST_GAP) & (tokens < self._first_size))
        kind = _last(place, (tokens >= FIRST_KIND) & (tokens < FIRST_GAP))[ends]
        size = _last(place, tokens >= self._first_size)[ends]
        whole = np.minimum(kind, size) > np.concatenate([[-1], ends[:-1]])[: len(ends)]
        ts = np.cumsum(self._gaps.values[tokens[ends] - FIRST_GAP])[whole]
        up = tokens[kind[whole]] - FIRST_KIND >= KINDS.index("up empty")
        payload = self._sizes.values[tokens[size[whole]] - self._first_size].astype(np.int32)
        return Sketch(TRANSPORTS[ways[0] - FIRST_TRANSPORT] if len(ways) else "tcp", ts, up, payload)


def _kinds(sketch: Sketch) -> IntArray:
    """Return the kind of each row, int64 [n]."""
    asks = sketch.up & (sketch.payload >= request_bytes(sketch.transport))
    return np.asarray(2 * sketch.up + (sketch.payload > 0) + asks, np.int64)


def _allowed(kind: int, transport: str, sizes: SizeBins) -> NDArray[np.bool_]:
    """Tell which sizes a kind can have, bool [sizes]."""
    low = sizes.low[:-1]
    request = low >= request_bytes(transport)
    return np.asarray([low == 0, low > 0, low == 0, (low > 0) & ~request, request][kind])


def _last(place: IntArray, held: NDArray[np.bool_]) -> IntArray:
    """Return at each position the last one where ``held`` was true, -1 ahead of the first."""
    return np.maximum.accumulate(np.where(held, place, -1))
