"""The page of answers: one section a question, then the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.record import Record
from leaderboard.board import Board
from leaderboard.studies.answers import price, representation, router, targets, training
from leaderboard.studies.answers.runs import probed
from leaderboard.studies.evidence import Entry, Evidence, gather_methods
from leaderboard.studies.measures import LABELS, kept
from leaderboard.studies.page import Page, Section, escape
from leaderboard.studies.provenance import READING

MOST_SHOWN = 8
"""Methods that a table for a paper has room for."""
ADVICE = "Records that a question lacks are named below it, with the command that makes them."


def write(board: Board, records: Sequence[Record], folder: str) -> Page:
    """Write the page from a board and the records that it is made of."""
    evidence = gather_methods(board)
    runs = probed(records)
    shown = fewer(evidence)
    sections = [
        training.write(shown),
        representation.write(board),
        router.write(runs),
        price.write(runs, shown),
        targets.write(evidence),
    ]
    if board.faults:
        sections.append(Section("Left out", lacks=[f"{escape(fault)}." for fault in board.faults]))
    if len(shown.entries) < len(evidence.entries):
        sections[0].blocks.append(
            f"Of the {len(evidence.entries)} settings in which methods were run, the one of each generator that keeps "
            "most skill is shown, in the mean over the labels, which flatters generators that were run in many."
        )
    introduction = (
        f"`python -m leaderboard answers` writes this page from {len(records)} records in `{escape(folder)}`; no "
        f"figure on it is typed by hand. {ADVICE}\n\n{READING}"
    )
    return Page("Answers", introduction, sections)


def fewer(evidence: Evidence) -> Evidence:
    """Keep the setting of each generator that keeps most skill over all labels, where a small table lacks room."""
    if len(evidence.entries) <= MOST_SHOWN:
        return evidence
    best: dict[str, Entry] = {}
    for entry in sorted(evidence.entries, key=lambda entry: (not entry.competes, -_skill(entry), entry.name)):
        best.setdefault(entry.row.records[0].method, entry)
    return replace(evidence, entries=tuple(best[method] for method in sorted(best)))


def _skill(entry: Entry) -> float:
    """Mean over the labels that the setting has, so that a hair's breadth in one of them doesn't decide."""
    found = [scores.mean for label in LABELS if (scores := entry.scores(kept(label))) is not None]
    return sum(found) / len(found) if found else float("-inf")
