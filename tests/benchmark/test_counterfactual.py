"""Counterfactual pairs and their score: known answers and negative controls."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.metric import Evidence
from benchmark.metrics import judge
from benchmark.metrics.counterfactual import FAMILY
from benchmark.synthesis.counterfactual import WINDOWS, counterfactual_pairs
from benchmark.trace import Condition, Labels
from tests.benchmark.test_downstream import LADDER, session, sessions


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(judge, "TREES", 12)


def of_rung(rung, seed):
    """The made session that shows one rung throughout."""
    made = [session(f"{seed}-{k}", 9000 + 97 * seed + k) for k in range(60)]
    return min(made, key=lambda one: float(np.abs(one.labels.rung.astype(float) - rung).mean()))


def scored(pairs, ladder=LADDER):
    evidence = replace(Evidence(sessions(20, 1), [], sessions(6, 2), sessions(6, 3), [], []), ladder=ladder)
    return FAMILY.score(replace(evidence, pairs=pairs))


def test_pairs_that_differ_as_asked_are_ordered_and_swapped_ones_are_not():
    pairs = [(of_rung(0, seed), of_rung(5, seed)) for seed in range(4)]
    found = scored(pairs)
    assert found["counterfactual.ordered"].value == 1
    assert found["counterfactual.ordered"].interval == pytest.approx((0.5101, 1.0), abs=1e-3)
    assert 0.2 < found["counterfactual.gap"].value <= 1
    turned = scored([(high, low) for low, high in pairs])
    assert turned["counterfactual.ordered"].value == 0
    assert turned["counterfactual.gap"].value == pytest.approx(-found["counterfactual.gap"].value)


def test_a_method_that_doesnt_listen_orders_nothing():
    same = [(one, one) for one in sessions(4, 5)]
    assert scored(same)["counterfactual.ordered"].value == 0
    assert scored(same)["counterfactual.gap"].value == 0


def test_what_cant_be_scored_says_why():
    assert {score.reason for score in scored([]).values()} == {"no pairs were sampled"}


def test_pairs_differ_in_quality_alone():
    conditions = [one.condition for one in sessions(10, 7)]
    pairs = counterfactual_pairs(conditions, LADDER, 4)
    assert len(pairs) == 4
    for low, high in pairs:
        assert low.duration == high.duration == WINDOWS * 10.0
        assert low.application == high.application
        assert low.labels.rung.tolist() == [0] * WINDOWS
        assert high.labels.rung.tolist() == [5] * WINDOWS
        assert (low.labels.height[0], high.labels.height[0]) == (144, 1080)
        assert low.labels.startup == high.labels.startup


def test_without_a_ladder_frame_rates_differ():
    labels = replace(Labels.unknown(5), fps=np.array([5, 10, 20, 30, np.nan], np.float32))
    (low, high), *rest = counterfactual_pairs([Condition("call", 5.0, 1.0, labels)], (), 3)
    assert not rest
    assert low.labels.fps[0] == pytest.approx(6.5)
    assert high.labels.fps[0] == pytest.approx(27)
    assert low.labels.rung.tolist() == [-1] * WINDOWS
