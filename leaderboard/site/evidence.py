"""What a cell's own folder holds beside its record: log, events, picture; bounded, since runs may be hostile."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.record import Record, RecordError, read_record

LOG_BYTES, EVENT_BYTES, PICTURE_BYTES = 8_000, 8_000_000, 4_000_000
MOST_POINTS = 400
_PNG = b"\x89PNG\r\n\x1a\n"
_CELL = re.compile(r"[0-9A-Za-z_-]{1,64}")
# What has no place in a page: terminal codes, controls but tab and line feed, and what turns the order of letters.
_CONTROLS = re.compile("\x1b\\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Evidence:
    """What is there, or why not.

    absent: why the folder can't be used, "" where it can. log: the tail of what was printed; log_cut: whether it began
    earlier. curve: loss by step, (name, [(step, loss)]). picture: its bytes, None without one.
    """

    absent: str = ""
    log: str = ""
    log_cut: bool = False
    curve: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = ()
    picture: bytes | None = None


def find_evidence(record: Record, runs: Path) -> Evidence:
    """Read the folder of a record's cell below ``runs``, if it is of that very run."""
    if not _CELL.fullmatch(record.cell):
        return Evidence("The record's cell id is no folder's name.")
    folder = runs / record.cell
    if folder.is_symlink() or not folder.is_dir():
        return Evidence("The run's folder isn't on the machine that made this page; records alone travel.")
    try:
        there = read_record(folder / "record.json")
    except RecordError:
        return Evidence("The folder of this cell has no record that can be read.")
    if (there.started, there.ended, there.boot) != (record.started, record.ended, record.boot):
        return Evidence("The folder of this cell is of another run than this record's.")
    log, cut = _tail(folder)
    return Evidence("", log, cut, _curve(folder / "events.jsonl"), _picture(folder / "picture.png"))


def clean(text: str) -> str:
    """Drop control characters and terminal codes."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _tail(folder: Path) -> tuple[str, bool]:
    """Return the last of the child's log, or of the run's where the child printed nothing."""
    for name in ("log.txt", "run.log"):
        path = folder / name
        if not _regular(path) or not (size := path.stat().st_size):
            continue
        with path.open("rb") as file:
            file.seek(max(0, size - LOG_BYTES))
            text = clean(file.read(LOG_BYTES).decode("utf-8", "replace")).strip()
        if text:
            return text, size > LOG_BYTES
    return "", False


def _curve(path: Path) -> tuple[tuple[str, tuple[tuple[float, float], ...]], ...]:
    """Collect what is called a loss in the events of fitting, by step."""
    if not _regular(path):
        return ()
    with path.open("rb") as file:
        lines = file.read(EVENT_BYTES).splitlines()
    series: dict[str, dict[float, float]] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(event, dict) or event.get("what") != "fit" or not _number(event.get("done")):
            continue
        for name in ("loss", "validation_loss"):
            if _number(event.get(name)):
                series.setdefault(name, {})[float(event["done"])] = float(event[name])
    long_enough = {name: sorted(points.items()) for name, points in series.items() if len(points) > 1}
    return tuple((name, tuple(_thinned(points))) for name, points in sorted(long_enough.items()))


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = math.ceil(len(points) / MOST_POINTS)
    kept = points[::step]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _picture(path: Path) -> bytes | None:
    if not _regular(path) or path.stat().st_size > PICTURE_BYTES:
        return None
    content = path.read_bytes()
    return content if content.startswith(_PNG) else None
