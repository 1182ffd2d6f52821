"""Sessions of two seconds whose packets are short at rung 0 and full above, over TCP and QUIC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.corpus import Corpus
from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels, Trace


def make_trace(transport: str, rung: int, packets: int = 60, seed: int = 0) -> Trace:
    """A session of two windows of 1 s: short packets at rung 0, full ones above."""
    random = np.random.default_rng(seed)
    up = random.random(packets) < 0.3
    payload = np.where(up, 80, 200 if rung == 0 else 1200).astype(np.int32)
    ts = np.sort(random.integers(0, 2_000_000_000, packets))
    sketch = Sketch(transport, ts - ts[0], up, payload)
    labels = replace(Labels.unknown(2), rung=np.full(2, rung, np.int8))
    condition = Condition(transport, 2.0, 1.0, labels)
    return Trace(f"{transport}{rung}", compile_sketch(sketch, seed), condition, CLIENT_PREFIX)


def short_corpus() -> Corpus:
    """Return a session of each transport at rungs 0 and 1, all of them training traces."""
    traces = [make_trace(transport, rung, seed=rung) for transport in ("tcp", "quic") for rung in (0, 1)]
    return Corpus("made", "digest", 1.0, traces, [], [], (144, 240), CLIENT_PREFIX)
