"""How far sampling may go beyond the condition: what each scale of guidance buys, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboard.board import Board
from leaderboard.studies import missing
from leaderboard.studies.comparison import against, verdict
from leaderboard.studies.evidence import Entry, Evidence, gather_evidence
from leaderboard.studies.measures import ADHERENCE, C2ST, GAP, MEASURES, ORDERED, RUNG, SPEED, TIMING, kept
from leaderboard.studies.page import Page, Section, listed, name_of
from leaderboard.studies.pictures import Panel, Picture, Point
from leaderboard.studies.provenance import reasons, results, told_by

AXES = ("conditioning",)
JUDGED = (ADHERENCE, GAP, RUNG, TIMING, C2ST)
SHOWN = (ADHERENCE, ORDERED, GAP, RUNG, kept("startup"), kept("stall"), TIMING, C2ST, SPEED)
DRAWN = (ADHERENCE, RUNG, TIMING)
SCALES = (
    "At scale 1 each symbol is drawn as the network has it, given the condition. At a larger scale its log-odds lie so "
    "many times as far from what it says without the condition as those it says with it (Ho and Salimans 2022). For "
    "that it runs twice a symbol, and must have learnt from some examples whose condition was hidden."
)
Curves = Mapping[str, Sequence[tuple[float, Entry]]]
"""Scheme, and the share of examples whose condition was hidden, to (scale, entry), by scale."""


def write(board: Board, name: str, folder: str) -> Page:
    """Write the page."""
    evidence = gather_evidence(board, AXES)
    curves = curves_of(evidence)
    return Page(
        "Guidance",
        told_by(evidence, f"python -m leaderboard study {name}", folder),
        [beyond(curves), *(one_curve(scheme, curve, evidence.references) for scheme, curve in curves.items()),
         missing.write(name, evidence.records, evidence.left_out)],
    )  # fmt: skip


def curves_of(evidence: Evidence) -> Curves:
    """Sort entries into curves, by scheme and share hidden; a curve has two scales at least."""
    curves: dict[str, list[tuple[float, Entry]]] = {}
    for entry in evidence.entries:
        scheme, hidden = entry.row.axes.get("conditioning", ""), entry.number("conditioning", "dropout", 0.0)
        name = f"{scheme}, {hidden:.0%} hidden" if hidden else scheme
        curves.setdefault(name, []).append((entry.number("conditioning", "guidance", 1.0), entry))
    return {
        name: sorted(curve, key=lambda pair: (pair[0], pair[1].name))
        for name, curve in sorted(curves.items())
        if len({scale for scale, _ in curve}) > 1
    }


def beyond(curves: Curves) -> Section:
    """Whether going beyond the condition helps, in a sentence a scheme, and the curves."""
    section = Section("Does going beyond help?", "Does traffic obey more, and what becomes of the rest?")
    if not curves:
        section.lacks.append(f"No record has guidance swept. {missing.makes('guidance_study')}")
        return section
    section.answer = " ".join(_sentence(name, curve) for name, curve in curves.items())
    section.blocks.append(SCALES)
    panels = [
        Panel(
            MEASURES[metric],
            {
                name: [Point(scale, found) for scale, entry in curve if (found := entry.interval(metric))]
                for name, curve in curves.items()
            },
            "scale of guidance",
            logarithmic=False,
        )
        for metric in DRAWN
        if any(entry.interval(metric) for curve in curves.values() for _, entry in curve)
    ]
    section.pictures.append(Picture("study-guidance", "obedience, skill and timing against the scale", panels))
    return section


def one_curve(name: str, curve: Sequence[tuple[float, Entry]], references: Sequence[Entry]) -> Section:
    """Which scale is best with one scheme, and its figures, a row a scale."""
    scales = _called(curve)
    return Section(
        f"Curve of {name_of(name)}",
        "Which scale is best?",
        " ".join(verdict(scales, MEASURES[metric], "scale") for metric in JUDGED),
        blocks=[results([*scales, *references], SHOWN, "scale"), *reasons(scales)],
    )


def _sentence(name: str, curve: Sequence[tuple[float, Entry]]) -> str:
    """What the largest scale does to every figure judged, against the smallest."""
    ends = _called([curve[0], curve[-1]])
    gaps = against(ends[1], [(ends[0], MEASURES[metric]) for metric in JUDGED])
    groups: dict[str, list[str]] = {}
    for metric, gap in zip(JUDGED, gaps, strict=True):
        if gap is not None:
            figure = MEASURES[metric]
            better = (gap.value > 0) == (figure.direction == "up")
            how = ("better in" if better else "worse in") if gap.told else "not to be told apart in"
            groups.setdefault(how, []).append(f"{figure.title} ({gap.text(figure.form)})")
    if not groups:
        return f"Of {name_of(name)} nothing can be said: no figure is shared by its scales."
    order = ("better in", "worse in", "not to be told apart in")
    said = "; ".join(f"{how} {listed(groups[how])}" for how in order if how in groups)
    return f"With {name_of(name)}, scale {ends[1].name} against {ends[0].name}: {said}."


def _called(curve: Sequence[tuple[float, Entry]]) -> list[Entry]:
    return [Entry(f"{scale:g}", entry.row) for scale, entry in curve]
