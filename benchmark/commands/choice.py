"""Which traces of a corpus are worth looking at: chosen by rule from labels, flows and notes, no draw of chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.commands.account import dominating_rung, other_share, stall_parts
from benchmark.trace import Trace

# Bytes of others below this share leave no mark in a picture.
_MARK = 0.02


@dataclass(frozen=True, eq=False)
class Choice:
    """A trace and why it was chosen. rank: 0 for what shows something of its own, 1 for a further example."""

    trace: Trace
    reason: str
    rank: int = 0


def choose(traces: Sequence[Trace], ladder: Sequence[int], count: int) -> list[Choice]:
    """Choose at most ``count`` traces, each once, the most telling first; ties go by name.

    Calls are the traces with frame rates. ladder: heights of the rungs, lowest first.
    """
    ordered = sorted(traces, key=lambda trace: trace.name)
    calls = [trace for trace in ordered if np.isfinite(trace.labels.fps).any()]
    streams = [trace for trace in ordered if not np.isfinite(trace.labels.fps).any()]
    chosen = [*_choose_streams(streams, ladder), *_choose_calls(calls)]
    taken = {choice.trace.name for choice in chosen}
    rest = [trace for trace in ordered if trace.name not in taken]
    places = np.unique(np.linspace(0, max(0, len(rest) - 1), max(0, count - len(chosen))).astype(int))
    chosen += [Choice(rest[place], "a further example", 1) for place in places if rest]
    return chosen[:count]


def _choose_streams(traces: list[Trace], ladder: Sequence[int]) -> list[Choice]:
    chosen: list[Choice] = []

    def left() -> list[Trace]:
        taken = {choice.trace.name for choice in chosen}
        return [trace for trace in traces if trace.name not in taken]

    def applications() -> set[str]:
        return {choice.trace.condition.application for choice in chosen}

    stalled = max(left(), key=_stalled, default=None)
    if stalled is not None and _stalled(stalled) > 0:
        chosen.append(Choice(stalled, "stalls after startup"))
    crossed = max(left(), key=other_share, default=None)
    if crossed is not None and other_share(crossed) >= _MARK:
        chosen.append(Choice(crossed, "shares its link with the traffic of others"))
    for rung, height in enumerate(ladder):
        found = [trace for trace in left() if dominating_rung(trace)[0] == rung]
        if found:
            new = applications()
            best = max(found, key=lambda trace: (trace.condition.application not in new, dominating_rung(trace)[1]))
            chosen.append(Choice(best, f"{height}p dominates"))
    for application in sorted({trace.condition.application for trace in traces} - applications()):
        found = [trace for trace in left() if trace.condition.application == application]
        middle = sorted(found, key=lambda trace: len(trace.packets))[len(found) // 2]
        chosen.append(Choice(middle, "the median of its application by packets"))
    return chosen


def _choose_calls(calls: list[Trace]) -> list[Choice]:
    """Return the best call, the worst, and so on; the median one of each application that both lack."""
    if not calls:
        return []
    ordered = sorted(calls, key=lambda trace: (_smoothness(trace), trace.name))
    chosen = [Choice(ordered[-1], "a good call: the highest frame rate and picture")]
    if len(ordered) > 1:
        chosen.append(Choice(ordered[0], "a bad call: the lowest frame rate and picture"))
    seen = {choice.trace.condition.application for choice in chosen}
    for application in sorted({trace.condition.application for trace in calls} - seen):
        found = [trace for trace in ordered if trace.condition.application == application]
        chosen.append(Choice(found[len(found) // 2], "the median of its application by frame rate"))
    return chosen


def _stalled(trace: Trace) -> float:
    return float(stall_parts(trace)[1].sum())


def _smoothness(trace: Trace) -> float:
    """Frames a second times the lines of each, on average: what a viewer gets."""
    heights = trace.labels.height[trace.labels.height > 0]
    lines = float(heights.mean()) if len(heights) else 0.0
    return math.sqrt(float(np.nanmean(trace.labels.fps)) * lines)
