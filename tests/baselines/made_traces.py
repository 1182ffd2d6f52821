"""Small traces with segments, requests and labels, made for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.corpus import Corpus
from benchmark.synthesis.compiler import CLIENT_PREFIX, trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels, Trace, join_packets

TRANSPORT = {"player": "tcp", "browser": "quic", "call": "rtp"}


def make_sketch(application: str, rungs: list[int], seed: int, window: float = 2.0) -> Sketch:
    """Requests of a size by rung, answered at a rate of their own; or a call of frames each 40 ms."""
    random = np.random.default_rng([seed, len(application)])
    transport, duration = TRANSPORT[application], window * len(rungs)
    rows: list[tuple[float, bool, int]] = []
    now = 0.05
    rate = 2e5 * 2 ** random.normal(0, 0.3)
    while now < duration:
        rung = max(0, rungs[min(int(now / window), len(rungs) - 1)])
        if transport == "rtp":
            now += 0.04 + random.exponential(0.002)
            rows += [(now + k * 1e-4, False, int(random.integers(900, 1100))) for k in range(1 + rung)]
            rows.append((now + 0.01, True, int(random.integers(60, 120))))
            continue
        largest = 1448 if transport == "tcp" else 1439
        rows.append((now, True, 104 if transport == "tcp" else 360))
        last = now + 0.04
        for k in range(int(8 * 2**rung * random.lognormal(0, 0.2))):
            last += largest / rate * random.lognormal(0, 0.1)
            rows.append((last, False, largest))
            if k % 2:
                rows.append((last + 2e-5, True, 0 if transport == "tcp" else 29))
        now = last + (0.06 if random.random() < 0.5 else 0.7)
    rows = sorted(row for row in rows if row[0] < duration)
    return Sketch(
        transport,
        np.array([round(row[0] * 1e9) for row in rows], np.int64),
        np.array([row[1] for row in rows], bool),
        np.array([row[2] for row in rows], np.int32),
    )


def make_trace(application: str, rungs: list[int], seed: int) -> Trace:
    """Compile such a sketch; windows of 2 s."""
    labels = Labels.unknown(len(rungs))
    labels = Labels(np.array(rungs, np.int8), labels.height, labels.stall, labels.fps, labels.bitrate)
    condition = Condition(application, 2.0 * len(rungs), 2.0, labels)
    return trace_of(make_sketch(application, rungs, seed), condition, f"{application}-{seed}", seed)


def make_corpus(traces: int = 8, applications: tuple[str, ...] = ("player", "browser"), windows: int = 3) -> Corpus:
    """A corpus of such traces, rungs from 0 to 3 by turns."""
    made = [
        make_trace(
            applications[k % len(applications)],
            [
                -1 if applications[k % len(applications)] == "call" else (k // len(applications) + w) % 4
                for w in range(windows)
            ],
            k,
        )
        for k in range(traces + 2)
    ]
    return Corpus("made", "made", 2.0, made[:traces], made[traces:], made[traces:], (144, 240, 360, 480), CLIENT_PREFIX)


def put_beside(trace: Trace, other: Trace, later: int) -> Trace:
    """Return the trace with the other's packets too, ``later`` ns after its own; its condition stays."""
    both = join_packets([trace.packets, other.packets.shifted(later)])
    both = replace(both, ts=both.ts - both.ts.min())
    return replace(trace, packets=both.take(np.argsort(both.ts, kind="stable")))
