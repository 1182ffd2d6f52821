"""The photocopier: hands out training traces, so that a score which rewards remembering is seen.

A condition gets the training trace of its application whose labels are most like those asked for, as it was
captured: its packets, its endpoints, its times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmark.corpus import Corpus
from benchmark.method import Budget, Log, Method
from benchmark.storage.compact import read_traces, write_traces
from benchmark.trace import Condition, Trace


def build(method: Method) -> Photocopier:
    """Return the generator; it has no options."""
    return Photocopier()


class Photocopier:
    """Copies of training traces."""

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Keep the training traces."""
        self.traces: Sequence[Trace] = list(corpus.train)
        log.report("fit", 1, 1, traces=float(len(self.traces)))

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one training trace a condition, in order; equally near ones take turns."""
        random = np.random.default_rng(seed)
        used = np.zeros(len(self.traces))
        for number, condition in enumerate(conditions):
            far = np.array([unlikeness(condition, trace.condition) for trace in self.traces])
            chosen = int(np.lexsort((random.random(len(far)), used, far))[0])
            used[chosen] += 1
            trace = self.traces[chosen]
            yield Trace(f"synthetic-{number:04d}", trace.packets, condition, trace.client)

    def save(self, folder: Path) -> None:
        """Write the traces."""
        write_traces(folder / "traces.parquet", self.traces)

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote; times come back to the microsecond."""
        self.traces = read_traces(folder / "traces.parquet")


def unlikeness(one: Condition, other: Condition) -> float:
    """Return how far apart two conditions are: by application, duration and rung in each window."""
    count = min(len(one.labels), len(other.labels))
    rung = np.abs(one.labels.rung[:count].astype(float) - other.labels.rung[:count])
    apart = rung.mean() if count else 0.0
    length = abs(one.duration - other.duration) / max(one.duration, other.duration, 1e-9)
    return 1000.0 * (one.application != other.application) + 10.0 * length + float(apart)
