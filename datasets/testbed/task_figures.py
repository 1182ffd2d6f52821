"""One task's learnability: what forest, baseline and shortcuts score on windows of sessions that they never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from benchmark.metrics.judge import (
    Estimate,
    Means,
    Sums,
    baseline_losses,
    estimate,
    judge_losses,
    sum_by_trace,
    train_judge,
)
from benchmark.quality.features import FEATURE_SETS, FeatureTable, feature_names
from benchmark.quality.task import Examples, FloatArray, Task, gather
from benchmark.trace import Trace
from learnability_table import SHORTCUTS

SEEDS = (0, 1, 2)  # ways to cut the sessions
FOLDS = 5
LEAST_SESSIONS = 10  # below about ten clusters a bootstrap's intervals come out too narrow
BASELINE, FOREST = "baseline", "forest"
PARTS = ("application", "cross", "congestion")  # of the corpus, for each of which the score is told too

Figures = dict[str, Any]


def measure_task(
    task: Task,
    traces: Sequence[Trace],
    tables: Sequence[FeatureTable],
    ladder: tuple[int, ...],
    sessions: Sequence[str],
) -> Figures:
    """Return one task's figures: its windows, the scores of forest, baseline and shortcuts, the gains, the verdict.

    Scores are accuracies for classes (balanced where the task is) and mean absolute errors for numbers, each
    [value, low, high]; gains are differences for the better, in the same unit.
    """
    examples = examples_of(task, traces, tables, ladder, sessions)
    about: Figures = {"windows": len(examples), "sessions": examples.traces, "classes": _counted(task, examples)}
    lacking = _lacking(task, examples)
    if lacking:
        return {**about, "learnable": False, "reason": lacking}
    seen = shortcuts(task, traces, tables, ladder, sessions)
    sums = sums_of(task, {FOREST: examples, **seen}, sessions)
    scores = {name: score_of(task, sums, name) for name in sums.losses}
    best = min(SHORTCUTS, key=lambda name: float(sums.means(np.ones(len(sums.names)))[name]))
    gain, beyond = _gain(sums, BASELINE), _gain(sums, best)
    learnable = gain.interval is not None and gain.interval[0] > 0
    return {
        **about,
        "measure": _measure(task),
        "unit": task.unit,
        "scores": scores,
        "gain": _rounded(gain),
        "shortcut": best,
        "beyond": _rounded(beyond),
        "parts": _by_part(task, sums, traces, sessions),
        "learnable": learnable,
        "reason": "" if learnable else _reason(task, scores, gain, about),
    }


def shortcuts(
    task: Task,
    traces: Sequence[Trace],
    tables: Sequence[FeatureTable],
    ladder: tuple[int, ...],
    sessions: Sequence[str],
) -> dict[str, Examples]:
    """Return the task's examples with a single feature each: what would make an answer trivial."""
    own = examples_of(task, traces, tables, ladder)
    applications = sorted({trace.condition.application for trace in traces})
    code = np.array([applications.index(trace.condition.application) for trace in traces], np.int64)
    columns = (own.window, code[own.trace], own.features[:, feature_names("F5").index("down_bytes")])
    grouped = examples_of(task, traces, tables, ladder, sessions)
    return {name: replace(grouped, features=column[:, None]) for name, column in zip(SHORTCUTS, columns, strict=True)}


