"""A copy of each record for wandb: the only file of the harness that knows wandb, and only when it's asked for.

Config keys are flat names that agree with those a wandb sweep sets (``generator: gpt``), because a sweep locks its keys
and would replace a whole group; the resolved config stands under ``cell``. Metrics have slashes for dots there, since
wandb reads a dot as a level of nesting.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.harness.rooms import Rooms
from benchmark.record import Record

# Names in a progress event that aren't figures of the learning curve.
_NO_FIGURES = {"cell", "what", "done", "total", "time", "seconds", "reused"}
_MOST_POINTS = 5_000


def mirror(record: Record, settings: Mapping[str, Any], rooms: Rooms) -> None:
    """Copy a record to wandb. A wandb that fails costs a warning, never the run.

    settings: mode (disabled, offline or online), project, group (default: corpus and budget), and any other argument
    of ``wandb.init``. Offline runs lie in ``wandb/`` of the results, until ``wandb sync`` sends them.
    """
    if settings["mode"] == "disabled":
        return
    try:
        wandb: Any = importlib.import_module("wandb")
        with wandb.init(**_arguments(record, settings), dir=rooms.results) as run:
            _copy(wandb, run, record, rooms.cells / record.cell)
    except Exception as error:
        print(f"warning: wandb: {error}; the record is complete without it", file=sys.stderr)


def metric_key(metric: str) -> str:
    """Name of a metric at wandb: ``downstream/rung/skill_kept`` for ``downstream.rung.skill_kept``."""
    return metric.replace(".", "/")


def _arguments(record: Record, settings: Mapping[str, Any]) -> dict[str, Any]:
    choices = record.choices
    axes = [choices.get(axis, "none") for axis in ("generator", "tokenization", "context", "conditioning", "probe")]
    given = {
        **settings,
        "group": settings.get("group") or f"{choices.get('dataset')} {choices.get('budget')}",
        "job_type": record.method,
        "name": " ".join([*(name for name in axes if name != "none"), f"seed {record.seed}"]),
        "tags": sorted({choices.get("dataset", ""), choices.get("budget", ""), record.status} - {""}),
        "config": {**choices, "seed": record.seed, "cell": record.config, "cell_id": record.cell},
    }
    # A sweep's agent has named the run and its project; wandb ignores ours there, and complains.
    if os.environ.get("WANDB_SWEEP_ID"):
        return {name: value for name, value in given.items() if name not in ("project", "entity")}
    return {**given, "id": record.cell, "resume": "allow"}


def _copy(wandb: Any, run: Any, record: Record, folder: Path) -> None:
    run.define_metric("progress/*", step_metric="progress/step")
    for point in learning_curve(folder / "events.jsonl"):
        run.log(point)
    rows = []
    for metric, score in sorted(record.scores.items()):
        low, high = score["interval"] or (None, None)
        rows.append([metric, score["value"], low, high, record.floors.get(metric), score["reason"] or ""])
    last: dict[str, Any] = {
        "scores": wandb.Table(columns=["metric", "value", "low", "high", "real against real", "reason"], data=rows)
    }
    if (picture := folder / "picture.png").exists():
        last["picture"] = wandb.Image(str(picture))
    values = {metric_key(metric): record.value(metric) for metric in record.scores}
    run.log({**last, **{key: value for key, value in values.items() if value is not None}})
    run.summary.update({"status": record.status, "reason": record.reason, **values})


def learning_curve(events: Path) -> Iterator[dict[str, float]]:
    """Yield the figures that a cell's stages reported on the way, each with its step; nothing where none were."""
    if not events.exists():
        return
    with events.open() as lines:
        for number, line in enumerate(lines):
            if number >= _MOST_POINTS:
                return
            try:
                event = json.loads(line)
                what, step = str(event["what"]), float(event["done"])
            except (ValueError, KeyError, TypeError):
                continue
            figures = {
                f"progress/{what} {name}": float(value)
                for name, value in event.items()
                if name not in _NO_FIGURES and isinstance(value, int | float)
            }
            if figures:
                yield {**figures, "progress/step": step}
