"""Counterfactual: whether asking for more brings more, all else alike.

A pair of traces is sampled from one seed for two conditions that differ in quality alone. A model trained on real
traffic says what quality each shows: the mean class of rung over its windows, or the mean frame rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from benchmark.metric import Evidence, Family, Metric, Score
from benchmark.metrics.judge import Lacking, need, train_judge
from benchmark.quality.features import extract_all
from benchmark.quality.task import TASKS, FloatArray, Task, gather

_ORDERED, _GAP = "counterfactual.ordered", "counterfactual.gap"
METRICS = (
    Metric(_ORDERED, "", "up", 0, 1, "pairs whose high quality is told from their low one by a real-trained model"),
    Metric(_GAP, "", "up", -np.inf, np.inf, "how much higher it is, over what real traffic of the two asked for shows"),
)


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Score the pairs; null with the reason where there are none, or no label to tell them by."""
    task = TASKS["rung6" if evidence.ladder else "fps"]
    try:
        return _score(task, evidence)
    except Lacking as lacking:
        return {metric.name: Score(None, str(lacking)) for metric in METRICS}


def _score(task: Task, evidence: Evidence) -> dict[str, Score]:
    if not evidence.pairs:
        raise Lacking("no pairs were sampled")
    if task.label in evidence.unscored:
        raise Lacking(evidence.unscored[task.label])
    train = need(gather(task, evidence.train, extract_all(evidence.train), evidence.ladder), "training")
    judge = train_judge(task, train)
    low, high = ([_infer(task, judge, pair[place]) for pair in evidence.pairs] for place in range(2))
    gaps = np.array(high) - np.array(low)
    ordered = gaps > 0
    found = binomtest(int(ordered.sum()), len(ordered)).proportion_ci(method="wilson")
    names = [pair[0].name for pair in evidence.pairs]
    # Of all that real traffic shows, the widest gap that could have been brought about.
    widest = float(np.quantile(train.labels, 0.98) - np.quantile(train.labels, 0.02)) or 1.0
    return {
        _ORDERED: Score(
            float(ordered.mean()),
            interval=(float(found.low), float(found.high)),
            per_trace=dict(zip(names, ordered.astype(float).tolist(), strict=True)),
        ),
        _GAP: Score(float(gaps.mean() / widest), per_trace=dict(zip(names, (gaps / widest).tolist(), strict=True))),
    }


def _infer(task: Task, judge: Sequence[Any], trace: Any) -> float:
    """Return the mean quality of a trace's windows as the judge sees it."""
    values = extract_all([trace])[0].values
    if not len(values):
        return 0.0
    return float(np.mean([_expected(task, model, values) for model in judge]))


def _expected(task: Task, model: Any, values: Any) -> FloatArray:
    """Return the expected label of each window, so that two classes that are nearly told apart are ordered too."""
    if not task.classes:
        return np.asarray(model.predict(values), np.float64)
    return np.asarray(model.predict_proba(values) @ model.classes_, np.float64)


FAMILY = Family("counterfactual", 1, METRICS, score)
