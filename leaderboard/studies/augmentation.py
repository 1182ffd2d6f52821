"""Whether synthetic traffic helps beside real traffic: curves over the share of real traces that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboard.board import Board
from leaderboard.studies import missing
from leaderboard.studies.comparison import Gap, contrast, corrected, verdict
from leaderboard.studies.evidence import Entry, Evidence, gather_methods
from leaderboard.studies.measures import MEASURES, SHARES, augmentation
from leaderboard.studies.page import DASH, Page, Section, begun, listed, name_of, table
from leaderboard.studies.pictures import Panel, Picture, Point
from leaderboard.studies.provenance import reasons, told_by

MAKES = missing.makes("augmentation_study")
REFERENCES = ("independent", "markov", "two_level")
Gains = Mapping[tuple[str, int], Gap]
"""(method, share) to what synthetic traces add, told after correction for all of them."""


def write(board: Board, name: str, folder: str) -> Page:
    """Write the page."""
    evidence = gather_methods(board)
    entries = scored(evidence)
    found = gains(entries)
    sections = [helps(entries, found), *(curve(entry, found) for entry in entries)]
    sections.append(missing.write(name, board.records, evidence.left_out))
    return Page("Augmentation", told_by(evidence, f"python -m leaderboard study {name}", folder), sections)


def scored(evidence: Evidence) -> tuple[Entry, ...]:
    """Methods that have a curve, and after them the references that sample traffic of their own."""
    references = [entry for name in REFERENCES if (entry := evidence.reference(name))]
    everyone = (*evidence.entries, *references)
    return tuple(entry for entry in everyone if any(entry.scores(augmentation("gain", share)) for share in SHARES))


def gains(entries: Sequence[Entry]) -> Gains:
    """What each method adds at each share, against nothing added."""
    found = {
        (entry.name, share): told
        for entry in entries
        for share in SHARES
        if (scores := entry.scores(augmentation("gain", share))) and (told := contrast([scores], [1.0]))
    }
    return dict(zip(found, corrected(list(found.values())), strict=True))


def told(gap: Gap) -> str:
    """Whether synthetic traffic helps, in words."""
    if not gap.told:
        return "can't be told"
    return "helps" if gap.value > 0 else "harms"


def helps(entries: Sequence[Entry], found: Gains) -> Section:
    """Who helps, and where."""
    section = Section("Does synthetic traffic help?", "Beside which share of the real traces does it add to accuracy?")
    if not entries:
        section.lacks.append(f"No record has an augmentation curve (augmentation.rung.\\*). {MAKES}")
        return section
    section.answer = " ".join(sentence(entry, found) for entry in entries)
    fewest = next(share for share in SHARES if any((entry.name, share) in found for entry in entries))
    figure = MEASURES[augmentation("gain", fewest)]
    section.answer += " " + verdict(entries, figure, "method").replace("By gain", f"By the gain at {fewest} %", 1)
    headings = ["gain beside real traces ↑", *(f"{share} %" for share in SHARES)]
    rows = [[entry.name, *(_cell(found.get((entry.name, share))) for share in SHARES)] for entry in entries]
    section.blocks.append(table(headings, rows))
    section.blocks += reasons(entries)
    section.blocks.append(
        "Accuracy of the rung on real test traces, by a forest trained on a share of the real training traces, alone "
        "and with all synthetic ones beside them; where synthetic windows are more, both weigh alike as a whole. "
        "Figures without a remark are told from nothing, after a correction for all cells of the table."
    )
    section.pictures += _picture(entries)
    return section


def sentence(entry: Entry, found: Gains) -> str:
    """Say of a method where it helps, where it harms and where that can't be told."""
    groups: dict[str, list[str]] = {}
    for share in SHARES:
        gap = found.get((entry.name, share))
        if gap is not None:
            groups.setdefault(told(gap), []).append(f"{share} % ({gap.text('+.3f')})")
    parts = []
    for how in ("helps", "harms"):
        if how in groups:
            parts.append(f"{how} beside {listed(groups[how])}")
    unclear = groups.get("can't be told")
    if unclear and not parts:
        return f"Whether {name_of(entry.name)} helps can't be told at any share: {listed(unclear)}."
    if unclear:
        parts.append(f"can't be told to do either beside {listed(unclear)}")
    return begun(f"{name_of(entry.name)} {listed(parts)}.")


def curve(entry: Entry, found: Gains) -> Section:
    """One method's curve, a row a share."""
    rows = []
    for share in SHARES:
        gap = found.get((entry.name, share))
        cells = [entry.text(augmentation(what, share)) for what in ("real", "augmented", "gain")]
        rows.append([f"{share} %", *cells, DASH if gap is None else told(gap)])
    headings = ["real traces", *(MEASURES[augmentation(what, 5)].heading for what in ("real", "augmented", "gain"))]
    return Section(f"Curve of {name_of(entry.name)}", blocks=[table([*headings, "verdict"], rows)])


def _cell(gap: Gap | None) -> str:
    if gap is None:
        return DASH
    return gap.text(".3f") + ("" if gap.told else ", can't be told")


def _picture(entries: Sequence[Entry]) -> list[Picture]:
    panels = []
    for what in ("augmented", "gain"):
        curves = {
            entry.name: [
                Point(float(share), measured)
                for share in SHARES
                if (measured := entry.interval(augmentation(what, share)))
            ]
            for entry in entries
        }
        if what == "augmented":
            # Real traces alone are the same for all methods.
            alone = [
                Point(float(share), measured)
                for share in SHARES
                if (measured := entries[0].interval(augmentation("real", share)))
            ]
            curves = {"real alone": alone, **curves}
        panels.append(Panel(MEASURES[augmentation(what, 5)], curves, "share of real traces, %",
                            dashed=frozenset({"real alone"})))  # fmt: skip
    return [Picture("study-augmentation", "accuracy with and without synthetic traces, and the gain", panels)]
