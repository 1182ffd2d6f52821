"""What the references that hand out real traces share: the traces, how they are stored, how alike conditions are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.storage.compact import read_traces, write_traces
from benchmark.trace import Condition, Trace


class KeptTraces:
    """A generator that keeps traces whole, with all their flows; ``fit`` sets ``traces``."""

    traces: Sequence[Trace]

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
