"""The record: the one JSON file that a cell leaves, whatever happened. This file is its schema."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.harness.store import write_bytes

if TYPE_CHECKING:  # a record holds scores as plain facts, and needn't load what computes them
    from benchmark.metric import Score

SCHEMA = 1
STATUSES = ("ok", "failed", "timeout", "skipped", "unsupported")
DIED = "died: the run ended before its record was finished"
# Fields that records from before there were any may lack, and what they stand for there.
LATER: dict[str, Any] = {"probe": {}, "curve": {}, "violation": ""}
# Blanks that a record starts with, so that a later, longer one can be written in place on a full disk.
PADDING = 16_384


class RecordError(ValueError):
    """A file that isn't a record of this schema; the message names the file and the field."""


@dataclass
class Record:
    """What is known of one cell.

    cell: its id, the hash of ``config``. method: the generator's name. choices: axis to chosen name.
    config: the resolved config less how-to-run keys. seed: of fit and sampling.
    status: one of STATUSES; reason: why it isn't ok, one line; traceback: the whole of it.
    started, ended: UTC, ISO 8601. pid, boot: the process that wrote it, and the boot it ran in.
    stages: stage to {"key", "seconds", "reused"}, and "lacked" where tools were missing that it would have asked.
    scores: metric to {"value", "interval", "reason"}.
    floors: metric to the value of real training traces in the place of synthetic ones.
    per_trace: metric to {trace: raw value}. metric_versions: family to version.
    corpus: {"name", "digest"}. code: {"revision", "dirty"}. packages, machine: see ``benchmark.harness.machine``.
    figures: numbers of the method itself, such as parameters. curve: what the fit reported on its way, by what and by
    name, such as {"fit": {"step": [60, 120], "loss": [3.1, 2.7]}}.
    violation: the first protocol violation of the samples in words, "" where none was found.
    notes: what a reader should know, such as "stitched".
    probe: empty where there is none; else what ran on the router: "task", "model" (sizes, options chosen on validation,
    quantisation), "figures" and "reasons" (see ``benchmark.probe``), "notes" of the router, and "predictions", a digest
    of every label and score by flow and window, equal where two routers say the same.
    """

    cell: str
    method: str
    choices: dict[str, str]
    config: dict[str, Any]
    seed: int
    status: str = "failed"
    reason: str = DIED
    traceback: str = ""
    started: str = ""
    ended: str = ""
    pid: int = 0
    boot: str = ""
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    floors: dict[str, float | None] = field(default_factory=dict)
    per_trace: dict[str, dict[str, float]] = field(default_factory=dict)
    metric_versions: dict[str, int] = field(default_factory=dict)
    corpus: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    curve: dict[str, Any] = field(default_factory=dict)
    violation: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    probe: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def value(self, metric: str) -> float | None:
        """Value of a metric, None where it has none."""
        score = self.scores.get(metric)
        return None if score is None else score["value"]


def boot_id() -> str:
    """Identify this boot, so that a process number in a record can be told from a later one."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def score_facts(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    """Scores as JSON: numbers that aren't finite become null with a reason, never a bare NaN."""
    facts: dict[str, dict[str, Any]] = {}
    for name, score in scores.items():
        value, reason = score.value, score.reason
        if value is not None and not math.isfinite(value):
            value, reason = None, reason or "the computed value wasn't a finite number"
        interval = list(score.interval) if score.interval and all(map(math.isfinite, score.interval)) else None
        facts[name] = {"value": value, "interval": interval, "reason": reason}
    return facts


def open_record(path: Path, record: Record) -> None:
    """Write the record that stands if nothing more is ever written, with room to replace it in place."""
    write_bytes(path, _encode(record) + b" " * PADDING + b"\n")


def close_record(path: Path, record: Record) -> None:
    """Replace the record by its final state; on a full disk in place, with less of it if need be."""
    try:
        write_bytes(path, _encode(record) + b"\n")
        return
    except OSError:
        room = path.stat().st_size
    for lighter in (record, _without_scores(record)):
        content = _encode(lighter)
        if len(content) < room:
            with open(path, "r+b") as file:
                file.write(content.ljust(room - 1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            return
    raise OSError(f"{path}: no room for the record")


def read_record(path: Path) -> Record:
    """Read a record and check it; raises RecordError for a corrupt, foreign or future one."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(content, dict):
        raise RecordError(f"{path}: a record is a JSON object")
    if content.get("schema") != SCHEMA:
        raise RecordError(f"{path}: schema is {content.get('schema')!r}, this code reads {SCHEMA}")
    for name, nothing in LATER.items():
        content.setdefault(name, copy.copy(nothing))
    for known in fields(Record):
        if known.name not in content:
            raise RecordError(f"{path}: field '{known.name}' is missing")
        expected = str(known.type).split("[")[0]
        if not isinstance(content[known.name], {"str": str, "int": int, "dict": dict}[expected]):
            raise RecordError(f"{path}: field '{known.name}' should be {expected}")
    if content["status"] not in STATUSES:
        raise RecordError(f"{path}: status '{content['status']}' isn't one of {', '.join(STATUSES)}")
    return Record(**{known.name: content[known.name] for known in fields(Record)})


def _without_scores(record: Record) -> Record:
    light = Record(**asdict(record))
    light.per_trace, light.scores, light.floors, light.traceback = {}, {}, {}, light.traceback[-2000:]
    if light.status == "ok":
        light.status, light.reason = "failed", "disk full: the scores couldn't be written"
    return light


def _encode(record: Record) -> bytes:
    return json.dumps(asdict(record), indent=1, sort_keys=True, allow_nan=False).encode()
