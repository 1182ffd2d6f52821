"""The board as text: a table an arena, with means over seeds, intervals and shared ranks."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from tabulate import tabulate

from leaderboard.board import Arena, Board, Row
from leaderboard.figures import Figure
from leaderboard.naming import ELSEWHERE
from leaderboard.records import printable

# Formats of tabulate whose readers would act on markup in a cell.
MARKUP = ("github", "pipe", "html", "unsafehtml", "jira", "mediawiki", "moinmoin")


def render(board: Board, form: str = "simple") -> str:
    """Render every arena: a row a method, then the noise floor and the smallest gap that the table could show."""
    return "\n\n".join(render_arena(arena, form) for arena in board.arenas)


def render_arena(arena: Arena, form: str = "simple") -> str:
    """Render one arena, with what is to be said of it below: rows not ranked, and why other arenas stand apart."""
    lines = [[_named(row), row.part, str(len(row.records)), ", ".join(row.states), *_cells(row, arena.figures)]
             for row in arena.rows]  # fmt: skip
    if arena.floors:
        floors = [figure.text(arena.floors.get(figure.metric)) for figure in arena.figures]
        lines.append(["real against real", "noise floor", "", "", *floors])
    if arena.resolvable:
        gaps = [figure.text(arena.resolvable.get(figure.metric)) for figure in arena.figures]
        lines.append(["smallest gap that shows", "", "", "", *gaps])
    headings = ["method", "part", "seeds", "status", *(figure.heading for figure in arena.figures)]
    safe = [[_safe(text, form) for text in line] for line in lines]
    table = tabulate(safe, headings, tablefmt=form, disable_numparse=True)
    return "\n\n".join([_safe(arena.title, form), table, *_remarks(arena, form)])


def _named(row: Row) -> str:
    share = f" [{row.imputed:.0%} imputed]" if row.imputed else ""
    mark = " ✔" if row.verified else ""
    origin = f" [{ELSEWHERE}]" if ELSEWHERE in row.notes else ""
    return f"{row.name}{share}{origin}{mark}"


def _cells(row: Row, figures: Sequence[Figure]) -> list[str]:
    cells = []
    for figure in figures:
        found = row.interval(figure.metric)
        if found is None:
            cells.append("–")
            continue
        spread = ""
        if found.low is not None and found.high is not None and not figure.bare:
            spread = f" [{figure.text(figure.clip(found.low))}, {figure.text(figure.clip(found.high))}]"
        rank = f" ({row.ranks[figure.metric]})" if figure.metric in row.ranks else ""
        cells.append(f"{figure.text(found.mean)}{spread}{rank}")
    return cells


def _remarks(arena: Arena, form: str) -> list[str]:
    """Sentences below a table, a list in each."""
    listed = [row for row in arena.rows if not row.ranked and not row.unranked_reason.startswith("a reference")]
    unranked = [f"- {row.name} isn't ranked: {row.unranked_reason}." for row in listed]
    apart = [f"- {other.slug}: {other.sentence}" for other in arena.apart]
    return ["\n".join(_safe(line, form) for line in lines) for lines in (unranked, apart) if lines]


def _safe(text: str, form: str) -> str:
    """Text of records, so that neither a terminal nor a page acts on it."""
    plain = printable(text)
    if form not in MARKUP:
        return plain
    escaped = plain if form == "html" else html.escape(plain, quote=False)
    return re.sub(r"([|`*\\!]|\[(?=[^\]]*\]\())", r"\\\1", escaped)
