"""The judge of downstream scores: forests trained on one side's windows, and their losses on another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.quality.models import build_model
from benchmark.quality.task import Examples, FloatArray, Task
from benchmark.statistics.resampling import draw_weights, percentile_interval, pseudo_values

SEEDS = (0, 1, 2)  # of the judge, whatever the cell's: rows differ by their training windows alone
TREES = 40  # each
LEAST_TRACES = 2
DRAWS = 1000
# Of a balanced task's forests. Leaves of two windows find few of a rare class in other traces: balanced accuracy was
# 0.71 with them and 0.83 with ten, on a class of 7 % of the windows.
BALANCED = {"class_weight": "balanced", "min_samples_leaf": 10}


Means = Mapping[str, FloatArray]  # mean loss by name


class Lacking(Exception):
    """A score that can't be computed; the message says why."""


@dataclass(frozen=True)
class Sums:
    """Losses added up by trace: loss [strata, traces] for each name, and windows [strata, traces].

    Strata are the classes of a balanced task, which count alike; any other task has one.
    """

    losses: Mapping[str, FloatArray]
    windows: FloatArray
    names: tuple[str, ...]

    def means(self, weights: NDArray[np.float64]) -> dict[str, FloatArray]:
        """Mean loss of each name, for weights [..., traces] of the traces; NaN where a stratum has no weight."""
        total = weights @ self.windows.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return {name: (weights @ losses.T / total).mean(axis=-1) for name, losses in self.losses.items()}


def need(examples: Examples, side: str) -> Examples:
    """Return the examples, or raise Lacking where they are of fewer than two traces."""
    if examples.traces < LEAST_TRACES:
        raise Lacking(f"{examples.traces} {side} traces with a label, and at least {LEAST_TRACES} are needed")
    return examples


def train_judge(task: Task, examples: Examples, seeds: Sequence[int] = SEEDS) -> list[Any]:
    """Return one fitted forest a seed."""
    options = BALANCED if task.balanced else {}
    return [
        build_model("forest", seed, regression=not task.classes, n_estimators=TREES, **options).fit(
            examples.features, examples.labels
        )
        for seed in seeds
    ]


def judge_losses(task: Task, judge: Sequence[Any], examples: Examples) -> FloatArray:
    """Return the loss of each window, float64 [n], the mean over forests: 1 for a wrong class, or absolute
    error."""
    losses = [_loss(task, model.predict(examples.features), examples.labels) for model in judge]
    return np.asarray(np.mean(losses, axis=0), np.float64)


def baseline_losses(task: Task, train: Examples, test: Examples) -> FloatArray:
    """Return the loss of always answering the training majority (or median), float64 [n]."""
    if not task.classes:
        return _loss(task, np.median(train.labels), test.labels)
    values, counts = np.unique(train.labels, return_counts=True)
    return _loss(task, values[np.argmax(counts)], test.labels)


def folded_losses(task: Task, examples: Examples) -> FloatArray:
    """Return the loss of each window by a model that was trained on the other half of the traces."""
    losses = np.zeros(len(examples))
    ranks = np.unique(examples.trace, return_inverse=True)[1]
    for half in range(2):
        held = ranks % 2 == half
        judge = train_judge(task, examples.take(~held), SEEDS[:1])
        losses[held] = judge_losses(task, judge, examples.take(held))
    return losses


def sum_by_trace(task: Task, losses: Mapping[str, FloatArray], examples: Examples, names: Sequence[str]) -> Sums:
    """Add losses up by trace, and by class where the task is balanced; traces without an example are left
    out."""
    present, places = np.unique(examples.trace, return_inverse=True)
    found, strata = np.unique(examples.labels if task.balanced else np.zeros(len(examples)), return_inverse=True)

    def add(values: FloatArray) -> FloatArray:
        cells = np.bincount(strata * len(present) + places, values, len(found) * len(present))
        return np.asarray(cells.reshape(len(found), len(present)), np.float64)

    added = {name: add(loss) for name, loss in losses.items()}
    return Sums(added, add(np.ones(len(examples))), tuple(names[place] for place in present))


@dataclass(frozen=True)
class Estimate:
    """A statistic of mean losses over traces.

    value, its 95 % interval, pseudo: jackknife pseudo-values by trace. by_trace: name of loss to trace to
    mean loss.
    """

    value: float
    interval: tuple[float, float] | None
    pseudo: dict[str, float]
    by_trace: dict[str, dict[str, float]]


def estimate(sums: Sums, statistic: Callable[[Means], FloatArray], seed: int) -> Estimate:
    """Estimate a statistic of mean losses, with a bootstrap over traces, which are clusters of windows."""
    traces = sums.windows.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums.means(np.ones(traces))))
        draws = np.asarray(statistic(sums.means(draw_weights(traces, DRAWS, seed).astype(np.float64))))
        pseudo = pseudo_values(lambda weights: float(statistic(sums.means(weights))), traces)
    worths = zip(sums.names, pseudo.tolist(), strict=True)
    by_trace = {
        name: dict(zip(sums.names, (losses.sum(axis=0) / sums.windows.sum(axis=0)).tolist(), strict=True))
        for name, losses in sums.losses.items()
    }
    finite = {name: worth for name, worth in worths if np.isfinite(worth)}
    return Estimate(value, percentile_interval(draws), finite, by_trace)


def _loss(task: Task, predicted: FloatArray | float, labels: FloatArray) -> FloatArray:
    if task.classes:
        return np.asarray(predicted != labels, np.float64)
    return np.abs(predicted - labels)
