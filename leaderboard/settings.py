"""What the files of ``conf/`` say a cell's settings are, so that a command can be told that makes the cell again."""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from benchmark.record import Record
from leaderboard.naming import METHOD_AXES, leaves
from leaderboard.records import ROOT

CONF = ROOT / "conf"
AXES = ("dataset", *METHOD_AXES[1:], "generator", "probe", "router", "budget")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]+")


@functools.cache
def read_file(group: str, name: str, conf: Path = CONF) -> dict[str, Any]:
    """Read ``conf/GROUP/NAME.yaml``, {} where there is none; its settings stand below their axis, as in a config."""
    path = conf / group / f"{name}.yaml"
    if not _NAME.fullmatch(name) or not path.is_file():
        return {}
    return _parsed(path, group, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _parsed(path: Path, group: str, changed: int) -> dict[str, Any]:
    # A thousand records name the same few files.
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    if not isinstance(content, dict):
        return {}
    return content if "@package _global_" in text.split("\n", 1)[0] else {group: content}


def own_choices(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the choices on other axes that a file makes by ``override /axis: name``."""
    entries = content.get("defaults") or []
    chosen = {key: name for entry in entries if isinstance(entry, dict) for key, name in entry.items()}
    prefix = "override /"
    return {str(key).removeprefix(prefix): str(name) for key, name in chosen.items() if str(key).startswith(prefix)}


def settings_of(choices: Mapping[str, str], conf: Path = CONF) -> dict[str, Any]:
    """Return the settings that choices stand for, by axis, as far as ``conf/`` has their files."""
    settings: dict[str, Any] = {}
    for axis in AXES:
        content = read_file(axis, choices.get(axis, "none"), conf)
        for name, value in content.items():
            if isinstance(value, dict):
                settings[name] = _merged(settings.get(name, {}), value)
    return settings


def overrides(record: Record, conf: Path = CONF) -> dict[str, Any]:
    """Return the settings of a record that its choices don't explain: dotted key to value.

    Settings that ``conf/`` came to have since the record was made aren't among them.
    """
    known = dict(leaves(settings_of(record.choices, conf)))
    # Without a probe a cell keeps the names of probe and router alone.
    own = {axis: value for axis, value in record.config.items() if isinstance(value, dict)}
    found = {}
    for key, value in leaves(own):
        axis = key.split(".")[0]
        if key == f"{axis}.name" or not any(name.startswith(f"{axis}.") for name in known):
            continue
        said = known.get(key)
        if said != value and not (isinstance(said, str) and "${" in said):
            found[key] = value
    return found


def command(record: Record, conf: Path = CONF) -> str:
    """Return the command that makes this cell again, ready for a shell."""
    known = dict(leaves(settings_of(record.choices, conf)))
    words = ["python", "run.py"]
    for axis in ("dataset", *METHOD_AXES, "probe", "router", "budget"):
        used = axis not in METHOD_AXES[1:] or axis in record.config
        if axis in record.choices and used:
            words.append(f"{axis}={record.choices[axis]}")
    words.append(f"seed={record.seed}")
    for key, value in overrides(record, conf).items():
        words.append(f"{'' if key in known else '+'}{key}={_value(value)}")
    return shlex.join(words)


def sweep_values(text: Any) -> list[Any]:
    """Return the values that a sweep's entry lists: ``a,b``, ``range(0,3)``, ``choice(a,b)``, a list, or one value."""
    if not isinstance(text, str):
        return [text]
    ranged = re.fullmatch(r"\s*range\(([\d\s,-]+)\)\s*", text)
    if ranged:
        return list(range(*map(int, ranged[1].split(","))))
    inside = re.fullmatch(r"\s*choice\((.*)\)\s*", text)
    return [yaml.safe_load(word) for word in _split(inside[1] if inside else text)]


def _split(text: str) -> Sequence[str]:
    """Split at commas that stand in no brackets."""
    words, depth = [""], 0
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [word.strip() for word in words]


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in more.items():
        known = result.get(name)
        result[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def _value(value: Any) -> str:
    """Write a value as Hydra's grammar reads it."""
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":")).replace('"', "'")
