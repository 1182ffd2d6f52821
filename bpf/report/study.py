"""Records of cells with a probe, read from a folder, and what a report asks of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.record import Record, RecordError, read_record

OK = "ok"
NAMES = ("dataset", "generator", "probe", "router")


@dataclass(frozen=True, eq=False)
class Run:
    """One cell with a probe: its record, and short ways to what is in it."""

    record: Record

    @property
    def ok(self) -> bool:
        """Whether the router finished."""
        return self.record.status == OK

    def choice(self, axis: str) -> str:
        """Name chosen on an axis, such as dataset, generator, probe or router."""
        return str(self.record.choices.get(axis, ""))

    def setting(self, name: str) -> str:
        """A setting of the probe's YAML: features, hook or loader."""
        return str(dig(self.record.config, "probe", name) or "")

    @property
    def options(self) -> Mapping[str, Any]:
        """The model's options: those given, and those that validation chose."""
        given = dig(self.record.config, "probe", "options") or {}
        return {**given, **(dig(self.record.probe, "model", "options") or {})}

    @property
    def task(self) -> str:
        """What the model tells."""
        return str(self.record.probe.get("task", ""))

    def figure(self, name: str) -> float | None:
        """A figure of the router (``benchmark.probe.FIGURES``), None where it has none."""
        return number(dig(self.record.probe, "figures", name))

    def model(self, name: str) -> float | None:
        """A size of the compiled model."""
        return number(dig(self.record.probe, "model", name))

    def note(self, *path: str) -> Any:
        """A part of the router's notes, None where it has none."""
        return dig(self.record.probe, "notes", *path)

    def value(self, metric: str) -> float | None:
        """Value of a metric."""
        return number(dig(self.record.scores, metric, "value"))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Interval of 95 % of a metric."""
        found = dig(self.record.scores, metric, "interval")
        return (float(found[0]), float(found[1])) if isinstance(found, list) and len(found) == 2 else None

    @property
    def accuracy(self) -> str:
        """The metric that says how often the probe is right."""
        return f"kernel.accuracy.{self.task}"

    @property
    def order(self) -> tuple[str, ...]:
        """What runs are sorted by, so that the same records give the same page."""
        names = [self.choice(axis) for axis in NAMES]
        return (*names, *map(self.setting, ("features", "hook", "loader")), self.record.cell)

    def apart_from(self, axis: str) -> str:
        """The cell's identity without one axis, to group cells by that differ on that alone."""
        return json.dumps({name: part for name, part in self.record.config.items() if name != axis}, sort_keys=True)


@dataclass(frozen=True)
class Study:
    """All runs with a probe of a folder, in a fixed order, and a sentence for each file that is no record."""

    runs: Sequence[Run]
    faults: Sequence[str] = ()

    def where(self, **wanted: str) -> list[Run]:
        """Finished runs with these choices and settings, such as router="host", features="F4"."""
        return [run for run in self.runs if run.ok and all(_of(run, name) == text for name, text in wanted.items())]

    def noting(self, part: str) -> list[Run]:
        """Finished runs whose router noted a part, such as "live", with something found in it."""
        found = [run for run in self.runs if run.ok and isinstance(run.note(part), Mapping)]
        return [run for run in found if "unsupported" not in run.note(part)]

    def refusals(self, part: str) -> list[str]:
        """Why a part couldn't be had, each reason once."""
        reasons = [run.note(part, "unsupported") for run in self.runs]
        return sorted({str(reason) for reason in reasons if reason})


def read_study(folder: Path) -> Study:
    """Read every record below ``folder``; what has no probe is left out, what can't be read is named."""
    runs, faults = [], []
    for path in sorted({*folder.rglob("record.json"), *folder.rglob("*.record.json")}):
        try:
            record = read_record(path)
        except RecordError as error:
            faults.append(str(error).replace(str(folder), folder.name))
            continue
        if dig(record.config, "probe", "module"):
            runs.append(Run(record))
    return Study(sorted(runs, key=lambda run: run.order), faults)


def dig(tree: Any, *path: str) -> Any:
    """Follow keys into nested mappings; None where one is missing."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _of(run: Run, name: str) -> str:
    return run.setting(name) if name in ("features", "hook", "loader") else run.choice(name)
