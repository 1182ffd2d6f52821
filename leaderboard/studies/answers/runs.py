"""Cells whose model ran on a router: what answers need of their records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.record import Record
from leaderboard.figures import Figure
from leaderboard.naming import digest

EMULATED = "qemu_"


@dataclass(frozen=True, eq=False)
class Run:
    """One finished cell with a probe."""

    record: Record

    @property
    def router(self) -> str:
        """Where the probe ran; "none" is user space."""
        return self.record.choices.get("router", "none")

    @property
    def trained_on(self) -> str:
        """What made the traces that the model was trained on."""
        return "real traces" if self.record.method == "resample" else self.record.method

    @property
    def probe(self) -> str:
        """The probe in words: model, feature set, hook."""
        settings = [_dig(self.record.config, "probe", name) for name in ("features", "hook")]
        words = [self.record.choices.get("probe", ""), *(word for word in settings if isinstance(word, str))]
        return " ".join(words)

    @property
    def design(self) -> str:
        """What tells probes apart, their router and their training traces left out."""
        return digest([self.record.choices.get("dataset"), self.record.config.get("probe")])

    def figure(self, name: str) -> float | None:
        """A figure of the router, None where it has none."""
        value = _dig(self.record.probe, "figures", name)
        known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if known else None

    def text(self, figure: Figure) -> str:
        """A score with the interval that the record states."""
        score = self.record.scores.get(figure.metric)
        if score is None or score["value"] is None:
            return figure.text(None)
        spread = score["interval"]
        reach = f" [{figure.text(spread[0])}, {figure.text(spread[1])}]" if spread and not figure.bare else ""
        return f"{figure.text(score['value'])}{reach}"


def probed(records: Sequence[Record]) -> list[Run]:
    """Finished cells with a probe that was scored, in a fixed order."""
    runs = [
        Run(record)
        for record in records
        if record.status == "ok" and record.choices.get("probe", "none") != "none" and record.probe
    ]
    return sorted(runs, key=lambda run: (run.router, run.trained_on, run.probe, run.record.seed, run.record.cell))


def most_alike(runs: Sequence[Run]) -> list[Run]:
    """The runs of one probe: the one that most routers and most kinds of training traces have in common."""
    designs: dict[str, list[Run]] = {}
    for run in runs:
        designs.setdefault(run.design, []).append(run)
    if not designs:
        return []

    def breadth(design: str) -> tuple[int, int]:
        own = designs[design]
        return len({(run.router, run.trained_on) for run in own}), len(own)

    return designs[max(sorted(designs), key=breadth)]


def span(values: Sequence[float | None], form: str) -> str:
    """Least and greatest of the figures that there are, or the one; a dash for none."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    low, high = format(min(known), form), format(max(known), form)
    return low if low == high else f"{low} to {high}"


def _dig(tree: Mapping[str, Any], *path: str) -> Any:
    value: Any = tree
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
