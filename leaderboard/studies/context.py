"""How far back a network must see: curves over the context's length, and whether longer helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leaderboard.board import Board
from leaderboard.figures import Figure
from leaderboard.studies import missing
from leaderboard.studies.comparison import Gap, contrast, corrected, verdict
from leaderboard.studies.evidence import Entry, Evidence, gather_evidence
from leaderboard.studies.measures import C2ST, FIT, MEASURES, RUNG, SPEED, TIMING, kept
from leaderboard.studies.page import Page, Section, name_of, named, table
from leaderboard.studies.pictures import Panel, Picture, Point
from leaderboard.studies.provenance import reasons, results, told_by

AXES = ("tokenization", "context")
JUDGED = (RUNG, TIMING, C2ST)
SHOWN = (RUNG, kept("startup"), kept("stall"), TIMING, C2ST, SPEED, FIT)
ALIKE = (
    "A step of training takes as many tokens at every length, so a short context sees more crops, of more traces. A "
    "fixed share of the crops are the starts of traces (`baselines/gpt/crops.py`): the shorter the context, the more "
    "of what is learnt is of starts. How much of a difference is the length's own, and how much is this, isn't told "
    "apart here."
)
Curves = Mapping[str, Sequence[tuple[int, Entry]]]
"""Tokenization to (tokens of context, entry), by length."""


def write(board: Board, name: str, folder: str) -> Page:
    """Write the page."""
    evidence = gather_evidence(board, AXES)
    curves = curves_of(evidence)
    sections = [longer(curves), *(one_curve(tokenization, curve) for tokenization, curve in curves.items())]
    sections.append(missing.write(name, evidence.records, evidence.left_out))
    return Page("Context", told_by(evidence, f"python -m leaderboard study {name}", folder), sections)


def curves_of(evidence: Evidence) -> Curves:
    """Sort entries into curves, by tokenization and length."""
    curves: dict[str, list[tuple[int, Entry]]] = {}
    for entry in evidence.entries:
        length = entry.setting("context", "length")
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            curves.setdefault(entry.row.axes.get("tokenization", ""), []).append((length, entry))
    return {name: sorted(curve, key=lambda pair: (pair[0], pair[1].name)) for name, curve in sorted(curves.items())}


def trends(curves: Curves, figure: Figure) -> dict[str, Gap]:
    """What each doubling of the context adds to a figure, by curve: a least-squares slope, corrected for the curves."""
    found = {}
    for name, curve in curves.items():
        known = [
            (length, scores)
            for length, entry in curve
            if entry.competes and (scores := entry.scores(figure.metric)) is not None
        ]
        lengths = np.log2([length for length, _ in known])
        if len(set(lengths.tolist())) < 2:
            continue
        centred = lengths - lengths.mean()
        told = contrast([scores for _, scores in known], (centred / (centred @ centred)).tolist())
        if told is not None:
            found[name] = told
    return dict(zip(found, corrected(list(found.values())), strict=True))


def longer(curves: Curves) -> Section:
    """Whether a longer context helps."""
    section = Section("Does longer help?", "What does each doubling of the context add?")
    if not curves:
        section.lacks.append("The records have no method that uses a context.")
        return section
    rows, sentences = [], []
    for metric in JUDGED:
        figure = MEASURES[metric]
        found = trends(curves, figure)
        sentences.append(_sentence(found, figure))
        rows += [
            [f"{figure.heading}, {name}", gap.text("+.3f"), _told(gap, figure)] for name, gap in sorted(found.items())
        ]
    section.answer = " ".join(sentences)
    if rows:
        section.blocks.append(table(["figure, tokenization", "each doubling adds", "longer"], rows))
        section.blocks.append(
            "The slope is that of a straight line through the figures against the logarithm of the length, on the "
            "seeds and test traces that all lengths have. A rise that levels off, or turns, shows in the curves alone."
        )
    section.blocks.append(ALIKE)
    panels = [
        Panel(
            MEASURES[metric],
            {name: _points(curve, metric) for name, curve in curves.items() if _points(curve, metric)},
            "tokens of context",
        )
        for metric in JUDGED
    ]
    if any(len(points) > 1 for panel in panels for points in panel.curves.values()):
        section.pictures.append(Picture("study-context", "figures against the length of the context", panels))
    return section


def one_curve(tokenization: str, curve: Sequence[tuple[int, Entry]]) -> Section:
    """Which length is best with one tokenization, and its figures, a row a length."""
    named_by_length = [Entry(f"{length:,}", entry.row) for length, entry in curve]
    return Section(
        f"Curve of {name_of(tokenization)}",
        "Which length is best?",
        " ".join(verdict(named_by_length, MEASURES[metric], "length") for metric in JUDGED),
        blocks=[results(named_by_length, SHOWN, "tokens of context"), *reasons(named_by_length)],
    )


def _points(curve: Sequence[tuple[int, Entry]], metric: str) -> list[Point]:
    return [Point(float(length), found) for length, entry in curve if (found := entry.interval(metric))]


def _told(gap: Gap, figure: Figure) -> str:
    if not gap.told:
        return "can't be told"
    return "helps" if (gap.value > 0) == (figure.direction == "up") else "harms"


def _sentence(found: Mapping[str, Gap], figure: Figure) -> str:
    if not found:
        return f"By {figure.title} nothing can be said: no tokenization has two lengths on three seeds."
    groups: dict[str, list[str]] = {}
    for name, gap in sorted(found.items()):
        groups.setdefault(_told(gap, figure), []).append(name)
    parts = []
    for how, names in groups.items():
        slopes = [found[name].text("+.3f") for name in names]
        added = ", ".join(f"{name_of(name)} {slope}" for name, slope in zip(names, slopes, strict=True))
        if how == "can't be told":
            parts.append(f"it can't be told whether longer helps with {named(names)} ({added} a doubling)")
        else:
            parts.append(f"longer {how} {named(names)} ({added} a doubling)")
    return f"By {figure.title} " + "; ".join(parts) + "."
