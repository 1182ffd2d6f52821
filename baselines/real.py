"""The ceiling: hands out real traces that no method was fitted to, those of the validation split.

A trace comes whole, with all its flows, and with its own labels, not with those asked for, since a real trace is
what it is. Each is used once before any is used again, by the conditions of its own application as far as there
are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.parts.kept_traces import KeptTraces
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

    def order(self, asked: Condition, far: NDArray[np.float64], used: NDArray[np.float64]) -> Sequence[NDArray[Any]]:
        """Those of the application first, of these the least used, then the nearest."""
        foreign = np.array([trace.condition.application != asked.application for trace in self.traces])
        return far, used, foreign

    def told(self, asked: Condition, chosen: Trace) -> Condition:
        """Say what the trace is."""
        return chosen.condition
