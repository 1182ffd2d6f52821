"""What a method's page is made of: one part for each arena that it stands in."""

from __future__ import annotations

from typing import Any

from leaderboard.board import Arena, Board, Row
from leaderboard.records import state_of
from leaderboard.site.cells import cell_address
from leaderboard.site.evidence import clean
from leaderboard.site.index import axes_of, facts_of, references, tags_of
from leaderboard.site.numbers import NONE, count, limits, of_metric


def method_pages(board: Board) -> dict[str, dict[str, Any]]:
    """Return what the template names, by slug; a method in several arenas has one page."""
    pages: dict[str, dict[str, Any]] = {}
    for arena in board.arenas:
        marks = references(arena)
        for row in arena.rows:
            page = pages.setdefault(
                row.slug, {"name": row.name, "tags": tags_of(row), "axes": axes_of(row), "places": []}
            )
            page["places"].append(_place(arena, row, marks))
    return pages


def _place(arena: Arena, row: Row, marks: tuple[dict[str, float], dict[str, float]]) -> dict[str, Any]:
    headline = arena.figures[0] if arena.figures else None
    return {
        "title": arena.title,
        "facts": facts_of(arena),
        "why": clean(row.unranked_reason),
        "verified": row.verified,
        "notes": [clean(note) for note in row.notes],
        "seeds": count(len(row.seeds), "seed"),
        "headline": headline.heading if headline else "",
        "scores": [_score(row, figure.metric, figure.heading, figure.meaning, marks) for figure in arena.figures],
        "cells": [
            {
                "cell": record.cell, "page": cell_address(record), "seed": record.seed, "status": state_of(record),
                "reason": "" if record.status == "ok" else clean(record.reason),
                "value": of_metric(headline.metric, record.value(headline.metric)) if headline else NONE,
            }
            for record in row.records
        ],
    }  # fmt: skip


def _score(
    row: Row, metric: str, heading: str, meaning: str, marks: tuple[dict[str, float], dict[str, float]]
) -> dict[str, str]:
    interval, rank = row.interval(metric), row.ranks.get(metric)
    imputed = row.imputed_by_metric.get(metric, 0)
    return {
        "heading": heading,
        "meaning": meaning,
        "value": of_metric(metric, interval.mean if interval else None),
        "interval": limits(metric, interval.low, interval.high) if interval else NONE,
        "rank": str(rank) if rank else NONE,
        "floor": of_metric(metric, marks[0].get(metric)),
        "ceiling": of_metric(metric, marks[1].get(metric)),
        "imputed": f" ({imputed:.0%} of the seeds imputed)" if imputed else "",
    }
