"""The photocopier: hands out training traces, so that a score which rewards remembering is seen.

A condition gets the training trace of its application whose labels are most like those asked for, as it was
captured: its packets, its endpoints, its times, all its flows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from baselines.parts.kept_traces import KeptTraces, unlikeness
from benchmark.corpus import Corpus
from benchmark.method import Budget, Log, Method
from benchmark.trace import Condition, Trace


def build(method: Method) -> Photocopier:
    """Return the generator; it has no options."""
    return Photocopier()


class Photocopier(KeptTraces):
    """Copies of training traces."""

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Keep the training traces."""
        self.traces = list(corpus.train)
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
