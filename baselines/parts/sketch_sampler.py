"""What the sampled references share: a sketch drawn for each condition, the compiler, and tables that are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from baselines.parts.classes import Classes
from baselines.parts.openings import Openings
from baselines.parts.tables import Arrays, count_numbers, load_tables, save_tables
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Trace


class SketchSampler(ABC):
    """A generator that counts over training sketches; ``fit`` sets ``classes``, ``openings`` and its own tables.

    It learns from the largest flow of each trace alone (``benchmark.synthesis.sketch``), and a sampled trace is
    one flow, which begins with the trace.
    """

    classes: Classes
    openings: Openings

    @abstractmethod
    def draw(self, condition: Condition, random: np.random.Generator) -> Sketch:
        """Draw the packets of one flow."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return the tables that were learnt, by name."""

    @abstractmethod
    def take(self, arrays: Arrays) -> None:
        """Take back what ``arrays`` gave."""

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one trace a condition, in order."""
        for number, condition in enumerate(conditions):
            random = np.random.default_rng([seed, number])
            sketch = self.draw(condition, random)
            yield trace_of(sketch, condition, f"synthetic-{number:04d}", int(random.integers(1 << 31)))

    @property
    def figures(self) -> dict[str, float]:
        """What it says of itself: how many numbers were learnt."""
        return {"parameters": count_numbers(self.arrays())}

    def save(self, folder: Path) -> None:
        """Write the tables."""
        save_tables(folder, self.arrays(), {"classes": self.classes.pairs, "openings": self.openings.facts()})

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        arrays, facts = load_tables(folder)
        self.classes = Classes(tuple((name, rung) for name, rung in facts["classes"]))
        self.openings = Openings.of(facts["openings"])
        self.take(arrays)
