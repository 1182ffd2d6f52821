"""What a generator must be told: schemes of conditioning against skill, adherence and the counterfactual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leaderboard.board import Board
from leaderboard.studies import missing
from leaderboard.studies.comparison import stand, verdict
from leaderboard.studies.evidence import Entry, Evidence, gather_evidence
from leaderboard.studies.measures import ADHERENCE, C2ST, GAP, LABELS, MEASURES, ORDERED, OVER, RUNG, TIMING, kept
from leaderboard.studies.page import DASH, Page, Section, table
from leaderboard.studies.pictures import Panel, Picture, Point
from leaderboard.studies.provenance import reasons, results, told_by

AXES = ("conditioning",)
# From the least that is told to the most; what else there is comes after.
SCHEMES = ("none", "application", "quality", "trajectory", "network", "all")
# Settings of a scheme, and what they are where nothing goes beyond it.
USUAL = {"guidance": 1.0, "dropout": 0.0}
OBEYING = (ADHERENCE, ORDERED, GAP)
ALIKE = (TIMING, C2ST)


def write(board: Board, name: str, folder: str) -> Page:
    """Write the page."""
    evidence = gather_evidence(board, AXES)
    evidence = replace(evidence, entries=ordered(evidence.entries))
    return Page(
        "Conditioning",
        told_by(evidence, f"python -m leaderboard study {name}", folder),
        [skills(evidence), obedience(evidence), likeness(evidence), over_none(evidence),
         missing.write(name, evidence.records, evidence.left_out)],
    )  # fmt: skip


def ordered(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Name entries by scheme, and by guidance and dropout where they are on; sort by scheme, then by these."""
    named = [Entry(_name(entry), entry.row) for entry in entries]
    clear = [
        entry if [one.name for one in named].count(entry.name) == 1 else Entry(entry.row.name, entry.row)
        for entry in named
    ]
    return tuple(
        sorted(
            clear,
            key=lambda entry: (_place(entry), entry.number("conditioning", "guidance", USUAL["guidance"]), entry.name),
        )
    )


def changed(entry: Entry) -> list[str]:
    """Settings of an entry's scheme that aren't the usual ones."""
    return [name for name, usual in USUAL.items() if entry.number("conditioning", name, usual) != usual]


def skills(evidence: Evidence) -> Section:
    """Skill kept of each label."""
    section = Section("Skill kept", "What must a generator be told for its traffic to teach?")
    if not evidence.entries:
        section.lacks.append("The records have no method that is told anything.")
        return section
    labels = [label for label in LABELS if _known(evidence, (kept(label),))]
    section.answer = " ".join(verdict(evidence.entries, MEASURES[kept(label)], "scheme") for label in labels or LABELS)
    metrics = (RUNG, OVER, *(kept(label) for label in labels if label != "rung"))
    section.blocks.append(results([*evidence.entries, *evidence.references], metrics, "told"))
    section.blocks += reasons(evidence.entries)
    return section


def obedience(evidence: Evidence) -> Section:
    """Whether what is asked for comes: adherence and the counterfactual."""
    section = Section("Obedience", "Does traffic show what was asked for, and more where more is asked?")
    known = _known(evidence, OBEYING)
    section.lacks += [f"No record has {metric}." for metric in OBEYING if metric not in known]
    if not known:
        return section
    section.answer = " ".join(verdict(evidence.entries, MEASURES[metric], "scheme") for metric in known)
    section.blocks.append(results([*evidence.entries, *evidence.references], known, "told"))
    section.blocks.append(
        "*Adherence* is the share of windows in which a model trained on real traffic sees the rung that was asked "
        "for; who is told nothing that bears on the rung is right by chance alone. *Ordered* is the share of pairs, "
        "sampled from one seed for low and for high quality, that the model puts in that order: a half by chance, and "
        "none where a scheme isn't told quality, for both are the same trace then. *Gap* is how far apart it sees "
        "them, over the widest that real traffic shows. What sampling beyond the condition does to all this: "
        "[guidance.md](guidance.md)."
    )
    panels = [
        Panel(
            MEASURES[metric],
            {
                entry.name: [Point(float(place), found)]
                for place, entry in enumerate(evidence.entries)
                if (found := entry.interval(metric))
            },
            "schemes, as in the table",
            joined=False,
            logarithmic=False,
        )
        for metric in (RUNG, *known[:2])
    ]
    section.pictures.append(Picture("study-conditioning", "skill and obedience of each scheme", panels))
    return section


def likeness(evidence: Evidence) -> Section:
    """Whether being told makes traffic more, or less, like real traffic."""
    section = Section("Likeness", "Is traffic nearer to real traffic where more is told?")
    known = _known(evidence, ALIKE)
    if not known:
        section.lacks.append("No record has timing or c2st.")
        return section
    section.answer = " ".join(verdict(evidence.entries, MEASURES[metric], "scheme") for metric in known)
    section.blocks.append(results([*evidence.entries, *evidence.references], known, "told"))
    return section


def over_none(evidence: Evidence) -> Section:
    """What being told adds over being told nothing but the duration."""
    section = Section("Over being told nothing", "What does each scheme add over the duration alone?")
    standings = {
        metric: stand(evidence.entries, MEASURES[metric]) for metric in _known(evidence, (RUNG, *OBEYING, *ALIKE))
    }
    base = next((entry for entry in evidence.entries if entry.name == "none"), None)
    if base is None or not any(("none", entry.name) in standing.gaps for standing in standings.values()
                               for entry in evidence.entries):  # fmt: skip
        section.lacks.append("There is no scheme to be paired with `conditioning=none` on three seeds.")
        return section
    rows = []
    for entry in evidence.entries:
        if entry is not base:
            cells = []
            for metric, standing in standings.items():
                gap = standing.gaps.get((entry.name, base.name))
                mark = "" if gap is None or gap.told else ", can't be told"
                cells.append(DASH if gap is None else gap.text(MEASURES[metric].form) + mark)
            rows.append([entry.name, *cells])
    section.blocks.append(table(["told", *(MEASURES[metric].heading for metric in standings)], rows))
    return section


def _known(evidence: Evidence, metrics: Sequence[str]) -> list[str]:
    """Those of some figures that any entry has."""
    return [metric for metric in metrics if any(entry.scores(metric) for entry in evidence.entries)]


def _name(entry: Entry) -> str:
    parts = [entry.row.axes.get("conditioning", "")]
    parts += [f"{name} {entry.number('conditioning', name, USUAL[name]):g}" for name in changed(entry)]
    return ", ".join(parts)


def _place(entry: Entry) -> int:
    scheme = entry.row.axes.get("conditioning", "")
    return SCHEMES.index(scheme) if scheme in SCHEMES else len(SCHEMES)
