"""Does synthetic traffic train quality inference?"""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.studies import augmentation
from leaderboard.studies.comparison import against, stand, verdict
from leaderboard.studies.evidence import Entry, Evidence, shown
from leaderboard.studies.measures import LABELS, MEASURES, OVER, REAL_TO_REAL, RUNG, SYNTHETIC_TO_REAL, kept
from leaderboard.studies.missing import makes
from leaderboard.studies.page import Section, name_of
from leaderboard.studies.provenance import reasons, results, setting

FIGURE = MEASURES[RUNG]


def write(evidence: Evidence) -> Section:
    """Hold the skill that synthetic traffic teaches against that of real traffic, and against the floors."""
    section = Section("Training", "Does synthetic traffic train quality inference?")
    everyone = [*evidence.entries, *evidence.references]
    standing = stand(evidence.entries, FIGURE)
    if not standing.entries:
        section.lacks.append(f"No method has {RUNG} on three seeds. {makes('first_light')}")
        return section
    best = standing.best
    synthetic = [*evidence.entries, *filter(None, map(evidence.reference, augmentation.REFERENCES))]
    section.answer = " ".join(
        [_short(synthetic, evidence), verdict(synthetic, FIGURE, "generator"), *_beside(best, evidence),
         *_augmented(evidence, section)]
    )  # fmt: skip
    section.blocks.append(results(everyone, (SYNTHETIC_TO_REAL, RUNG, OVER), "trained on"))
    section.blocks.append(results(everyone, [kept(label) for label in LABELS if label != "rung"], "trained on"))
    section.blocks += reasons(evidence.entries)
    section.blocks.append(setting(evidence.arena, evidence.records))
    return section


def _short(synthetic: Sequence[Entry], evidence: Evidence) -> str:
    """Yes, in part, or no, by the generator whose traffic teaches most."""
    best = stand(synthetic, FIGURE).best
    found = best.interval(RUNG)
    real = evidence.reference("real")
    behind = real is not None and any(gap and gap.told and gap.value < 0 for gap in against(best, [(real, FIGURE)]))
    if found is None or found.low is None or found.high is None or found.low <= 0 <= found.high:
        short = "That can't be told"
    elif found.mean < 0:
        short = "No"
    else:
        short = "In part" if behind else "Yes"
    ceiling = next((entry.interval(REAL_TO_REAL) for entry in synthetic if entry.interval(REAL_TO_REAL)), None)
    taught = f", which tell it of {shown(MEASURES[REAL_TO_REAL], ceiling)} of windows" if ceiling else ""
    return (
        f"{short}: a model that {name_of(best.name)} alone taught to tell the rung's class keeps "
        f"{shown(FIGURE, found)} of the skill that real traces teach{taught}."
    )


def _beside(best: Entry, evidence: Evidence) -> list[str]:
    """The best method beside real traffic that nobody trained on, and beside the floor and the baseline."""
    called = {
        "real": "Real traffic that no method trained on keeps",
        "two_level": "The classical baseline of two levels keeps",
        "independent": "The floor, packets drawn independently, keeps",
    }
    others = {method: other for method in called if (other := evidence.reference(method))}
    gaps = against(best, [(other, FIGURE) for other in others.values()])
    sentences = []
    for (method, other), gap in zip(others.items(), gaps, strict=True):
        if gap is None:
            continue
        how = ("is ahead of it" if gap.value > 0 else "is behind it") if gap.told else "can't be told from it"
        value, difference = shown(FIGURE, other.interval(RUNG)), gap.text(FIGURE.form)
        sentences.append(f"{called[method]} {value}; {name_of(best.name)} {how} ({difference}).")
    return sentences


def _augmented(evidence: Evidence, section: Section) -> list[str]:
    """What synthetic traffic adds to real traffic."""
    entries = augmentation.scored(evidence)
    if not entries:
        section.lacks.append(
            f"Whether it helps beside real traffic: no record here has an augmentation curve. {augmentation.MAKES}"
        )
        return []
    found = augmentation.gains(entries)
    own = [entry for entry in entries if entry in evidence.entries] or list(entries)
    return [augmentation.sentence(entry, found) for entry in own]
