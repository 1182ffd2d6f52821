"""Downstream: whether synthetic traffic trains a quality model that works on real traffic.

TRTR trains on real and tests on real traces, TSTR trains on synthetic ones, TRTS tests on them, TSTS does
both (on the other half of the traces). Synthetic windows are labelled with what was asked for. Accuracies
for classes, mean absolute errors for numbers. skill = 1 - loss / loss of the real training majority (or
median); all on the test split. For stalls, which are rare, accuracy is balanced (the mean over classes), and
so is the loss: any constant answer has loss 1/2, whatever the share of windows that stall.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.trial import Trial
from benchmark.quality.features import FEATURE_SETS, extract_all
from benchmark.quality.task import TASKS, Task, gather
from benchmark.trace import Trace

PAIRS = {
    "trtr": "trained on real, tested on real",
    "tstr": "trained on synthetic, tested on real",
    "trts": "trained on real, tested on synthetic",
    "tsts": "trained on synthetic, tested on other synthetic",
}
SKILLS = {
    "skill_kept": "skill on real traffic of a model trained on synthetic, over that of one trained on real",
    "skill_over_independent": "the same with the independent reference's loss as zero",
}
LADDERED = ("trtr", "tstr", "skill_kept")


def _metrics_of(task: Task) -> list[Metric]:
    kind, high = ("accuracy", 1.0) if task.classes else ("mean absolute error", math.inf)
    kind = f"balanced {kind}" if task.balanced else kind
    direction = "up" if task.classes else "down"
    return [
        *(
            Metric(
                f"downstream.{task.name}.{pair}",
                task.unit,
                direction,
                0,
                high,
                f"{task.meaning}: {kind}, {how}",
            )
            for pair, how in PAIRS.items()
        ),
        *(
            Metric(
                *(
                    f"downstream.{task.name}.{skill}",
                    "",
                    "up",
                    -math.inf,
                    math.inf,
                    f"{task.meaning}: {meaning}",
                ),
                of_record=skill == "skill_kept",
            )
            for skill, meaning in SKILLS.items()
        ),
    ]


def _laddered_metrics() -> list[Metric]:
    described = {metric.name: metric for metric in _metrics_of(TASKS["rung"])}
    return [
        Metric(
            f"{base.name}.{chosen}",
            base.unit,
            base.direction,
            base.low,
            base.high,
            f"{base.meaning}, {chosen}",
        )
        for name in LADDERED
        for base in [described[f"downstream.rung.{name}"]]
        for chosen in FEATURE_SETS
    ]


METRICS = (
    *(metric for task in TASKS.values() for metric in _metrics_of(task)),
    *_laddered_metrics(),
    Metric(
        *("downstream.adherence", "", "up", 0.0, 1.0),
        "synthetic windows where a model trained on held-out real traces infers the class of rung asked for",
    ),
)


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Score every task; what can't be scored is null, with the reason."""
    sides = _Sides(evidence)
    scores: dict[str, Score] = {}
    for task in TASKS.values():
        scores.update(_score_task(task, sides, (*PAIRS, *SKILLS)))
    for chosen in FEATURE_SETS:
        whole = chosen == FEATURE_SETS[-1]
        found = scores if whole else _score_task(TASKS["rung"], sides, LADDERED, chosen)
        scores |= {f"downstream.rung.{name}.{chosen}": found[f"downstream.rung.{name}"] for name in LADDERED}
    scores["downstream.adherence"] = _score_adherence(sides)
    return scores


class _Sides:
    """The traces of each side with their features, extracted once."""

    def __init__(self, evidence: Evidence) -> None:
        self.traces: dict[str, Sequence[Trace]] = {
            "train": evidence.train,
            "test": evidence.test,
            "synthetic": evidence.synthetic,
            "independent": evidence.independent,
            "held-out": [*evidence.validation, *evidence.test],
        }
        self.ladder, self.unscored, self.seed = evidence.ladder, evidence.unscored, evidence.seed
        every = {id(trace): trace for traces in self.traces.values() for trace in traces}
        tables = dict(zip(every, extract_all(every.values()), strict=True))
        self.tables = {side: [tables[id(trace)] for trace in traces] for side, traces in self.traces.items()}

    def trial(self, task: Task, feature_set: str = FEATURE_SETS[-1]) -> Trial:
        """Return the trial of a task, with the windows of every side."""
        examples = {
            side: gather(task, traces, self.tables[side], self.ladder, feature_set)
            for side, traces in self.traces.items()
        }
        return Trial(task, examples, {side: _names(traces) for side, traces in self.traces.items()}, self.seed)

    def unanswered(self, task: Task) -> str:
        """Why the corpus can't support a task, or nothing."""
        if task.label in self.unscored:
            return self.unscored[task.label]
        return "the corpus has no ladder" if task.label == "rung" and not self.ladder else ""


def _names(traces: Sequence[Trace]) -> list[str]:
    """Names of traces, told apart by their place where two are alike."""
    names = [trace.name for trace in traces]
    return [name if names.count(name) == 1 else f"{name}#{place}" for place, name in enumerate(names)]


def _score_task(
    task: Task, sides: _Sides, wanted: Sequence[str], feature_set: str = FEATURE_SETS[-1]
) -> dict[str, Score]:
    reason = sides.unanswered(task)
    if reason:
        return {f"downstream.{task.name}.{name}": Score(None, reason) for name in wanted}
    trial = sides.trial(task, feature_set)
    return {f"downstream.{task.name}.{name}": trial.score(name) for name in wanted}


def _score_adherence(sides: _Sides) -> Score:
    """Score against a judge of traces that no generator saw, so that copies of training windows gain
    nothing."""
    reason = sides.unanswered(TASKS["rung"])
    if reason:
        return Score(None, reason)
    trial = sides.trial(TASKS["rung"])
    judged = {**trial.examples, "train": trial.examples["held-out"]}
    return replace(trial, examples=judged).score("trts")


FAMILY = Family("downstream", 3, METRICS, score)
