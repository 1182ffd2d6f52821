"""Quality classes: which application a packet belongs to, and which rung was being fetched when it passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import CorpusError
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition, Trace


@dataclass(frozen=True)
class Classes:
    """The (application, rung) pairs that training has packets of, sorted.

    Rung -1, nothing fetched yet or no ladder at all, is a class like any other.
    """

    pairs: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def applications(self) -> list[str]:
        """Names of the applications, sorted."""
        return sorted({application for application, _ in self.pairs})

    def application_of(self) -> NDArray[np.int64]:
        """Return the number of each class's application, int64 [classes]."""
        names = self.applications
        return np.array([names.index(application) for application, _ in self.pairs], np.int64)

    def number(self, application: str, rung: int) -> int:
        """Return the class asked for; failing it the nearest rung of the application, then of any other."""
        known = [i for i, pair in enumerate(self.pairs) if pair[0] == application] or range(len(self))
        return min(known, key=lambda i: (abs(self.pairs[i][1] - rung), self.pairs[i][1]))

    def of_windows(self, condition: Condition) -> NDArray[np.int64]:
        """Return the class of each window of a condition, int64 [windows]; at least one."""
        rungs = condition.labels.rung if len(condition.labels) else np.array([-1], np.int8)
        return np.array([self.number(condition.application, int(rung)) for rung in rungs], np.int64)


@dataclass(frozen=True, eq=False)
class Example:
    """A training trace as the references see it: the sketch of its largest flow, and its classes by window."""

    sketch: Sketch
    application: str
    windows: NDArray[np.int64]
    window: int  # ns

    def classes_at(self, ts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class at each moment of the flow, int64 [n]; windows count from the trace's first packet."""
        return self.windows[np.clip((ts + self.sketch.began) // self.window, 0, len(self.windows) - 1)]


def window_of(condition: Condition) -> int:
    """Return how long a window lasts, ns."""
    return max(1, round(condition.window * NANOSECONDS))


def read_examples(traces: Sequence[Trace]) -> tuple[Classes, list[Example]]:
    """Sketch the training traces, and list the classes that their packets fall in.

    Raises CorpusError where no trace has a TCP or UDP packet.
    """
    sketches = [sketch_of(trace) for trace in traces]
    pairs = {
        (trace.condition.application, rung)
        for trace, sketch in zip(traces, sketches, strict=True)
        for rung in _rungs_with_packets(trace, sketch)
    }
    classes = Classes(tuple(sorted(pairs)))
    examples = [
        Example(
            sketch,
            trace.condition.application,
            classes.of_windows(trace.condition),
            window_of(trace.condition),
        )
        for trace, sketch in zip(traces, sketches, strict=True)
        if len(sketch)
    ]
    if not examples:
        raise CorpusError(f"none of the {len(traces)} training traces has TCP or UDP packets")
    return classes, examples


def _rungs_with_packets(trace: Trace, sketch: Sketch) -> Iterable[int]:
    """Yield the rungs of the windows that hold rows of the sketch."""
    rungs = trace.labels.rung
    if len(sketch) == 0:
        return
    if len(rungs) == 0:
        yield -1
        return
    held = np.unique(np.clip((sketch.ts + sketch.began) // window_of(trace.condition), 0, len(rungs) - 1))
    yield from {int(rung) for rung in rungs[held]}
