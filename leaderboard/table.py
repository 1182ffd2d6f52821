"""The table: a row a method, with means over its seeds and intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from tabulate import tabulate

from benchmark.record import Record
from benchmark.statistics.resampling import paired_difference
from leaderboard.records import state_of

# The part that a reference plays; all other rows are methods that compete.
PARTS = {
    "independent": "floor", "markov": "floor", "two_level": "baseline", "resample": "copies", "real": "ceiling",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column: a metric, its heading with an arrow for the better direction, a format and the range of its values.

    bare: shown without its interval.
    """

    metric: str
    heading: str
    form: str = ".2f"
    low: float = -math.inf
    high: float = math.inf
    bare: bool = False


TWO_SAMPLE = "fidelity.c2st"
# Of the labels that a corpus has; the first of them that is scored orders the rows. A video's bit rate is left out:
# the bytes of a window nearly are it.
QUALITY_COLUMNS = (
    Column("downstream.rung.skill_kept", "rung kept ↑"),
    Column("downstream.rung6.skill_over_independent", "over indep. ↑"),
    Column("downstream.fps.skill_kept", "fps kept ↑"),
    Column("downstream.height.skill_kept", "height kept ↑"),
    Column("downstream.startup.skill_kept", "startup kept ↑"),
    Column("downstream.stall.skill_kept", "stall kept ↑"),
)
COLUMNS = (
    Column("timing.distance", "timing ↓", low=0),
    Column(TWO_SAMPLE, "c2st ↓", low=0.5, high=1),
    Column("validity.l2.raw", "L2 raw ↑", ".3f", bare=True),
    Column("validity.l2.repaired", "L2 repaired ↑", ".3f", bare=True),
    Column("memorisation.copied_share", "copied ↓", low=0, high=1),
    Column("cost.fit_s", "fit s", ".0f", bare=True),
    Column("cost.sample_packets_per_s", "packets/s", ",.0f", bare=True),
)
# Shown where a row has a value, as the quality columns are.
KERNEL_COLUMNS = (
    Column("kernel.accuracy.rung", "kernel rung ↑", low=0, high=1),
    Column("kernel.accuracy.fps", "kernel fps ↑", low=0, high=1),
    Column("kernel.agreement", "agreement ↑", ".6g", bare=True),
    Column("kernel.added_insns", "insns/packet ↓", ".1f", bare=True),
    Column("kernel.added_ns", "ns/packet ↓", ".1f", bare=True),
    Column("kernel.closing_ns", "closing ns ↓", ",.0f", bare=True),
    Column("kernel.map_bytes", "map bytes ↓", ",.0f", bare=True),
    Column("kernel.unaccounted", "unaccounted ↓", ".0f", bare=True),
)


@dataclass
class Row:
    """All records of one method in one setting: they differ by seed only."""

    name: str
    part: str
    records: list[Record] = field(default_factory=list)

    def interval(self, metric: str) -> tuple[float, float, float] | None:
        """Return (mean over seeds, low, high), None without a value.

        The interval resamples seeds and test traces together where the records have a value a trace; else it is
        Student's over the seeds, or the one record's own.
        """
        scored = [record for record in self.records if record.value(metric) is not None]
        if not scored:
            return None
        values = [record.scores[metric]["value"] for record in scored]
        mean = math.fsum(values) / len(values)
        own = scored[0].scores[metric]["interval"]
        if len(values) == 1:
            return (mean, own[0], own[1]) if own else (mean, math.nan, math.nan)
        traces = sorted(set.intersection(*(set(record.per_trace.get(metric, {})) for record in scored)))
        if own and len(traces) > 1:
            table = np.array([[record.per_trace[metric][trace] for trace in traces] for record in scored])
            found = paired_difference(table, np.zeros_like(table))
            return mean, mean + found.interval[0] - found.value, mean + found.interval[1] - found.value
        spread = float(stats.sem(values)) * float(stats.t.ppf(0.975, len(values) - 1))
        return mean, mean - spread, mean + spread


