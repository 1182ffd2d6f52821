"""The scores of a row: a value a seed, by test trace where records have that, and the floor's value for want of one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.record import Record
from benchmark.statistics.comparison import spread_of_means
from leaderboard.board import Interval
from leaderboard.figures import RANKED, Figure

FloatArray = NDArray[np.float64]
# Ends that are the method's own fault; a machine that lacks something, or a choice that makes no sense, are not.
FAILURES = ("failed", "timeout")
Source = Callable[[int, str], Record | None]
"""(seed, metric) to the record whose value stands in for one that is lacking, if there is one."""


@dataclass(frozen=True, eq=False)
class Scores:
    """One row's scores of one metric.

    seeds: sorted. values: float64 [seeds]. traces: names, sorted; empty where there are no values by trace, or but one.
    table: float64 [seeds, traces], or [seeds, 1] of ``values``. imputed: the seeds whose value is the floor's.
    own: the interval that the one record states, where there is one seed.
    """

    seeds: tuple[int, ...]
    values: FloatArray
    traces: tuple[str, ...]
    table: FloatArray
    imputed: frozenset[int] = frozenset()
    own: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(self.values.mean())

    @functools.cached_property
    def places(self) -> Mapping[str, int]:
        """Column of each trace."""
        return {trace: place for place, trace in enumerate(self.traces)}

    def shared(self, seeds: Sequence[int], traces: Sequence[str]) -> FloatArray:
        """The table restricted to seeds and traces; the values alone, [seeds, 1], where ``traces`` is empty."""
        rows = [self.seeds.index(seed) for seed in seeds]
        if not traces:
            return self.values[rows][:, None]
        return np.asarray(self.table[np.ix_(rows, [self.places[trace] for trace in traces])])


def gather(records: Sequence[Record], metric: str, source: Source | None = None) -> Scores | None:
    """Collect the scores of one row, None where it has no value.

    source: where the value comes from of a seed that failed, or that has none though its floor does; None imputes
    nothing.
    """
    chosen: dict[int, Record] = {}
    imputed = set()
    for record in records:
        if record.value(metric) is not None:
            chosen[record.seed] = record
        elif source is not None and record.status in ("ok", *FAILURES):
            floor = source(record.seed, metric)
            if floor is not None:
                chosen[record.seed] = floor
                imputed.add(record.seed)
    if not chosen:
        return None
    seeds = tuple(sorted(chosen))
    values = np.array([chosen[seed].scores[metric]["value"] for seed in seeds], np.float64)
    by_trace = [chosen[seed].per_trace.get(metric) or {} for seed in seeds]
    traces = tuple(sorted(set(by_trace[0]).intersection(*by_trace[1:])))
    own = chosen[seeds[0]].scores[metric]["interval"] if len(seeds) == 1 else None
    if len(traces) < 2:
        return Scores(seeds, values, (), values[:, None], frozenset(imputed), own)
    table = np.array([[known[trace] for trace in traces] for known in by_trace], np.float64)
    return Scores(seeds, values, traces, table, frozenset(imputed), own)


def intervals(scores: Sequence[Scores], figure: Figure) -> list[Interval]:
    """Return the interval of each row's mean, all of one figure; a single seed has the one that its record states."""
    found: list[Interval] = [Interval(one.mean, None, None) for one in scores]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(scores):
        if one.own is not None:
            found[place] = Interval(one.mean, *one.own)
        elif len(one.seeds) > 1:
            shapes.setdefault(one.table.shape, []).append(place)
    for places in shapes.values():
        widths = spread_of_means(np.stack([scores[place].table for place in places])).half_widths()
        for place, width in zip(places, widths.tolist(), strict=True):
            mean = scores[place].mean
            # An interval centred on the value may reach past what values can be.
            found[place] = Interval(mean, figure.clip(mean - width), figure.clip(mean + width))
    return found


def imputed_shares(scores: Mapping[str, Scores | None]) -> dict[str, float]:
    """Share of seeds whose value was imputed, by figure of record, where it isn't 0."""
    known = {metric: scores[metric] for metric in RANKED if metric in scores}
    return {metric: len(one.imputed) / len(one.seeds) for metric, one in known.items() if one and one.imputed}
