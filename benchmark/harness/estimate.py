"""How long a sweep will take, from the records of cells like its own."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark.harness.machine import machine_facts
from benchmark.harness.stage import identity
from benchmark.harness.store import digest_of
from benchmark.record import Record, RecordError, read_record

# Records read for an estimate, the latest ones: enough to know a cell's kind, read in a second or two.
_MOST_RECORDS = 400


@dataclass(frozen=True)
class Estimate:
    """What is known of a sweep before it starts.

    cells, references: distinct ones. done: of both, those whose records stand. seconds: of the rest whose kind has
    a record, None if none has. records: how many that rests on; here: whether they are of this machine.
    unknown: method to number of cells without any record of their kind. workers: cells that run at once.
    """

    cells: int
    references: int
    done: int
    seconds: float | None
    records: int
    here: bool
    unknown: Mapping[str, int]
    workers: int

    def sentence(self) -> str:
        """Say it in a line."""
        asked = _many(self.cells, "cell") + (f" and {_many(self.references, 'reference')}" if self.references else "")
        if self.done == self.cells + self.references:
            return f"{asked}, all done"
        if self.seconds is None:
            return f"{asked}, {self.done} done; how long the rest takes isn't known: no record of such cells"
        where = "this machine" if self.here else "another machine"
        at_once = f", {self.workers} at once" if self.workers > 1 else ""
        text = f"{asked}, {self.done} done, about {_duration(self.seconds)}{at_once} "
        text += f"(from {_many(self.records, 'record')} of {where})"
        if self.unknown:
            names = ", ".join(f"{count} of {method}" for method, count in sorted(self.unknown.items()))
            text += f"; not counting {names}, of which no record is known"
        return text


def estimate(
    cells: Mapping[str, Mapping[str, Any]],
    references: Mapping[str, Mapping[str, Any]],
    done: Iterable[str],
    records: Sequence[Record],
    workers: int = 1,
) -> Estimate:
    """Estimate a sweep.

    cells, references: cell id to resolved config; one that is both counts as a cell. done: ids whose records stand.
    records: of any cells. A cell takes as long as the median record of its kind: all but the seed alike; failing
    that, the same method, corpus and budget. Records of this machine come before those of others.
    """
    extra = {cell: config for cell, config in references.items() if cell not in cells}
    finished = set(done) & {*cells, *extra}
    waiting = [config for cell, config in [*cells.items(), *extra.items()] if cell not in finished]
    seen = [record for record in records if record.status == "ok" and _seconds(record) > 0]
    own = [record for record in seen if _same_machine(record)]
    durations, used, unknown = _durations(waiting, own)
    here = bool(durations)
    if not here:
        durations, used, unknown = _durations(waiting, seen)
    seconds = max(max(durations), sum(durations) / max(workers, 1)) if durations else None
    return Estimate(len(cells), len(extra), len(finished), seconds, len(used), here, unknown, workers)


def read_known(folders: Sequence[Path]) -> list[Record]:
    """Read the latest records of some folders of cells; those that aren't sound are left out."""
    paths = {path.resolve() for folder in folders for path in folder.glob("*/record.json")}
    found = []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:_MOST_RECORDS]:
        try:
            found.append(read_record(path))
        except RecordError:
            continue
    return found


def _durations(
    waiting: Sequence[Mapping[str, Any]], known: Sequence[Record]
) -> tuple[list[float], set[str], dict[str, int]]:
    """Seconds of each waiting cell whose kind is known, the records that say so, and the others by method."""
    by_kind: dict[str, list[Record]] = {}
    for record in known:
        for kind in _kinds(record.config):
            by_kind.setdefault(kind, []).append(record)
    durations, used, unknown = [], set(), dict[str, int]()
    for config in waiting:
        like = next((by_kind[kind] for kind in _kinds(identity(config)) if kind in by_kind), None)
        if like is None:
            name = str(config["generator"]["name"])
            unknown[name] = unknown.get(name, 0) + 1
            continue
        durations.append(statistics.median(_seconds(record) for record in like))
        used |= {record.cell for record in like}
    return durations, used, unknown


def _kinds(kept: Mapping[str, Any]) -> tuple[str, str]:
    """Kinds of a cell by its identity, the closer one first."""
    names = [(kept.get(axis) or {}).get("name") for axis in ("generator", "dataset", "budget")]
    return digest_of({**kept, "seed": None}), digest_of(names)


def _seconds(record: Record) -> float:
    """Seconds that a record's cell took or, where it found stages that were done before, would have taken."""
    stages = sum(float(stage.get("seconds") or 0.0) for stage in record.stages.values())
    try:
        wall = (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()
    except ValueError:
        wall = 0.0
    return max(stages, wall)


def _same_machine(record: Record) -> bool:
    facts = machine_facts()
    return all(record.machine.get(fact) == facts[fact] for fact in ("processor", "cores"))


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
