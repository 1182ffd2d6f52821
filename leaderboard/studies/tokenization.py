"""Which way of writing packets as tokens wins, by how much, and what a packet costs in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from leaderboard.board import Board
from leaderboard.records import ROOT
from leaderboard.studies import missing
from leaderboard.studies.comparison import stand, verdict
from leaderboard.studies.evidence import Entry, Evidence, gather_evidence
from leaderboard.studies.measures import (
    C2ST,
    DURATION,
    FIT,
    MEASURES,
    OVER,
    PACKETS,
    PARAMETERS,
    RUNG,
    SPEED,
    TIMING,
    TOKENS,
    VALID,
)
from leaderboard.studies.page import Page, Section, listed, name_of, table
from leaderboard.studies.pictures import Panel, Picture, Point
from leaderboard.studies.provenance import reasons, results, told_by

AXES = ("tokenization",)
TOLD = (
    "All are told the same of what is asked for (`baselines/parts/told.py`). What a tokenization knows besides of what "
    "was written, such as the bytes that a segment has left, is part of it, and of what is compared here."
)
JUDGED = (RUNG, TIMING, C2ST)
# A record may come from anybody: no other file is read for what it names.
_MODULE = re.compile(r"baselines\.tokenizations\.[a-z_]+")


def write(board: Board, name: str, folder: str) -> Page:
    """Write the page."""
    evidence = gather_evidence(board, AXES)
    return Page(
        "Tokenizations",
        told_by(evidence, f"python -m leaderboard study {name}", folder),
        [winners(evidence), gaps(evidence), reach(evidence), costs(evidence), losses(evidence),
         missing.write(name, evidence.records, evidence.left_out)],
    )  # fmt: skip


def winners(evidence: Evidence) -> Section:
    """Which wins, by each figure that ranks methods."""
    section = Section("Which wins", "One network, trained alike: which tokenization makes the better traffic?")
    entries = evidence.entries
    if not entries:
        section.lacks.append("The records have no method that uses a tokenization.")
        return section
    section.answer = " ".join(verdict(entries, MEASURES[metric], "tokenization") for metric in JUDGED)
    metrics = (RUNG, OVER, TIMING, C2ST, VALID)
    section.blocks.append(results([*entries, *evidence.references], metrics, "tokenization"))
    section.blocks += [TOLD, *reasons(entries)]
    section.pictures += picture(entries, evidence)
    return section


def gaps(evidence: Evidence) -> Section:
    """By how much: every tokenization against the best by each figure."""
    section = Section("By how much", "How far is each from the best mean, paired?")
    for metric in JUDGED:
        figure = MEASURES[metric]
        standing = stand(evidence.entries, figure)
        if len(standing.entries) < 2:
            section.lacks.append(f"By {figure.title} there are no two tokenizations on three seeds to be paired.")
            continue
        best = standing.best
        rows = [
            [entry.name, gap.text(figure.form), "behind" if gap.told else "can't be told"]
            for entry in standing.entries
            if entry is not best
            for gap in [standing.gaps[entry.name, best.name]]
        ]
        section.blocks.append(table([f"{figure.heading} less that of {best.name}", "difference", "verdict"], rows))
    return section


def reach(evidence: Evidence) -> Section:
    """How much of a trace is written: a sample that is cut lacks the rest in every figure."""
    section = Section("How far each reaches", "Are traces as long as what was asked for?")
    entries = evidence.entries
    if all(entry.scores(DURATION) is None for entry in entries):
        section.lacks.append(f"No record says how far durations are off ({DURATION}).")
        return section
    if cut := [name_of(entry.name) for entry in entries if "cut" in entry.row.notes]:
        section.answer = (
            f"Some or all traces of {listed(cut)} end early, for they reached the most tokens that a trace may take "
            "(`conf/tokenization`, and a fifth over the densest training trace). What they lack counts against them "
            "in every figure."
        )
    else:
        section.answer = "No trace was cut for the tokens that it takes."
    section.blocks.append(results([*entries, *evidence.references], (DURATION, PACKETS), "tokenization"))
    return section


def costs(evidence: Evidence) -> Section:
    """What a packet costs in each."""
    section = Section("What it costs", "How many tokens does a packet take, and how long do fit and sampling?")
    known = [entry for entry in evidence.entries if entry.scores(TOKENS) is not None]
    if not known:
        section.lacks.append("No record says how many tokens a packet takes (cost.tokens_per_packet).")
        return section
    sentences = [_range(known, TOKENS, "A packet takes", "tokens"), _range(known, SPEED, "Sampling makes", "packets/s")]
    section.answer = " ".join(filter(None, [*sentences, _seen(known)]))
    section.blocks.append(results(known, (TOKENS, SPEED, FIT, PARAMETERS), "tokenization"))
    return section


def losses(evidence: Evidence) -> Section:
    """What each tokenization keeps and what it doesn't, as its own file says."""
    section = Section("What each loses", "What of a packet comes back, and what doesn't? As the files say:")
    said = {entry.name: _kept(entry) for entry in evidence.entries}
    told = [f"- {name_of(name)}: {text}" for name, text in said.items() if text]
    if told:
        section.blocks.append("\n".join(told))
    if silent := [name_of(name) for name, text in said.items() if not text]:
        section.lacks.append(f"No file of this project says what is lost by {', '.join(silent)}.")
    return section


