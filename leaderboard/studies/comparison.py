"""Who leads by a figure, and what can't be told: paired over seeds and test traces, corrected for all pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.statistics.comparison import Spread, spread_of_means
from benchmark.statistics.resampling import holm
from leaderboard.figures import Figure
from leaderboard.ranking import LEAST_SEEDS, LEVEL, compare_all
from leaderboard.scoring import Scores
from leaderboard.studies.evidence import Entry, shown
from leaderboard.studies.page import name_of, named, plural


@dataclass(frozen=True)
class Gap:
    """A paired difference: the mean, its 95 % interval (None where nothing varies), and whether it can be told.

    told: the p-value is below 0.05 after correction for all that were compared, over three seeds at least.
    """

    value: float
    low: float | None
    high: float | None
    told: bool

    def text(self, form: str) -> str:
        """The difference with its sign and interval."""
        form = "+" + form.lstrip("+")
        # A nought less a nought may be -0.0, which plus nought is 0.0.
        spread = (
            "" if self.low is None or self.high is None else f" [{self.low + 0.0:{form}}, {self.high + 0.0:{form}}]"
        )
        return f"{self.value + 0.0:{form}}{spread}"


@dataclass(frozen=True, eq=False)
class Standing:
    """All pairs of entries by one figure. gaps: (first, second) by name to the first's value less the second's."""

    figure: Figure
    entries: tuple[Entry, ...]
    gaps: dict[tuple[str, str], Gap]

    def ahead(self, first: Entry, second: Entry) -> bool:
        """Whether the first is told to be better."""
        gap = self.gaps.get((first.name, second.name))
        return gap is not None and gap.told and (gap.value > 0) == (self.figure.direction == "up")

    @property
    def best(self) -> Entry:
        """The entry of the best mean, the first by name among equals."""
        sign = 1 if self.figure.direction == "up" else -1
        return min(self.entries, key=lambda entry: (-sign * _mean(entry, self.figure.metric), entry.name))

    @property
    def tied(self) -> list[Entry]:
        """Those that the best can't be told from, the nearest first."""
        best = self.best
        others = [entry for entry in self.entries if entry is not best and not self.ahead(best, entry)]
        return sorted(others, key=lambda entry: (abs(self.gaps[best.name, entry.name].value), entry.name))


def stand(entries: Sequence[Entry], figure: Figure) -> Standing:
    """Compare all entries that may compete and have the figure."""
    chosen = tuple(entry for entry in entries if entry.competes and entry.scores(figure.metric) is not None)
    scores = [scores for entry in chosen if (scores := entry.scores(figure.metric)) is not None]
    pairs = compare_all(scores)
    upper = list(zip(*np.triu_indices(len(chosen), 1), strict=True))
    adjusted = holm([float(pairs.p_values[pair]) for pair in upper])
    gaps = {}
    for (row, column), corrected in zip(upper, adjusted, strict=True):
        value, spread = float(pairs.gaps[row, column]), Spread(pairs.variances[row : row + 1, column],
                                                               pairs.freedoms[row : row + 1, column])  # fmt: skip
        width = float(spread.half_widths()[0])
        low, high = (value - width, value + width) if math.isfinite(width) else (None, None)
        told = corrected < LEVEL and value != 0
        first, second = chosen[row].name, chosen[column].name
        gaps[first, second] = Gap(value, low, high, told)
        gaps[second, first] = Gap(-value, None if high is None else -high, None if low is None else -low, told)
    return Standing(figure, chosen, gaps)


