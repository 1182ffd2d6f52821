"""What a trace says of itself beside its packets (name, condition, labels, notes) as JSON, and back."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import TraceError
from benchmark.trace import Condition, Labels, Trace, join_packets

_LABELS = {
    "rung": np.int8,
    "height": np.int16,
    "stall": np.float32,
    "fps": np.float32,
    "bitrate": np.float32,
}
_WINDOW_LIMIT = 1_000_000


def describe(trace: Trace) -> dict[str, Any]:
    """Return the description as JSON-ready values; a float without a value (NaN) is None."""
    condition = trace.condition
    return {
        "name": trace.name,
        "packets": len(trace.packets),
        "link": int(trace.packets.link),
        "client": trace.client,
        "application": condition.application,
        "duration": float(condition.duration),
        "window": float(condition.window),
        "labels": {name: _listed(getattr(condition.labels, name)) for name in _LABELS}
        | {"startup": _number_or_none(float(condition.labels.startup))},
        "notes": plain(trace.notes),
    }


def trace_of(entry: Mapping[str, Any], where: str, path: str | Path) -> tuple[Trace, int, int]:
    """Return a trace without packets, its number of packets and its link type.

    Raises TraceError, naming the field, where the entry (of unknown origin) isn't what ``describe`` returns.
    """

    def wanted(name: str, kind: type | tuple[type, ...], source: Mapping[str, Any] = entry) -> Any:
        value = source.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TraceError(f"{where}: field {name} is missing or of the wrong type", path)
        return value

    def fail(name: str) -> TraceError:
        return TraceError(f"{where}: field {name} is out of range", path)

    def number(name: str, source: Mapping[str, Any] = entry) -> float:
        try:
            return float(wanted(name, (int, float), source))
        except OverflowError as error:
            raise fail(name) from error

    count, link = wanted("packets", int), wanted("link", int)
    duration, window = number("duration"), number("window")
    if not 0 <= count < 1 << 31:
        raise fail("packets")
    if not 0 <= link < 1 << 16:
        raise fail("link")
    if not (math.isfinite(duration) and duration >= 0):
        raise fail("duration")
    if not (math.isfinite(window) and window > 0):
        raise fail("window")
    client = wanted("client", str)
    try:
        ipaddress.ip_network(client or "::", strict=False)
    except ValueError as error:
        raise fail("client") from error
    given = wanted("labels", dict)
    columns = {}
    for name, kind in _LABELS.items():
        try:
            columns[name] = _array(wanted(name, list, given), kind)
        except (TypeError, ValueError, OverflowError) as error:
            raise fail(f"labels.{name}") from error
    if len({len(column) for column in columns.values()}) != 1:
        raise TraceError(f"{where}: labels differ in their numbers of windows", path)
    startup = math.nan if given.get("startup") is None else number("startup", given)
    labels = Labels(**columns, startup=startup)
    condition = Condition(wanted("application", str), duration, window, labels)
    return Trace(wanted("name", str), join_packets([]), condition, client, wanted("notes", dict)), count, link


def plain(value: Any) -> Any:
    """Return nested mappings, sequences and numbers as plain Python values; raise TypeError for all else."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _listed(column: Any) -> list[Any]:
    if column.dtype.kind == "f":
        return [_number_or_none(value) for value in column.tolist()]
    return list(column.tolist())


def _array(values: list[Any], kind: Any) -> Any:
    if len(values) > _WINDOW_LIMIT:
        raise ValueError("too many windows")
    if np.dtype(kind).kind == "f":
        if not all(value is None or type(value) in (int, float) for value in values):
            raise TypeError("not numbers")
        with np.errstate(over="ignore"):
            return np.array([math.nan if value is None else value for value in values], kind)
    if not all(type(value) is int for value in values):
        raise TypeError("not whole numbers")
    return np.array(values, kind)
