"""The ceiling: hands out real traces that no method was fitted to, those of the validation split.

A trace comes with its own labels, not with those asked for, since a real trace is what it is. Each is used
once before any is used again, by the conditions of its own application as far as there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from baselines.resample import unlikeness
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError
from benchmark.method import Budget, Log, Method
from benchmark.storage.compact import read_traces, write_traces
from benchmark.trace import Condition, Trace


def build(method: Method) -> RealTraces:
    """Return the generator; it has no options."""
    return RealTraces()


class RealTraces:
    """Validation traces."""

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Keep the validation traces. Raises CorpusError where there are none."""
        if not corpus.validation:
            raise CorpusError(f"{corpus.name}: no validation traces for the reference 'real'")
        self.traces: Sequence[Trace] = list(corpus.validation)
        log.report("fit", 1, 1, traces=float(len(self.traces)))

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one validation trace a condition, in order, with its own labels."""
        random = np.random.default_rng(seed)
        used = np.zeros(len(self.traces))
        for number, condition in enumerate(conditions):
            far = np.array([unlikeness(condition, trace.condition) for trace in self.traces])
            foreign = np.array([trace.condition.application != condition.application for trace in self.traces])
            chosen = int(np.lexsort((random.random(len(far)), far, used, foreign))[0])
            used[chosen] += 1
            trace = self.traces[chosen]
            yield Trace(f"synthetic-{number:04d}", trace.packets, trace.condition, trace.client)

    def save(self, folder: Path) -> None:
        """Write the traces."""
        write_traces(folder / "traces.parquet", self.traces)

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote; times come back to the microsecond."""
        self.traces = read_traces(folder / "traces.parquet")
