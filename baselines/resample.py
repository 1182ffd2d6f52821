"""The photocopier: hands out training traces, so that a score which rewards remembering is seen.

A condition gets the training trace of its application whose labels are most like those asked for, as it was
captured: its packets, its endpoints, its times, all its flows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.parts.kept_traces import KeptTraces
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

    def order(self, asked: Condition, far: NDArray[np.float64], used: NDArray[np.float64]) -> Sequence[NDArray[Any]]:
        """Nearest first; equally near ones take turns."""
        return used, far

    def told(self, asked: Condition, chosen: Trace) -> Condition:
        """Claim what was asked for."""
        return asked
