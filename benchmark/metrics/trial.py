"""A trial: one task on one feature set, with each side's windows, and the scores that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.metric import Score
from benchmark.metrics.judge import (
    Estimate,
    Lacking,
    Means,
    baseline_losses,
    estimate,
    folded_losses,
    judge_losses,
    need,
    sum_by_trace,
    train_judge,
)
from benchmark.quality.task import Examples, FloatArray, Task

BASELINE = "baseline"


@dataclass
class Trial:
    """Examples of a task by side ("train", "test", "synthetic", "independent"), and the names of each
    side's traces.

    Every score is a method that returns it, null with the reason where it can't be computed.
    """

    task: Task
    examples: Mapping[str, Examples]
    names: Mapping[str, Sequence[str]]
    seed: int
    _known: dict[tuple[str, str], FloatArray] = field(default_factory=dict, init=False)
    _judges: dict[str, list[Any]] = field(default_factory=dict, init=False)

    def score(self, name: str) -> Score:
        """Return the score called ``name``: a pair (trtr, tstr, trts, tsts) or a skill."""
        made: dict[str, Callable[[], Score]] = {
            "trtr": lambda: self.pair("train", "test"),
            "tstr": lambda: self.pair("synthetic", "test"),
            "trts": lambda: self.pair("train", "synthetic"),
            "tsts": lambda: self.pair("synthetic", "synthetic"),
            "skill_kept": self.skill_kept,
            "skill_over_independent": self.skill_over_independent,
        }
        try:
            return made[name]()
        except Lacking as lacking:
            return Score(None, str(lacking))

    def pair(self, train: str, test: str) -> Score:
        """Accuracy (classes, balanced where the task is) or mean absolute error (numbers) of a model of one
        side on another side's windows."""
        found = self._estimate(test, [train], lambda loss: 1 - loss[train] if self.task.classes else loss[train])
        if self.task.balanced:
            # A trace's own accuracy says nothing of a mean over classes; its pseudo-value does.
            return Score(found.value, interval=found.interval, per_trace=found.pseudo)
        raw = {name: 1 - loss if self.task.classes else loss for name, loss in found.by_trace[train].items()}
        return Score(found.value, interval=found.interval, per_trace=raw)

    def skill_kept(self) -> Score:
        """Skill of TSTR over skill of TRTR; ``per_trace`` holds pseudo-values, their mean near the score."""
        self._learnable()

        def kept(loss: Means) -> FloatArray:
            return (loss[BASELINE] - loss["synthetic"]) / (loss[BASELINE] - loss["train"])

        return _score_of(self._estimate("test", [BASELINE, "train", "synthetic"], kept))

    def skill_over_independent(self) -> Score:
        """What TSTR gains over the independent reference, over what TRTR gains."""
        self._learnable()
        if not len(self.examples["independent"]):
            raise Lacking("no traces of the independent reference")
        gain = self._estimate("test", ["independent", "train"], lambda loss: loss["independent"] - loss["train"])
        if gain.interval is None or gain.interval[0] <= 0:
            raise Lacking("training on real traces isn't surely better than training on the independent reference")

        def kept(loss: Means) -> FloatArray:
            return (loss["independent"] - loss["synthetic"]) / (loss["independent"] - loss["train"])

        return _score_of(self._estimate("test", ["independent", "train", "synthetic"], kept))

    def _learnable(self) -> None:
        """Raise Lacking unless a model of real traces surely beats the majority (or median) on the test
        traces."""
        gain = self._estimate("test", [BASELINE, "train"], lambda loss: loss[BASELINE] - loss["train"])
        if gain.interval is None or gain.interval[0] <= 0:
            raise Lacking("not learnable here: the interval of TRTR reaches the majority's or median's loss")

    def _estimate(self, test: str, trains: Sequence[str], statistic: Callable[[Means], FloatArray]) -> Estimate:
        examples = need(self.examples[test], test)
        losses = {train: self._losses(train, test) for train in trains}
        return estimate(sum_by_trace(self.task, losses, examples, self.names[test]), statistic, self.seed)

    def _losses(self, train: str, test: str) -> FloatArray:
        """Loss of each window of ``test``, by models of ``train``."""
        if (train, test) not in self._known:
            self._known[train, test] = self._judge(train, test)
        return self._known[train, test]

    def _judge(self, train: str, test: str) -> FloatArray:
        tested = need(self.examples[test], test)
        if self.task.balanced and len(np.unique(tested.labels)) < 2:
            raise Lacking(f"the {test} traces have one class only")
        if train == BASELINE:
            return baseline_losses(self.task, need(self.examples["train"], "train"), tested)
        trained = need(self.examples[train], train)
        if train == test:
            return folded_losses(self.task, trained)
        if train == "train" and self.task.classes and len(np.unique(trained.labels)) < 2:
            raise Lacking("the training traces have one class only")
        if train not in self._judges:
            self._judges[train] = train_judge(self.task, trained)
        return judge_losses(self.task, self._judges[train], tested)


def _score_of(found: Estimate) -> Score:
    if not np.isfinite(found.value):
        raise Lacking("the ratio isn't finite")
    return Score(found.value, interval=found.interval, per_trace=found.pseudo)