def group_rows(records: Sequence[Record]) -> list[Row]:
    """Group records by method and setting, the most skill first, what has no score last."""
    rows: dict[tuple[Any, ...], Row] = {}
    for record in sorted(records, key=lambda record: (record.cell,)):
        # A probe's settings vary under one name, as in a sweep of feature sets.
        probe = json.dumps(record.config.get("probe"), sort_keys=True)
        setting = (*sorted(record.choices.items()), probe)
        row = rows.setdefault(setting, Row(_name(record), PARTS.get(record.method, "")))
        row.records.append(record)

    for row in rows.values():
        if _under_trained(row, rows.values()):
            row.part = "under-trained"

    headline = next(iter(_with_values(QUALITY_COLUMNS, records)), QUALITY_COLUMNS[0])

    def order(row: Row) -> tuple[float, str]:
        kept = row.interval(headline.metric)
        return (-kept[0] if kept else math.inf, row.name)

    return sorted(rows.values(), key=order)


def render(records: Sequence[Record], form: str = "simple") -> str:
    """Render the table of each dataset and budget, with the noise floor as its last row."""
    parts = []
    settings = sorted({(r.choices.get("dataset", ""), r.choices.get("budget", "")) for r in records})
    for dataset, budget in settings:
        chosen = [
            r for r in records if (r.choices.get("dataset", ""), r.choices.get("budget", "")) == (dataset, budget)
        ]
        rows = group_rows(chosen)
        columns = [*_with_values(QUALITY_COLUMNS, chosen), *COLUMNS, *_with_values(KERNEL_COLUMNS, chosen)]
        lines = [_line(row, columns) for row in rows]
        floors = next((r.floors for r in chosen if r.floors), {})
        if floors:
            lines.append(
                [
                    "real against real",
                    "noise floor",
                    "",
                    "",
                    *(_cell(floors.get(c.metric), c.form) for c in columns),
                ]
            )
        headings = ["method", "part", "seeds", "status", *(column.heading for column in columns)]
        parts.append(
            f"dataset={dataset} budget={budget}\n\n" + tabulate(lines, headings, tablefmt=form, disable_numparse=True)
        )
    return "\n\n".join(parts)


def _with_values(columns: Iterable[Column], records: Sequence[Record]) -> list[Column]:
    """Return the columns of which some record has a value."""
    return [column for column in columns if any(record.value(column.metric) is not None for record in records)]


def _under_trained(row: Row, rows: Iterable[Row]) -> bool:
    """Tell whether a rebuilt method has yet to beat independent draws on c2st: its figures aren't the method's then."""
    if not any(record.config.get("generator", {}).get("rebuilds") for record in row.records):
        return False
    floors = [found[0] for other in rows if other.name == "independent" and (found := other.interval(TWO_SAMPLE))]
    own = row.interval(TWO_SAMPLE)
    return own is None or not floors or own[0] >= min(floors)


def _name(record: Record) -> str:
    """Name of a row: the generator, its other axes where it has any, and its probe on its router."""
    used = [axis for axis in ("tokenization", "context", "conditioning") if axis in record.config]
    settings = [record.choices.get(axis, "") for axis in used]
    probe = record.choices.get("probe", "none")
    place = [] if probe == "none" else [_probe_name(record, probe)]
    return " ".join([record.method, *(name for name in settings if name not in ("", "none")), *place])


def _probe_name(record: Record, probe: str) -> str:
    """Name of a probe on its router, with the settings that a sweep may vary."""
    settings = record.config.get("probe", {})
    varied = [settings[name] for name in ("features", "hook", "loader") if name in settings]
    return f"{probe}({', '.join(varied)})@{record.choices.get('router', 'none')}"


def _line(row: Row, columns: Sequence[Column]) -> list[str]:
    statuses = sorted({state_of(record) for record in row.records})
    cells = []
    for column in columns:
        found = row.interval(column.metric)
        if found is None:
            cells.append("–")
            continue
        mean, low, high = found
        # An interval centred on the value may reach past what values can be.
        low, high = max(low, column.low), min(high, column.high)
        spread = "" if column.bare or math.isnan(low) else f" [{low:{column.form}}, {high:{column.form}}]"
        cells.append(f"{mean:{column.form}}{spread}")
    return [row.name, row.part, str(len(row.records)), ", ".join(statuses), *cells]


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
