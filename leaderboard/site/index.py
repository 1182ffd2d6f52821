"""What the first page is made of: the board as data for its table and plots, and the reasons why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from leaderboard.board import Arena, Board, Row
from leaderboard.figures import CATALOGUE, Figure
from leaderboard.naming import ELSEWHERE, METHOD_AXES
from leaderboard.site.evidence import clean
from leaderboard.site.numbers import count, of_metric, shortened

# Columns that are shown before a reader chooses; the figure that orders an arena is always among them.
SHOWN = (
    "downstream.rung6.skill_over_independent", "timing.distance", "fidelity.c2st", "validity.l2.raw",
    "memorisation.copied_share", "cost.sample_packets_per_s", "kernel.accuracy.rung", "kernel.added_insns",
)  # fmt: skip
FAMILIES = {
    "downstream": "Quality", "timing": "Timing", "fidelity": "Fidelity", "validity": "Validity",
    "memorisation": "Memorisation", "cost": "Cost", "kernel": "Kernel",
}  # fmt: skip
PARTS = {
    "floor": "a reference: what is no better has learnt little",
    "baseline": "a reference: the strong classical baseline",
    "copies": "a reference: the photocopier, which resamples training traces",
    "ceiling": "a reference: real traces of other sessions",
    "under-trained": "rebuilt, and not yet better than independent draws: its figures aren't the method's",
}
REFERENCES = ("floor", "baseline", "copies", "ceiling")
PLOTS = (
    ("cost.sample_packets_per_s", "Skill kept against sampling speed", "Up and to the right is better.", ""),
    (
        "kernel.added_insns",
        "Skill kept against instructions in the kernel",
        "Up and to the left is better.",
        "It takes a probe on a router, such as probe=tree router=host.",
    ),
)


def index_page(board: Board) -> dict[str, Any]:
    """Return what the template of the first page names."""
    records = len(board.records)
    methods = len({row.slug for arena in board.arenas for row in arena.rows})
    current = sum(arena.current for arena in board.arenas)
    unranked = [
        (row.name, method_address(row), arena.title, clean(row.unranked_reason))
        for arena in board.arenas
        for row in arena.rows
        if row.unranked_reason and row.part not in REFERENCES
    ]
    return {
        "summary": f"{count(methods, 'method')} and {count(records, 'record')}, in {count(current, 'group')} of "
        "comparable records. Ranks are of methods that the data can tell apart; all others share theirs.",
        "arenas": board.arenas,
        "plots": PLOTS,
        "heads": {metric: CATALOGUE[metric].title for metric, *_ in PLOTS},
        "apart": [(arena.title, [other.sentence for other in arena.apart]) for arena in board.arenas if arena.apart],
        "unranked": unranked,
        "unranked_count": count(len(unranked), "method"),
        "faults": [clean(fault) for fault in board.faults],
        "data": index_data(board),
    }


def index_data(board: Board) -> dict[str, Any]:
    """Return the board as the page's scripts read it: columns, arenas, rows."""
    return {
        "columns": columns_of(board),
        "arenas": [_arena(arena) for arena in board.arenas],
        "rows": [
            _row(number, arena, row) | {"label": label}
            for number, arena in enumerate(board.arenas)
            for row, label in zip(arena.rows, _labels(arena), strict=True)
        ],
    }


def columns_of(board: Board) -> list[dict[str, Any]]:
    """Return the columns of all arenas, in the catalogue's order."""
    figures = {figure.metric: figure for arena in board.arenas for figure in arena.figures}
    places = {metric: place for place, metric in enumerate(CATALOGUE)}
    headlines = {arena.figures[0].metric for arena in board.arenas if arena.figures}
    return [
        {
            "key": metric, "heading": figures[metric].title, "meaning": figures[metric].meaning,
            "direction": figures[metric].direction, "form": figures[metric].form, "bare": figures[metric].bare,
            "family": FAMILIES.get(metric.partition(".")[0], metric.partition(".")[0]),
            "record": figures[metric].of_record, "shown": metric in SHOWN or metric in headlines,
        }
        for metric in sorted(figures, key=lambda metric: (places.get(metric, len(places)), metric))
    ]  # fmt: skip


def method_address(row: Row) -> str:
    """Address of a row's page from the site's root."""
    return f"methods/{row.slug}.html"


