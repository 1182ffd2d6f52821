"""Which records belong to one matrix: those that an experiment of ``conf/`` sweeps over, and their references."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, nearest
from benchmark.record import Record
from leaderboard.naming import leaves
from leaderboard.rows import PARTS
from leaderboard.settings import AXES, CONF, overrides, own_choices, read_file, sweep_values


@dataclass(frozen=True)
class Matrix:
    """An experiment as its file states it.

    choices: axis to the names that the sweep has, or the one that the file sets. seeds: of the sweep.
    settings: dotted key to the values that the sweep has, or the one that the file sets. results: its own folder of
    results, None for the usual one. defaults: axis to the name that ``conf/config.yaml`` has.
    """

    choices: dict[str, list[str]]
    seeds: list[int]
    settings: dict[str, list[Any]]
    results: str | None = None
    defaults: dict[str, str] = field(default_factory=dict)


def read_matrix(name: str, conf: Path = CONF) -> Matrix:
    """Read ``conf/experiment/NAME.yaml``. Raises ConfigError where there is none."""
    content = read_file("experiment", name, conf)
    if not content:
        known = sorted(path.stem for path in (conf / "experiment").glob("*.yaml"))
        raise ConfigError(f"--experiment: no '{name}'{nearest(name, known)}")
    basis = _basis(conf)
    defaults = {axis: str(entry[axis]) for entry in basis.get("defaults", []) if isinstance(entry, dict)
                for axis in entry if axis in AXES}  # fmt: skip
    choices = {axis: [chosen] for axis, chosen in own_choices(content).items() if axis in AXES}
    settings = {key: [value] for key, value in leaves({axis: content[axis] for axis in AXES if axis in content})}
    sweep = ((content.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    seeds = [content.get("seed", basis.get("seed", 0))]
    for key, text in sweep.items():
        if key == "seed":
            seeds = sweep_values(text)
        elif key in AXES:
            choices[key] = [str(value) for value in sweep_values(text)]
        else:
            settings[key] = sweep_values(text)
    return Matrix(choices, seeds, settings, content.get("results"), defaults)


def belongs(record: Record, matrix: Matrix, conf: Path = CONF) -> bool:
    """Tell whether a cell is one of the matrix or a reference of one; settings that nobody names are the files' own."""
    if record.seed not in matrix.seeds:
        return False
    reference = record.method in PARTS and record.choices.get("probe", "none") == "none"
    swept = record.method in matrix.choices.get("generator", [matrix.defaults.get("generator", "")])
    if not reference and not swept:
        return False
    generator = own_choices(read_file("generator", record.method, conf))
    for axis in ("dataset", "budget", "tokenization", "context", "conditioning", "probe", "router"):
        own = generator.get(axis, matrix.defaults.get(axis, "none"))
        wanted = matrix.choices.get(axis, [own])
        if reference and axis not in ("dataset", "budget"):
            wanted = [*wanted, own]
        # An axis that the generator has no use for is "none" whatever was chosen.
        if record.choices.get(axis, "none") not in [*wanted, *(["none"] if axis not in record.config else [])]:
            return False
    return _as_stated(record, matrix, reference, conf)


def _as_stated(record: Record, matrix: Matrix, reference: bool, conf: Path) -> bool:
    """Tell whether its settings are those of its files, but for what the matrix sweeps or sets."""
    own = dict(leaves({axis: value for axis, value in record.config.items() if isinstance(value, dict)}))
    unexplained = {key for key in overrides(record, conf) if key not in matrix.settings}
    # A setting of an axis that the cell keeps the name of alone, such as that of a probe it hasn't, isn't there.
    stated = all(
        key not in own or any(json.dumps(own[key]) == json.dumps(value) for value in values)
        for key, values in matrix.settings.items()
        if not (reference and key.split(".")[0] in ("probe", "router"))
    )
    return stated and not unexplained


def select_matrix(records: Sequence[Record], name: str, conf: Path = CONF) -> list[Record]:
    """Return the records of one experiment. Raises ConfigError where there is no such experiment."""
    matrix = read_matrix(name, conf)
    return [record for record in records if belongs(record, matrix, conf)]


def _basis(conf: Path) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    content = yaml.safe_load((conf / "config.yaml").read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