def verdict(entries: Sequence[Entry], figure: Figure, what: str = "entry") -> str:
    """Say in a sentence who leads by a figure and by how much, or that it can't be told."""
    standing = stand(entries, figure)
    title = figure.title
    if not standing.entries:
        return f"By {title} nothing can be said: no {what} has it on {LEAST_SEEDS} seeds."
    best = standing.best
    value = shown(figure, best.interval(figure.metric))
    if len(standing.entries) == 1:
        return f"By {title} only {name_of(best.name)} has {LEAST_SEEDS} seeds ({value}): nothing to compare it with."
    tied = standing.tied
    beaten = [entry for entry in standing.entries if standing.ahead(best, entry)]
    if not tied:
        nearest = min(beaten, key=lambda entry: (abs(standing.gaps[best.name, entry.name].value), entry.name))
        gap = standing.gaps[best.name, nearest.name].text(figure.form)
        return f"By {title} {name_of(best.name)} is best: {value}, {gap} against the next, {name_of(nearest.name)}."
    gap = standing.gaps[best.name, tied[0].name].text(figure.form)
    sentence = (
        f"By {title} {name_of(best.name)} has the best mean, {value}, but can't be told from "
        f"{few(tied)} ({gap} against the nearest)"
    )
    if beaten:
        return f"{sentence}; it is ahead of {few(beaten)}."
    if len(standing.entries) > 2 and not any(gap.told for gap in standing.gaps.values()):
        return f"{sentence}: no two of {plural(len(standing.entries), what)} can be told apart."
    return f"{sentence}."


def few(entries: Sequence[Entry], most: int = 5) -> str:
    """Names of entries in a sentence, the first of them where there are many."""
    names = [entry.name for entry in entries]
    if len(names) <= most:
        return named(names)
    return f"{', '.join(map(name_of, names[: most - 1]))} and {len(names) - most + 1} more"


def against(first: Entry, others: Sequence[tuple[Entry, Figure]]) -> list[Gap | None]:
    """Compare one with others, each by a figure: its value less the other's, corrected for all that are asked at once.

    None where no seed was scored on both.
    """
    found: dict[int, tuple[Gap, float]] = {}
    for place, (other, figure) in enumerate(others):
        scores = [entry.scores(figure.metric) for entry in (first, other)]
        if scores[0] is not None and scores[1] is not None:
            told = contrast([scores[0], scores[1]], (1.0, -1.0))
            if told is not None:
                found[place] = told
    gaps = dict(zip(found, corrected(list(found.values())), strict=True))
    return [gaps.get(place) for place in range(len(others))]


def contrast(scores: Sequence[Scores], weights: Sequence[float]) -> tuple[Gap, float] | None:
    """A weighted sum of several entries' scores on the seeds and traces that all have, and its p-value.

    The gap is told without a correction; None where no seed is shared.
    """
    seeds = sorted(set(scores[0].seeds).intersection(*(one.seeds for one in scores[1:])))
    traces = sorted(set(scores[0].traces).intersection(*(one.traces for one in scores[1:])))
    if not seeds:
        return None
    parts = [one.shared(seeds, traces if len(traces) > 1 else []) for one in scores]
    value = sum(weight * float(one.shared(seeds, []).mean()) for weight, one in zip(weights, scores, strict=True))
    # What rounding leaves of a sum that is nothing isn't a finding.
    scale = sum(abs(weight) * abs(one.mean) for weight, one in zip(weights, scores, strict=True))
    value = 0.0 if abs(value) <= 1e-9 * scale else value
    table = sum((weight * part for weight, part in zip(weights, parts, strict=True)), np.zeros_like(parts[0]))
    spread = spread_of_means(table[None])
    p_value = float(spread.p_values(np.array([value]))[0])
    width = float(spread.half_widths()[0])
    low, high = (value - width, value + width) if math.isfinite(width) else (None, None)
    told = len(seeds) >= LEAST_SEEDS and p_value < LEVEL
    return Gap(value, low, high, told), p_value if len(seeds) >= LEAST_SEEDS else 1.0


def corrected(found: Sequence[tuple[Gap, float]]) -> list[Gap]:
    """Correct gaps that were told one by one for their number (Holm)."""
    adjusted = holm([p_value for _, p_value in found])
    return [
        Gap(gap.value, gap.low, gap.high, p_value < LEVEL and gap.value != 0)
        for (gap, _), p_value in zip(found, adjusted, strict=True)
    ]


def _mean(entry: Entry, metric: str) -> float:
    scores = entry.scores(metric)
    return math.nan if scores is None else scores.mean
