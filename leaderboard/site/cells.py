"""What the pages of cells are made of: a record, and what its folder holds where that is at hand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from benchmark.record import Record
from leaderboard.board import Arena, Row
from leaderboard.figures import CATALOGUE
from leaderboard.naming import made_elsewhere
from leaderboard.records import state_of
from leaderboard.site.curve import draw_curve
from leaderboard.site.evidence import Evidence, clean
from leaderboard.site.numbers import count, limits, of_metric, plain
from leaderboard.violations import say_violations

AXES = ("dataset", "budget", "generator", "tokenization", "context", "conditioning", "probe", "router")
_SAFE = re.compile(r"[0-9a-z]{1,40}")
LONGEST, LONGEST_VIOLATION = 200_000, 2_000


def cell_name(record: Record) -> str:
    """Name for a cell's files: its id, or a digest of one that would be unsafe in a path."""
    return record.cell if _SAFE.fullmatch(record.cell) else hashlib.sha256(record.cell.encode()).hexdigest()[:16]


def cell_address(record: Record) -> str:
    """Address of a cell's page from the site's root."""
    return f"cells/{cell_name(record)}.html"


def cell_line(record: Record) -> dict[str, Any]:
    """Return a cell as the table of cells lists it."""
    return {
        "cell": record.cell,
        "page": cell_address(record),
        "method": record.method,
        "seed": record.seed,
        **{axis: record.choices.get(axis, "") for axis in ("dataset", "budget", "router")},
        "status": state_of(record),
        "seconds": _total_seconds(record),
        "reason": "" if record.status == "ok" else clean(record.reason)[:300],
    }


def cell_page(arena: Arena, row: Row, record: Record, evidence: Evidence, command: str) -> dict[str, Any]:
    """Return what the template of a cell's page names, but for the picture's address."""
    ended = record.status == "ok"
    families = _families(record)
    return {
        "cell": record.cell,
        "method": row.name,
        "method_page": f"methods/{row.slug}.html",
        "seed": record.seed,
        "status": state_of(record),
        "arena": arena.title,
        "reason": "" if ended else clean(record.reason),
        "notes": _notes(record),
        "command": command,
        "dirty": bool(record.code.get("dirty")),
        "violation": clean(record.violation)[:LONGEST_VIOLATION],
        "violations": say_violations(record),
        "picture_says": f"Real traces beside those of {row.name}, seed {record.seed}: drawn by the run itself.",
        "no_evidence": evidence.absent or "The run drew no picture.",
        **_curve(evidence),
        "families": families,
        "main_scores": [score for _, _, scores in families for score in scores if score["name"] in CATALOGUE],
        "score_count": count(len(record.scores), "score"),
        "stages": [
            (name, plain(facts.get("seconds"), ",.1f"), "yes" if facts.get("reused") else "no")
            for name, facts in sorted(record.stages.items())
            if isinstance(facts, Mapping)
        ],
        "fact_tables": [
            ("Choices", [(axis, record.choices[axis]) for axis in AXES if axis in record.choices]),
            ("Machine", _facts({**record.machine, "started": record.started, "ended": record.ended})),
            ("Code and corpus", _facts({**record.code, "corpus": record.corpus})),
            ("Figures of the method", _facts(record.figures)),
            ("Probe", _facts(record.probe)),
            ("Packages", _facts(record.packages)),
        ],
        "config": json.dumps(record.config, indent=1, sort_keys=True, ensure_ascii=False)[:LONGEST],
        "log": evidence.log,
        "log_says": "Its last 8,000 bytes." if evidence.log_cut else "",
        "no_log": evidence.absent or "The run printed nothing.",
        "traceback": clean(record.traceback)[-LONGEST:],
    }  # fmt: skip


def _notes(record: Record) -> list[str]:
    elsewhere = ["Its traces were made elsewhere: scored as any, and nobody can make them again."]
    told = {name: value for name, value in sorted(record.notes.items()) if value}
    said = [name if value is True else clean(f"{name}: {value}") for name, value in told.items()]
    return said + elsewhere * made_elsewhere(record)


def _curve(evidence: Evidence) -> dict[str, Any]:
    series = evidence.curve
    if not series:
        why = evidence.absent or "The method reported no loss; one that isn't trained by steps has none."
        return {"curve": None, "no_curve": why}
    by_step = [dict(points) for _, points in series]
    steps = sorted(set().union(*by_step))
    return {
        "curve": draw_curve(series),
        "curve_names": [name.replace("_", " ") for name, _ in series],
        "curve_lines": [
            [f"{step:g}", *(plain(points.get(step)) for points in by_step)] for step in steps
        ],
    }  # fmt: skip


def _families(record: Record) -> list[tuple[str, Any, list[dict[str, str]]]]:
    families: dict[str, list[dict[str, str]]] = {}
    for metric, score in sorted(record.scores.items()):
        low, high = score.get("interval") or (None, None)
        families.setdefault(metric.partition(".")[0], []).append(
            {
                "name": metric,
                "value": of_metric(metric, score.get("value")),
                "interval": limits(metric, low, high),
                "floor": of_metric(metric, record.floors.get(metric)),
                "reason": clean(score.get("reason") or ""),
            }
        )
    return [(family, record.metric_versions.get(family), scores) for family, scores in families.items()]


def _facts(mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, value) of what a mapping says, nested ones by dotted name."""
    facts: list[tuple[str, str]] = []
    for name, value in sorted(mapping.items()):
        if isinstance(value, Mapping):
            facts += [(f"{name}.{inner}", said) for inner, said in _facts(value)]
        elif value not in (None, "", [], {}):
            facts.append((str(name), _said(value)))
    return facts[:200]


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return plain(value)
    return (value if isinstance(value, str) else json.dumps(value, sort_keys=True))[:2000]


def _total_seconds(record: Record) -> float | None:
    seconds = [facts.get("seconds") for facts in record.stages.values() if isinstance(facts, Mapping)]
    known = [value for value in seconds if isinstance(value, int | float)]
    return round(sum(known), 1) if known else None