def picture(entries: Sequence[Entry], evidence: Evidence) -> list[Picture]:
    """Rung kept and timing against tokens a packet, a point a tokenization."""
    panels = []
    for metric in (RUNG, TIMING):
        curves = {
            entry.name: [Point(tokens.mean, measured)]
            for entry in entries
            if (tokens := entry.interval(TOKENS)) and tokens.mean > 0 and (measured := entry.interval(metric))
        }
        lines = {
            method: found.mean
            for method in ("independent", "real")
            if (reference := evidence.reference(method)) and (found := reference.interval(metric))
        }
        panels.append(Panel(MEASURES[metric], curves, "tokens a packet", joined=False, lines=lines))
    if not any(panel.curves for panel in panels):
        return []
    return [Picture("study-tokenization", "rung kept and timing against tokens a packet", panels)]


def _range(entries: Sequence[Entry], metric: str, what: str, unit: str) -> str:
    found = [(interval.mean, entry.name) for entry in entries if (interval := entry.interval(metric))]
    if not found:
        return ""
    figure = MEASURES[metric]
    low, high = min(found), max(found)
    if figure.text(low[0]) == figure.text(high[0]):
        return f"{what} {figure.text(low[0])} {unit} in {'each' if len(found) > 1 else name_of(low[1])}."
    return (
        f"{what} from {figure.text(low[0])} {unit} ({name_of(low[1])}) to {figure.text(high[0])} ({name_of(high[1])})."
    )


def _seen(entries: Sequence[Entry]) -> str:
    """Say how many packets the context holds, which the same number of tokens makes few or many."""
    length, *others = [entry.setting("context", "length") for entry in entries]
    taken = [(found.mean, name_of(entry.name)) for entry in entries if (found := entry.interval(TOKENS))]
    if type(length) is not int or any(other != length for other in others) or not taken or min(taken)[0] <= 0:
        return ""
    held = [f"{length / tokens:,.0f} packets of {name}" for tokens, name in dict.fromkeys([max(taken), min(taken)])]
    return f"A context of {length:,} tokens holds {listed(held)}."


def _kept(entry: Entry) -> str:
    """Return the last paragraph of a tokenization's description that says what is exact, "" where there is none."""
    module = str(entry.setting("tokenization", "module"))
    if not _MODULE.fullmatch(module):
        return ""
    place = ROOT.joinpath(*module.split("."))
    files = [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
    described = ast.get_docstring(ast.parse(files[0].read_text())) if files else ""
    paragraphs = [text for text in (described or "").split("\n\n") if "exact" in text.lower()]
    return " ".join(paragraphs[-1].split()) if paragraphs else ""
