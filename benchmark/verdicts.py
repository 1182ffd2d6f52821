"""From verdicts on flows to a trace's predictions, and the reference that routers are held against."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from benchmark.probe import NO_FLOW, Choice, QualityModel, Verdicts
from benchmark.quality.features import extract_flows
from benchmark.trace import Trace

DOWN_BYTES = 3  # column of every feature set


def choose(verdicts: Verdicts, model: QualityModel, windows: int, features: int) -> Choice:
    """Choose the flow of each of ``windows`` windows: most down bytes, and of equal ones the first seen."""
    flow = np.full(windows, NO_FLOW, np.int64)
    empty_label, empty_score = model.predict(np.zeros((1, features), np.uint32))
    label, score = np.repeat(empty_label, windows), np.repeat(empty_score, windows)
    inside = np.flatnonzero((verdicts.window >= 0) & (verdicts.window < windows))
    order = inside[np.lexsort((verdicts.flow[inside], -verdicts.down_bytes[inside], verdicts.window[inside]))]
    # The first of each window's rows is the one chosen.
    firsts = order[np.unique(verdicts.window[order], return_index=True)[1]]
    places = verdicts.window[firsts]
    flow[places], label[places], score[places] = verdicts.flow[firsts], verdicts.label[firsts], verdicts.score[firsts]
    return Choice(model.answers(label, score), label, score, flow)


def judge(model: QualityModel, traces: Sequence[Trace], features: str) -> list[Verdicts]:
    """Return the integer model's verdicts in user space, on ``benchmark.quality.features``: the reference."""
    found = []
    for trace in traces:
        table = extract_flows(trace, features)
        label, score = model.predict(table.values)
        found.append(Verdicts(table.flow, table.window, table.values[:, DOWN_BYTES].astype(np.int64), label, score))
    return found


def agreement(first: Sequence[Verdicts], second: Sequence[Verdicts]) -> float:
    """Share of flows and windows, of those in either, of which both say the same: down bytes, label and score.

    NaN where there is none.
    """
    same = total = 0
    for one, other in zip(first, second, strict=True):
        left, right = _by_place(one), _by_place(other)
        same += sum(right.get(place) == said for place, said in left.items())
        total += len(left.keys() | right.keys())
    return same / total if total else float("nan")


def _by_place(verdicts: Verdicts) -> dict[tuple[int, int], tuple[int, int, int]]:
    places = zip(verdicts.flow.tolist(), verdicts.window.tolist(), strict=True)
    said = zip(verdicts.down_bytes.tolist(), verdicts.label.tolist(), verdicts.score.tolist(), strict=True)
    return dict(zip(places, said, strict=True))


def table(verdicts: Sequence[Verdicts]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return all verdicts as int64 [n, 6]: trace (its place), flow, window, down_bytes, label, score; sorted."""
    parts = [
        np.stack([np.full(len(one.flow), place), one.flow, one.window, one.down_bytes, one.label, one.score], axis=1)
        for place, one in enumerate(verdicts)
    ]
    rows = np.concatenate([np.zeros((0, 6), np.int64), *parts]).astype(np.int64)
    return rows[np.lexsort(rows.T[::-1])]


def digest(verdicts: Sequence[Verdicts]) -> str:
    """Digest verdicts in whatever order they come: equal where two routers say the same of every flow and window."""
    return hashlib.sha256(table(verdicts).astype("<i8").tobytes()).hexdigest()
