"""The ceiling: hands out real traces that no method was fitted to, those of the validation split.

A trace comes whole, with all its flows, and with its own labels, not with those asked for, since a real trace is
what it is. Each is used once before any is used again, by the conditions of its own application as far as there
are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from baselines.parts.kept_traces import KeptTraces, unlikeness
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError
from benchmark.method import Budget, Log, Method
from benchmark.trace import Condition, Trace


def build(method: Method) -> RealTraces:
    """Return the generator; it has no options."""
    return RealTraces()


class RealTraces(KeptTraces):
    """Validation traces."""

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Keep the validation traces. Raises CorpusError where there are none."""
        if not corpus.validation:
            raise CorpusError(f"{corpus.name}: no validation traces for the reference 'real'")
        self.traces = list(corpus.validation)
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