def facts_of(arena: Arena) -> str:
    """Say what an arena rests on: records, corpus, the smallest gap that it can show."""
    parts = [count(len(arena.records), "record"), f"corpus {arena.digest[:8]}"]
    metric = arena.figures[0].metric if arena.figures else ""
    if metric in arena.resolvable:
        gap = of_metric(metric, arena.resolvable[metric])
        parts.append(f"smallest gap in {CATALOGUE[metric].title} that it can show: {gap}")
    if not arena.current:
        parts.append("an older version: newer records of this dataset and budget are ranked apart")
    return "; ".join(parts)


def references(arena: Arena) -> tuple[dict[str, float], dict[str, float]]:
    """Return the floor and the ceiling of each figure: independent draws, and real traces of other sessions."""
    floor: dict[str, float] = {}
    ceiling: dict[str, float] = {}
    for row in arena.rows:
        marks = {"independent": floor, "real": ceiling}.get(row.axes.get("generator", ""))
        if marks is None or not row.part:
            continue
        for metric, interval in row.intervals.items():
            marks.setdefault(metric, interval.mean)
    return floor, ceiling


def tags_of(row: Row) -> list[tuple[str, str, str]]:
    """Return the marks beside a row's name: (kind, text, meaning)."""
    tags = [("part", row.part, PARTS.get(row.part, ""))] if row.part else []
    if row.verified:
        tags.append(("verified", "✓ verified", row.verified))
    if row.imputed:
        tags.append(("imputed", f"{row.imputed:.0%} imputed", "share of seeds whose missing value is the floor's"))
    tags += [("failed", state, f"a cell of it is {state}") for state in row.states if state != "ok"]
    meanings = {ELSEWHERE: "its traces were made elsewhere: scored as any, and nobody can make them again"}
    tags += [("note", note, meanings.get(note, "a note of its records")) for note in row.notes if len(note) <= 24]
    return tags


def split_name(row: Row) -> tuple[str, str]:
    """Split a row's name into its generator and the rest."""
    generator = row.axes.get("generator", "")
    if generator and row.name.startswith(f"{generator} "):
        return generator, row.name[len(generator) + 1 :]
    return row.name, ""


def axes_of(row: Row) -> list[tuple[str, str]]:
    """Return the axes of a row with their choices, those of the method first."""
    order = {axis: place for place, axis in enumerate((*METHOD_AXES, "probe", "router"))}
    chosen = [(axis, choice) for axis, choice in row.axes.items() if axis in order and choice not in ("", "none")]
    return sorted(chosen, key=lambda pair: order[pair[0]])


def _labels(arena: Arena) -> list[str]:
    """Name rows as briefly as a plot needs: the generator, and those words that not all rows of it share."""
    split = [split_name(row) for row in arena.rows]
    common: dict[str, set[str]] = {}
    for name, rest in split:
        common[name] = common.get(name, set(rest.split())) & set(rest.split())
    return [" ".join([name, *(word for word in rest.split() if word not in common[name])])[:40] for name, rest in split]


def _arena(arena: Arena) -> dict[str, Any]:
    floor, ceiling = references(arena)
    return {
        "title": arena.title,
        "facts": facts_of(arena),
        "facets": {"dataset": arena.dataset, "budget": arena.budget},
        "current": arena.current,
        "headline": arena.figures[0].metric if arena.figures else None,
        "floor": _marks(floor, arena.figures),
        "ceiling": _marks(ceiling, arena.figures),
    }


def _marks(values: Mapping[str, float], figures: tuple[Figure, ...]) -> dict[str, float | None]:
    shown = [figure.metric for figure in figures if not figure.bare]
    return {metric: shortened(values[metric]) for metric in shown if metric in values}


def _row(number: int, arena: Arena, row: Row) -> dict[str, Any]:
    name, rest = split_name(row)
    return {
        "arena": number,
        "name": name,
        "axes": rest,
        "page": method_address(row),
        "part": row.part,
        "reference": row.part in REFERENCES,
        "tags": tags_of(row),
        "ranked": row.ranked,
        "why": "" if row.part in REFERENCES else clean(row.unranked_reason),
        "router": row.axes.get("router", ""),
        "seeds": len(row.seeds),
        "ranks": {metric: list(rank) for metric, rank in row.ranks.items()},
        "scores": {figure.metric: score for figure in arena.figures if (score := _score(row, figure))},
    }


def _score(row: Row, figure: Figure) -> list[float | None] | None:
    interval = row.interval(figure.metric)
    if interval is None or not math.isfinite(interval.mean):
        return None
    if figure.bare or interval.low is None or interval.high is None:
        return [shortened(interval.mean)]
    return [shortened(value) for value in interval]
