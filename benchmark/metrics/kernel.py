"""Kernel: what a probe on a router says of real test traces, and what it costs there.

A trace's prediction for a window is that of the flow with most down bytes; a window in which no flow had a packet gets
the model's answer to a row of zeros. Costs are the router's own figures, null where it can't tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.judge import LEAST_TRACES, estimate, sum_by_trace
from benchmark.probe import FIGURES, ProbeEvidence
from benchmark.quality.task import TASKS, Examples, Task

ACCURACIES = ("rung", "rung6", "stall", "fps")
ERRORS = tuple(task.name for task in TASKS.values() if not task.classes)
NEAR_FPS = 2.0  # frames a second that VCAML counts as right (Sharma et al., IMC 2023)
COSTS = {
    "added_insns": ("insns/packet", True),
    "added_ns": ("ns/packet", False),
    "closing_ns": ("ns", False),
    "map_bytes": ("B", False),
    "verified_insns": ("insns", False),
    "stack_bytes": ("B", False),
    "jited_bytes": ("B", False),
    "load_ms": ("ms", False),
    "unaccounted": ("packets", False),
}
"""Figures that are metrics: their unit, and whether methods are ranked by them."""

METRICS = (
    *(
        Metric(
            f"kernel.accuracy.{name}", "", "up", 0, 1,
            f"{TASKS[name].meaning}: share of windows of real test traces that the probe tells"
            + (f", within {NEAR_FPS:g} frames a second" if name == "fps" else ""),
            of_record=name == "rung",
        )
        for name in ACCURACIES
    ),
    *(
        Metric(
            f"kernel.error.{name}", TASKS[name].unit, "down", 0, math.inf,
            f"{TASKS[name].meaning}: mean absolute error of the probe on real test traces",
        )
        for name in ERRORS
    ),
    Metric("kernel.agreement", "", "up", 0, 1, "flows and windows of which the router says what the reference says"),
    *(
        Metric(f"kernel.{name}", unit, "down", -math.inf, math.inf, FIGURES[name], of_record=of_record)
        for name, (unit, of_record) in COSTS.items()
    ),
)  # fmt: skip


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Score what the probe told and cost; all is null without one."""
    if evidence.probe is None:
        return nothing("no probe is part of this cell")
    return {**_tell(evidence, evidence.probe), **_cost(evidence.probe)}


def nothing(reason: str) -> dict[str, Score]:
    """Return every metric of the family as null for one reason."""
    return {metric.name: Score(None, reason) for metric in METRICS}


def _tell(evidence: Evidence, probe: ProbeEvidence) -> dict[str, Score]:
    task = TASKS[probe.task]
    other = f"the probe's task is {task.name}"
    scores = {f"kernel.accuracy.{name}": Score(None, other) for name in ACCURACIES}
    scores |= {f"kernel.error.{name}": Score(None, other) for name in ERRORS}
    answers, examples = _examples(evidence, probe, task)
    if examples.traces < LEAST_TRACES:
        lacking = Score(None, f"{examples.traces} test traces have a {task.label}; at least {LEAST_TRACES} are needed")
        scores |= {name: lacking for name in scores if name.endswith(f".{task.name}")}
    else:
        right = answers == examples.labels if task.classes else np.abs(answers - examples.labels) <= NEAR_FPS
        if task.name in ACCURACIES:
            scores[f"kernel.accuracy.{task.name}"] = _mean(evidence, task, right.astype(float), examples)
        if task.name in ERRORS:
            error = np.abs(answers - examples.labels)
            scores[f"kernel.error.{task.name}"] = _mean(evidence, task, error, examples)
    if probe.agreement is None:
        return {**scores, "kernel.agreement": Score(None, f"router={probe.router} is the reference itself")}
    if not math.isfinite(probe.agreement):
        return {**scores, "kernel.agreement": Score(None, "no window of the test traces has a packet")}
    return {**scores, "kernel.agreement": Score(probe.agreement)}


def _examples(evidence: Evidence, probe: ProbeEvidence, task: Task) -> tuple[NDArray[np.float64], Examples]:
    """Return the probe's answers to the labelled windows of the test traces, float64 [n], and those windows."""
    answers, labels, places, windows = [], [], [], []
    for place, (trace, choice) in enumerate(zip(evidence.test, probe.choices, strict=True)):
        wanted = task.read(trace, evidence.ladder)
        known = np.flatnonzero(np.isfinite(wanted))
        if task.opening:
            known = known[known == 0]
        answers.append(choice.answer[known])
        labels.append(wanted[known])
        places.append(np.full(len(known), place))
        windows.append(known)
    count = sum(map(len, labels))
    examples = Examples(
        np.zeros((count, 0), np.int64),
        np.concatenate([np.zeros(0), *labels]),
        np.concatenate([np.zeros(0, np.int64), *places]),
        np.concatenate([np.zeros(0, np.int64), *windows]),
    )
    return np.concatenate([np.zeros(0), *answers]), examples


def _mean(evidence: Evidence, task: Task, values: NDArray[np.float64], examples: Examples) -> Score:
    """Mean over windows (over classes where the task is balanced), with an interval over traces."""
    names = [trace.name for trace in evidence.test]
    found = estimate(sum_by_trace(task, {"probe": values}, examples, names), lambda mean: mean["probe"], evidence.seed)
    per_trace = found.pseudo if task.balanced else found.by_trace["probe"]
    return Score(found.value, interval=found.interval, per_trace=per_trace)


def _cost(probe: ProbeEvidence) -> dict[str, Score]:
    scores = {}
    for name in COSTS:
        value = probe.result.figures.get(name)
        why = probe.result.reasons.get(name) or probe.result.reasons.get("") or f"router={probe.router} can't tell"
        scores[f"kernel.{name}"] = Score(None, why) if value is None else Score(float(value))
    return scores


FAMILY = Family("kernel", 2, METRICS, score)
