"""How flows begin, by application: transport, round trip, and how long until the first row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.parts.classes import Example

JITTER = 0.1


@dataclass(frozen=True)
class Opening:
    """One flow's beginning; times in ns. up, payload: its first row."""

    transport: str
    round_trip: int
    first: int
    up: bool
    payload: int


class Openings:
    """The beginnings of the training flows; one is drawn for each new flow, its times varied by a tenth."""

    def __init__(self, known: dict[str, list[Opening]]) -> None:
        """known: openings by application."""
        self.known = known

    @staticmethod
    def learn(examples: Sequence[Example]) -> Openings:
        """Note the beginning of every training flow."""
        known: dict[str, list[Opening]] = {}
        for example in examples:
            sketch = example.sketch
            opening = Opening(
                sketch.transport,
                sketch.round_trip,
                int(sketch.ts[0]),
                bool(sketch.up[0]),
                int(sketch.payload[0]),
            )
            known.setdefault(example.application, []).append(opening)
        return Openings(known)

    def draw(self, application: str, random: np.random.Generator) -> Opening:
        """Draw a beginning for the application; of any, where it was never seen."""
        pool = self.known.get(application) or [o for known in self.known.values() for o in known]
        chosen = pool[int(random.integers(len(pool)))]
        scale = float(np.exp(JITTER * random.standard_normal()))
        return Opening(
            chosen.transport,
            max(1, round(chosen.round_trip * scale)),
            round(chosen.first * scale),
            chosen.up,
            chosen.payload,
        )

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: [list(vars(o).values()) for o in known] for name, known in self.known.items()}

    @staticmethod
    def of(facts: dict[str, Any]) -> Openings:
        """Build it from what ``facts`` gave."""
        return Openings({name: [Opening(*row) for row in rows] for name, rows in facts.items()})
