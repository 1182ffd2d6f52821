"""What a method is to reach, held against what was measured, by its value and by its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board import Interval
from leaderboard.figures import Figure
from leaderboard.studies.augmentation import MAKES
from leaderboard.studies.comparison import Gap, against
from leaderboard.studies.evidence import Entry, Evidence, shown
from leaderboard.studies.measures import (
    BITRATE,
    C2ST,
    FLAGGED,
    LABELS,
    MEASURES,
    ORDERED,
    OVER,
    RUNG,
    SHARES,
    TIMING,
    VALID,
    augmentation,
    kept,
)
from leaderboard.studies.missing import makes
from leaderboard.studies.page import Section, name_of, plural, table

MET, BY_MEAN, REACHED, MISSED, UNKNOWN = (
    "met", "mean meets it, can't be told", "mean misses it, can't be told", "missed", "not measured",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A figure, its name here, and the bound that it is to keep on its better side; strict: it must pass it."""

    name: str
    metric: str
    bound: float
    strict: bool = False

    @property
    def upwards(self) -> bool:
        """Whether more is better."""
        return MEASURES[self.metric].direction == "up"

    @property
    def asked(self) -> str:
        """The bound in words."""
        sign = (">" if self.upwards else "<") if self.strict else ("≥" if self.upwards else "≤")
        return f"{sign} {self.bound:g}"

    def keeps(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        if value == self.bound:
            return not self.strict
        return (value > self.bound) == self.upwards

    def verdict(self, found: Interval | None) -> str:
        """One of the five verdicts: an interval that reaches beyond the bound leaves a verdict to the mean alone."""
        if found is None:
            return UNKNOWN
        ends = [found.mean if end is None else end for end in (found.low, found.high)]
        kept_by = [self.keeps(end) for end in ends]
        if self.keeps(found.mean):
            return MET if all(kept_by) else BY_MEAN
        return REACHED if any(kept_by) else MISSED


TARGETS = (
    Target("timing, over real against real", TIMING, 1.5),
    Target("c2st", C2ST, 0.7),
    Target("L2 raw", VALID, 0.99),
    Target("rung kept", RUNG, 0.9),
    Target("rung over independent", OVER, 0.7),
    *(Target(f"{MEASURES[kept(label)].title}", kept(label), 0.8) for label in LABELS if label != "rung"),
    Target("bit rate kept", BITRATE, 0.8),
    Target("counterfactual in order", ORDERED, 0.9),
    *(Target(f"gain beside {share} % of real traces", augmentation("gain", share), 0.0) for share in SHARES),
    Target(f"better beside {SHARES[0]} %", augmentation("gain", SHARES[0]), 0.0, strict=True),
    Target("copies flagged", FLAGGED, 0.0),
)
RIVALS = ("netdiffusion", "independent", "markov", "two_level")


def write(evidence: Evidence) -> Section:
    """Hold the method that meets most targets against all of them, and against its rivals."""
    section = Section("Targets", "How near is the best method to what was asked for?")
    entries = [entry for entry in evidence.entries if entry.competes]
    if not entries:
        section.lacks.append(f"No method has three seeds and a rank. {makes('first_light')}")
        return section
    best = max(entries, key=lambda entry: (*met(entry), _rung(entry), entry.name))
    measured = [target for target in TARGETS if _learnable(target, evidence)]
    verdicts = [target.verdict(best.interval(target.metric)) for target in measured]
    counts = {entry.name: met(entry) for entry in entries}
    section.answer = (
        f"One method is to meet all targets at once. None meets more than {name_of(best.name)}: {counts[best.name][0]} "
        f"of {len(measured)} with its whole interval, {verdicts.count(BY_MEAN)} by its mean alone, so that it can't be "
        f"told; {verdicts.count(REACHED)} are missed by its mean alone, {verdicts.count(MISSED)} are missed, and "
        f"{verdicts.count(UNKNOWN)} aren't measured."
    )
    others = sorted(
        (name for name in counts if name != best.name), key=lambda name: (*(-n for n in counts[name]), name)
    )
    if others:
        told = [f"{name_of(name)} {counts[name][0]} and {counts[name][1]}" for name in others[:5]]
        section.answer += f" Next, with whole intervals and by means alone: {', '.join(told)}."
    rows = [
        [target.name, target.asked, shown(MEASURES[target.metric], best.interval(target.metric)), verdict]
        for target, verdict in zip(measured, verdicts, strict=True)
    ]
    section.blocks.append(table(["target", "asked", f"measured of {best.name}", "verdict"], rows))
    section.blocks += _rivals(best, evidence)
    unknown = [target for target, verdict in zip(measured, verdicts, strict=True) if verdict == UNKNOWN]
    if unknown:
        section.lacks.append(f"{plural(len(unknown), 'target')} can't be judged from these records. {MAKES}")
    return section


def met(entry: Entry) -> tuple[int, int, int]:
    """How many targets an entry meets with its whole interval, by its mean alone, and misses by its mean alone."""
    verdicts = [target.verdict(entry.interval(target.metric)) for target in TARGETS]
    return verdicts.count(MET), verdicts.count(BY_MEAN), verdicts.count(REACHED)


def _learnable(target: Target, evidence: Evidence) -> bool:
    """Leave out labels that the corpus lacks: nobody has their skill, while the rung's is known."""
    everyone: Sequence[Entry] = (*evidence.entries, *evidence.references)
    label = target.metric.startswith("downstream.") and target.metric not in (RUNG, OVER)
    return not label or any(entry.scores(target.metric) for entry in everyone)


def _rung(entry: Entry) -> float:
    found = entry.interval(RUNG)
    return float("-inf") if found is None else found.mean


def _rivals(best: Entry, evidence: Evidence) -> list[str]:
    """Whether the best method is ahead of the floors, the baseline and the rebuilt diffusion, figure by figure."""
    figures = [MEASURES[metric] for metric in (RUNG, TIMING, C2ST, VALID)]
    rivals = [
        entry
        for name in RIVALS
        for entry in (*evidence.references, *evidence.entries)
        if entry.row.records[0].method == name and entry is not best
    ]
    if not rivals:
        return []
    asked = [(rival, figure) for rival in rivals for figure in figures]
    cells = [_held(gap, figure) for gap, (_, figure) in zip(against(best, asked), asked, strict=True)]
    width = len(figures)
    rows = [[rival.name, *cells[place * width : (place + 1) * width]] for place, rival in enumerate(rivals)]
    return [table([f"{best.name} against", *(figure.heading for figure in figures)], rows)]


def _held(gap: Gap | None, figure: Figure) -> str:
    if gap is None:
        return figure.text(None)
    ahead = (gap.value > 0) == (figure.direction == "up")
    how = ("ahead" if ahead else "behind") if gap.told else "alike" if gap.value == 0 else "can't be told"
    return f"{gap.text(figure.form)}, {how}"