def folded_losses(task: Task, examples: Examples, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return each window's loss by a forest, and by the majority (or median), of other sessions: float64 [n] twice."""
    forest, baseline = np.zeros(len(examples)), np.zeros(len(examples))
    folds = GroupKFold(min(FOLDS, examples.traces), shuffle=True, random_state=seed)
    for _, held in folds.split(examples.features, groups=examples.trace):
        mask = np.zeros(len(examples), bool)
        mask[held] = True
        train, test = examples.take(~mask), examples.take(mask)
        forest[mask] = judge_losses(task, train_judge(task, train, [seed]), test)
        baseline[mask] = baseline_losses(task, train, test)
    return forest, baseline


def examples_of(
    task: Task,
    traces: Sequence[Trace],
    tables: Sequence[FeatureTable],
    ladder: tuple[int, ...],
    sessions: Sequence[str] | None = None,
    feature_set: str = FEATURE_SETS[-1],
) -> Examples:
    """Gather a task's windows; with ``sessions``, ``trace`` is the place of the session's name."""
    examples = gather(task, traces, tables, ladder, feature_set)
    if sessions is None:
        return examples
    first = {name: place for place, name in reversed(list(enumerate(sessions)))}
    place = np.array([first[name] for name in sessions], np.int64)
    return replace(examples, trace=place[examples.trace])


def sums_of(task: Task, seen: Mapping[str, Examples], sessions: Sequence[str]) -> Sums:
    """Add up by session the mean losses over the cuts: of a forest for each of ``seen``, and of the baseline."""
    losses: dict[str, NDArray[np.float64]] = {}
    for name, examples in seen.items():
        cuts = [folded_losses(task, examples, seed) for seed in SEEDS]
        losses[name] = np.mean([forest for forest, _ in cuts], axis=0)
        losses[BASELINE] = np.mean([baseline for _, baseline in cuts], axis=0)
    return sum_by_trace(task, losses, seen[FOREST], sessions)


def score_of(task: Task, sums: Sums, name: str) -> list[float]:
    """Return the accuracy (balanced where the task is) or mean absolute error of one of the losses, with interval."""

    def statistic(means: Means) -> FloatArray:
        return 1 - means[name] if task.classes else means[name]

    return _rounded(estimate(sums, statistic, SEEDS[0]))


def _by_part(task: Task, sums: Sums, traces: Sequence[Trace], sessions: Sequence[str]) -> dict[str, list[float | None]]:
    """Return the scores of forest and baseline on each part of the corpus; null where a class is missing there."""
    found: dict[str, list[float | None]] = {}
    for what in PARTS:
        told = {
            session: trace.condition.application if what == "application" else str(trace.notes.get(what) or "")
            for session, trace in zip(sessions, traces, strict=True)
        }
        values = sorted(set(told.values()) - {""})
        for value in values if len(values) > 1 else []:
            means = sums.means(np.array([told[name] == value for name in sums.names], np.float64))
            losses = [float(means[name]) for name in (FOREST, BASELINE)]
            scores = [1 - loss if task.classes else loss for loss in losses]
            found[f"{what} {value}"] = [float(f"{score:.4g}") if np.isfinite(score) else None for score in scores]
    return found


def _gain(sums: Sums, over: str) -> Estimate:
    statistic: Callable[[Means], FloatArray] = lambda means: means[over] - means[FOREST]  # noqa: E731
    return estimate(sums, statistic, SEEDS[0])


def _rounded(found: Estimate) -> list[float]:
    low, high = found.interval or (found.value, found.value)
    return [float(f"{number:.4g}") for number in (found.value, low, high)]


def _measure(task: Task) -> str:
    if not task.classes:
        return "mean absolute error"
    return "balanced accuracy" if task.balanced else "accuracy"


def _counted(task: Task, examples: Examples) -> dict[str, int]:
    """Count the windows of each class; nothing for numbers."""
    if not task.classes:
        return {}
    values, counts = np.unique(examples.labels, return_counts=True)
    return {str(int(value)): int(count) for value, count in zip(values, counts, strict=True)}


def _lacking(task: Task, examples: Examples) -> str:
    """Say why a task can't even be measured, or nothing."""
    if not len(examples):
        return "no window has this label"
    if len(np.unique(examples.labels)) < 2:
        return f"all {len(examples)} windows have the same label"
    if examples.traces < LEAST_SESSIONS:
        return f"{examples.traces} sessions have this label, and at least {LEAST_SESSIONS} are needed to tell"
    rare = min(len(np.unique(examples.trace[examples.labels == value])) for value in np.unique(examples.labels))
    if task.balanced and rare < LEAST_SESSIONS:
        return f"only {rare} sessions have a window of the rarest class, and at least {LEAST_SESSIONS} are needed"
    return ""


def _reason(task: Task, scores: Mapping[str, list[float]], gain: Estimate, about: Mapping[str, Any]) -> str:
    value, low, high = scores[FOREST]
    reach = _rounded(gain)
    rival = "median" if not task.classes else "constant answer" if task.balanced else "majority"
    unit = f" {task.unit}" if task.unit else ""
    return (
        f"{_measure(task)} {value:g}{unit} [{low:g}, {high:g}] against {scores[BASELINE][0]:g}{unit} of the {rival},"
        f" and the interval of the gain, [{reach[1]:g}, {reach[2]:g}], isn't above zero ({about['windows']} windows of"
        f" {about['sessions']} sessions)"
    )
