"""Which records are one row, and what a row is called."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.record import Record

# Note of rows whose traces were made elsewhere.
ELSEWHERE = "not re-runnable"
METHOD_AXES = ("generator", "tokenization", "context", "conditioning")
# What arenas are told apart by isn't part of a row's identity.
_OF_ARENAS = ("seed", "dataset", "budget")
LONGEST_NAME = 120


def made_elsewhere(record: Record) -> bool:
    """Tell whether a record's traces were handed in as captures, so that nobody can make them again."""
    generator = record.config.get("generator")
    return isinstance(generator, Mapping) and generator.get("submission") == "captures"


def digest(value: Any) -> str:
    """Digest any JSON value, whatever the order of its keys: 12 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def slug(name: str, identity: str) -> str:
    """Return a name for files and links: letters, digits and dashes, with ``identity`` so that no two are alike."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].rstrip("-")
    return f"{words}-{identity}" if words else identity


def row_key(record: Record) -> str:
    """Identify a row: everything chosen and resolved, but for the seed and what makes the arena."""
    return digest([_without(record.choices, _OF_ARENAS), _without(record.config, _OF_ARENAS)])


def method_key(record: Record) -> str:
    """Identify the method in a row: rows that differ by probe and router alone have one method, with equal traces."""
    others = (*_OF_ARENAS, "probe", "router")
    return digest([_without(record.choices, others), _without(record.config, others)])


def row_name(record: Record) -> str:
    """Name of a row: the generator, its other axes where it has any, and its probe on its router."""
    used = [axis for axis in METHOD_AXES[1:] if axis in record.config]
    settings = [record.choices.get(axis, "") for axis in used]
    probe = record.choices.get("probe", "none")
    place = [] if probe == "none" else [_probe_name(record, probe)]
    name = " ".join([record.method, *(word for word in settings if word not in ("", "none")), *place])
    return name[:LONGEST_NAME]


def distinct_names(representatives: Sequence[Record]) -> list[str]:
    """Name rows, one record each: where two would be called the same, by the settings in which they differ."""
    names = [row_name(record) for record in representatives]
    shared: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        shared.setdefault(name, []).append(place)
    for places in shared.values():
        if len(places) == 1:
            continue
        settings = [dict(leaves(_without(representatives[place].config, _OF_ARENAS))) for place in places]
        keys = sorted(set().union(*settings))
        varied = [key for key in keys if len({json.dumps(one.get(key)) for one in settings}) > 1]
        for place, own in zip(places, settings, strict=True):
            said = ", ".join(f"{key}={_plain(own[key])}" for key in varied if key in own)
            # Settings alike but for their length are told apart by identity.
            names[place] = f"{names[place]} [{(said or row_key(representatives[place]))[:LONGEST_NAME]}]"
    return [
        name if names.count(name) == 1 else f"{name} {row_key(record)}"
        for name, record in zip(names, representatives, strict=True)
    ]


def leaves(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the settings of a config as (dotted key, value), sorted."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key in sorted(value):
        yield from leaves(value[key], f"{prefix}.{key}" if prefix else str(key))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _without(mapping: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}


def _probe_name(record: Record, probe: str) -> str:
    """Name of a probe on its router, with the settings that a sweep may vary."""
    settings = record.config.get("probe") or {}
    varied = [str(settings[name]) for name in ("features", "hook", "loader") if name in settings]
    return f"{probe}({', '.join(varied)})@{record.choices.get('router', 'none')}"
