"""What the references that hand out real traces share: the traces, how they are stored, how alike conditions are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.storage.compact import read_traces, write_traces
from benchmark.trace import Condition, Trace


class KeptTraces(ABC):
    """A generator that keeps traces whole, with all their flows; ``fit`` sets ``traces``."""

    traces: Sequence[Trace]

    @abstractmethod
    def order(self, asked: Condition, far: NDArray[np.float64], used: NDArray[np.float64]) -> Sequence[NDArray[Any]]:
        """Return what decides which trace is handed out, arrays [traces], the weightiest last; the least wins.

        far: how unlike each trace is to what is asked for. used: how often each was handed out.
        """

    @abstractmethod
    def told(self, asked: Condition, chosen: Trace) -> Condition:
        """Return the condition that a trace is handed out with."""

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one of the traces a condition, in order; chance decides among equals."""
        random = np.random.default_rng(seed)
        used = np.zeros(len(self.traces))
        for number, condition in enumerate(conditions):
            far = np.array([unlikeness(condition, trace.condition) for trace in self.traces])
            chosen = int(np.lexsort((random.random(len(far)), *self.order(condition, far, used)))[0])
            used[chosen] += 1
            trace = self.traces[chosen]
            yield Trace(f"synthetic-{number:04d}", trace.packets, self.told(condition, trace), trace.client)

    def save(self, folder: Path) -> None:
        """Write the traces."""
        write_traces(folder / "traces.parquet", self.traces)

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote; times come back to the microsecond."""
        self.traces = read_traces(folder / "traces.parquet")


def unlikeness(one: Condition, other: Condition) -> float:
    """Return how far apart two conditions are: by application, duration and rung in each window."""
    count = min(len(one.labels), len(other.labels))
    rung = abs(one.labels.rung[:count].astype(float) - other.labels.rung[:count])
    apart = rung.mean() if count else 0.0
    length = abs(one.duration - other.duration) / max(one.duration, other.duration, 1e-9)
    return 1000.0 * (one.application != other.application) + 10.0 * length + float(apart)
