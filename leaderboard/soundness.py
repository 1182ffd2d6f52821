"""Checks what a record holds, to the depth that tables and pages rely on: records may come from strangers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmark.record import Record

DEEPEST = 24
LONGEST_NAME = 200
AXES = ("dataset", "generator", "tokenization", "context", "conditioning", "probe", "router", "budget")
_CELL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Unsound(ValueError):
    """A record whose content can't be used; the message names the field."""


def check_record(record: Record) -> None:
    """Raise Unsound where a field holds what no run writes."""
    if not _CELL.fullmatch(record.cell):
        raise Unsound("field 'cell' isn't a plain name of letters and digits")
    _name("method", record.method)
    for number in ("seed", "pid"):
        _whole(number, getattr(record, number))
    for text in ("reason", "traceback", "started", "ended", "boot", "violation"):
        _encodable(text, getattr(record, text))
    _mapping("choices", record.choices, _name)
    _mapping("metric_versions", record.metric_versions, _whole)
    _mapping("corpus", record.corpus, _name)
    _mapping("scores", record.scores, _score)
    _mapping("floors", record.floors, lambda name, value: None if value is None else _number(name, value))
    _mapping("per_trace", record.per_trace, _by_trace)
    _mapping("stages", record.stages, _stage)
    for name in ("config", "code", "packages", "machine", "figures", "curve", "notes", "probe"):
        _tree(name, getattr(record, name))
    for axis in AXES:
        if not isinstance(record.config.get(axis, {}), dict):
            raise Unsound(f"field 'config.{axis}' should be an object")


def _mapping(field: str, values: Mapping[Any, Any], check: Callable[[str, Any], None]) -> None:
    for name, value in values.items():
        _name(field, name)
        check(f"{field}.{name}", value)


def _name(field: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not value.isprintable():
        raise Unsound(f"field '{_quoted(field)}' should be a name of at most {LONGEST_NAME} printable characters")


def _encodable(field: str, value: Any) -> None:
    # JSON can spell half of a surrogate pair, which no file can hold.
    if not isinstance(value, str) or not (value.isascii() or value == value.encode(errors="replace").decode()):
        raise Unsound(f"field '{_quoted(field)}' isn't text")


def _whole(field: str, value: Any) -> None:
    if type(value) is not int or abs(value) >= 2**63:
        raise Unsound(f"field '{_quoted(field)}' should be a whole number of 64 bits")


def _number(field: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite([value]):
        raise Unsound(f"field '{_quoted(field)}' should be a finite number")


def _finite(values: Iterable[Any]) -> bool:
    try:
        return all(map(math.isfinite, values))
    except (TypeError, OverflowError):
        return False


def _score(field: str, score: Any) -> None:
    if not isinstance(score, dict) or not {"value", "interval", "reason"} <= score.keys():
        raise Unsound(f"field '{_quoted(field)}' should have value, interval and reason")
    if score["value"] is not None:
        _number(f"{field}.value", score["value"])
    interval = score["interval"]
    if interval is not None and not (isinstance(interval, list) and len(interval) == 2 and _finite(interval)):
        raise Unsound(f"field '{_quoted(field)}.interval' should be null or two finite numbers")
    _encodable(f"{field}.reason", score["reason"])


def _by_trace(field: str, values: Any) -> None:
    if not isinstance(values, dict) or not _finite(values.values()):
        raise Unsound(f"field '{_quoted(field)}' should be an object of finite numbers")
    _encodable(field, "".join(values))


def _stage(field: str, facts: Any) -> None:
    if not isinstance(facts, dict):
        raise Unsound(f"field '{_quoted(field)}' should be an object")
    _name(f"{field}.key", facts.get("key", ""))
    _number(f"{field}.seconds", facts.get("seconds", 0))


def _tree(field: str, value: Any) -> None:
    """Check a free-form field without recursion: text, finite numbers, and nested no deeper than DEEPEST."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST:
            raise Unsound(f"field '{field}' is nested deeper than {DEEPEST}")
        if isinstance(one, dict):
            for name, inside in one.items():
                _encodable(field, name)
                waiting.append((inside, depth + 1))
        elif isinstance(one, list):
            waiting.extend((inside, depth + 1) for inside in one)
        elif isinstance(one, str):
            _encodable(field, one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise Unsound(f"field '{field}' holds a number that isn't finite")


def _quoted(field: str) -> str:
    """The name of a field, cut short and without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else "?" for letter in field[:LONGEST_NAME])
