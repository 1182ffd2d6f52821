"""What a study lacks: cells of its experiment's file that left no record, or one without scores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.record import Record
from leaderboard.selection import Matrix, read_matrix
from leaderboard.settings import AXES, CONF
from leaderboard.studies.page import Section, escape, listed, plural


def write(experiment: str, records: Sequence[Record], left_out: Sequence[str], conf: Path = CONF) -> Section:
    """Hold the records against ``conf/experiment/NAME.yaml``. Raises ConfigError where there is no such file."""
    section = Section("What is missing")
    found = lacking(read_matrix(experiment, conf), records)
    if found:
        cells = sum(map(len, found.values()))
        section.answer = (
            f"{plural(cells, 'cell')} of `conf/experiment/{experiment}.yaml` left no scores. {makes(experiment)}"
        )
        section.blocks.append("\n".join(_line(name, seeds) for name, seeds in found.items()))
    else:
        section.answer = f"No cell of `conf/experiment/{experiment}.yaml`."
    section.lacks += [f"Left out: {escape(fault)}." for fault in left_out]
    return section


def makes(experiment: str) -> str:
    """The sentence on the commands that make a study's records."""
    return (
        f"`python run.py experiment={experiment}` makes them, and `python -m leaderboard keep {experiment} "
        f"--experiment {experiment}` keeps them."
    )


def lacking(matrix: Matrix, records: Sequence[Record]) -> dict[str, dict[int, str]]:
    """Return cell by cell what the matrix has and no scored record is: choices to {seed: why}, in the file's order."""
    swept = {axis: names for axis, names in matrix.choices.items() if axis in AXES}
    swept |= {key: values for key, values in matrix.settings.items() if len(values) > 1}
    found: dict[str, dict[int, str]] = {}
    for chosen in itertools.product(*swept.values()):
        cell = dict(zip(swept, chosen, strict=True))
        varied = [f"{key}={value}" for key, value in cell.items() if len(swept[key]) > 1] or [
            f"{key}={value}" for key, value in cell.items()
        ]
        fitting = [record for record in records if _is(record, cell)]
        for seed in matrix.seeds:
            own = [record for record in fitting if record.seed == seed]
            if any(record.status == "ok" for record in own):
                continue
            reasons = sorted({f"{record.status}: {record.reason}" for record in own})
            found.setdefault(" ".join(varied), {})[seed] = "; ".join(reasons) or "no record"
    return found


def _is(record: Record, cell: dict[str, Any]) -> bool:
    for key, wanted in cell.items():
        axis, _, name = key.partition(".")
        if not name:
            # An axis that a generator has no use for is "none" whatever was chosen.
            if axis in record.config and record.choices.get(axis, "none") != str(wanted):
                return False
            continue
        value: Any = record.config.get(axis, {})
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value != wanted:
            return False
    return True


def _line(name: str, seeds: dict[int, str]) -> str:
    reasons: dict[str, list[str]] = {}
    for seed, reason in seeds.items():
        reasons.setdefault(reason, []).append(str(seed))
    told = [f"seed{'s' * (len(own) > 1)} {listed(own)}: {escape(reason[:200])}" for reason, own in reasons.items()]
    return f"- {escape(name)}, {'; '.join(told)}"
