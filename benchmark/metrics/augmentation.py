"""Augmentation: whether synthetic traffic helps those who have a little real traffic, or harms those who have much.

A judge of the rung is trained on a share of the real training traces, with and without all synthetic ones, and tested
on real traffic. Where synthetic windows are more, real and synthetic ones weigh alike as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.judge import TREES, Lacking, Sums, judge_losses, need, sum_by_trace
from benchmark.quality.features import extract_all
from benchmark.quality.models import build_model
from benchmark.quality.task import TASKS, Examples, FloatArray, gather
from benchmark.statistics.resampling import draw_weights, percentile_interval

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
_DRAWS = 3  # of which real traces a share holds
_TASK = TASKS["rung"]
_REPLICATES = 1000


def _name(what: str, share: float) -> str:
    return f"augmentation.rung.{what}.{round(100 * share)}"


METRICS = tuple(
    metric
    for share in SHARES
    for metric in (
        Metric(_name("real", share), "", "up", 0, 1, f"accuracy of the rung, trained on {share:.0%} of real traces"),
        Metric(_name("augmented", share), "", "up", 0, 1, f"the same with the synthetic traces beside {share:.0%}"),
        Metric(_name("gain", share), "", "up", -1, 1, f"what the synthetic traces add to {share:.0%} of real ones"),
    )
)


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Score every share; null with the reason where the rung can't be scored."""
    try:
        return _score(evidence)
    except Lacking as lacking:
        return {metric.name: Score(None, str(lacking)) for metric in METRICS}


def _score(evidence: Evidence) -> dict[str, Score]:
    if not evidence.ladder:
        raise Lacking("the corpus has no ladder")
    if _TASK.label in evidence.unscored:
        raise Lacking(evidence.unscored[_TASK.label])
    sides = {"training": evidence.train, "test": evidence.test, "synthetic": evidence.synthetic}
    train, test, synthetic = (
        need(gather(_TASK, traces, extract_all(traces), evidence.ladder), side) for side, traces in sides.items()
    )
    names = [trace.name for trace in evidence.test]
    scores: dict[str, Score] = {}
    for share in SHARES:
        real, augmented = [], []
        for draw in range(_DRAWS if share < 1 else 1):
            few = train.take(np.isin(train.trace, draw_traces(len(evidence.train), share, draw)))
            if not len(few):
                continue
            real.append(judge_losses(_TASK, [_fit([few], draw)], test))
            augmented.append(judge_losses(_TASK, [_fit([few, synthetic], draw)], test))
        if not real:
            scores |= {_name(what, share): Score(None, "no labelled window") for what in ("real", "augmented", "gain")}
            continue
        losses = {"real": np.mean(real, axis=0), "augmented": np.mean(augmented, axis=0)}
        scores |= _scores_of(share, sum_by_trace(_TASK, losses, test, names))
    return scores


def draw_traces(count: int, share: float, draw: int) -> Any:
    """Return which of ``count`` traces a share holds, one at least; a larger share of a draw holds the smaller one."""
    order = np.random.default_rng([draw, 4]).permutation(count)
    return order[: max(1, round(share * count))]


def _fit(parts: Sequence[Examples], seed: int) -> Any:
    weights = [np.full(len(part), max(1.0, len(parts[-1]) / len(part))) for part in parts]
    model = build_model("forest", seed, n_estimators=TREES)
    return model.fit(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        sample_weight=np.concatenate(weights),
    )


def _scores_of(share: float, sums: Sums) -> dict[str, Score]:
    traces = sums.windows.shape[1]
    replicates = sums.means(draw_weights(traces, _REPLICATES, 0).astype(np.float64))
    whole = sums.means(np.ones(traces))
    by_trace = {name: loss.sum(axis=0) / sums.windows.sum(axis=0) for name, loss in sums.losses.items()}

    def told(of: Any) -> dict[str, Any]:
        accuracy = {name: 1 - of[name] for name in ("real", "augmented")}
        return {**accuracy, "gain": accuracy["augmented"] - accuracy["real"]}

    values, draws, own = told(whole), told(replicates), told(by_trace)
    return {
        _name(what, share): Score(
            float(values[what]),
            interval=percentile_interval(draws[what]),
            per_trace=dict(zip(sums.names, _listed(own[what]), strict=True)),
        )
        for what in values
    }


def _listed(values: FloatArray) -> list[float]:
    return [float(value) for value in values]


FAMILY = Family("augmentation", 1, METRICS, score)
