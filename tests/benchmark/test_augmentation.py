"""Augmentation: known answers and negative controls."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.metric import Evidence
from benchmark.metrics import augmentation
from benchmark.metrics.augmentation import FAMILY, SHARES, draw_traces
from tests.benchmark.test_downstream import LADDER, sessions


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(augmentation, "TREES", 12)


def scored(synthetic):
    evidence = replace(Evidence(sessions(20, 1), [], sessions(12, 2), synthetic, [], []), ladder=LADDER)
    return FAMILY.score(evidence)


def test_more_of_the_same_helps_where_there_is_little_and_harms_nowhere():
    scores = scored(sessions(20, 3))
    assert set(scores) == {metric.name for metric in FAMILY.metrics}
    assert scores["augmentation.rung.gain.5"].value > 0.1
    for share in SHARES:
        real, augmented, gain = (
            scores[f"augmentation.rung.{what}.{round(100 * share)}"] for what in ("real", "augmented", "gain")
        )
        assert gain.value == pytest.approx(augmented.value - real.value)
        assert gain.interval[0] - 1e-9 <= gain.value <= gain.interval[1] + 1e-9
        assert gain.value > -0.1
        assert np.mean(list(gain.per_trace.values())) == pytest.approx(gain.value, abs=0.05)


def test_shuffled_labels_harm():
    scores = scored(sessions(20, 3, shuffled=True))
    assert scores["augmentation.rung.gain.100"].value < -0.02


def test_a_share_is_nested_in_a_larger_one_and_has_a_trace_at_least():
    for draw in range(3):
        few, many = draw_traces(40, 0.1, draw), draw_traces(40, 0.5, draw)
        assert set(few) <= set(many)
        assert (len(few), len(many)) == (4, 20)
    assert len(draw_traces(3, 0.05, 0)) == 1
    assert draw_traces(40, 0.1, 0).tolist() != draw_traces(40, 0.1, 1).tolist()


def test_what_cant_be_scored_says_why():
    evidence = Evidence(sessions(4, 1), [], sessions(4, 2), sessions(4, 3), [], [])
    assert {score.reason for score in FAMILY.score(replace(evidence, ladder=())).values()} == {
        "the corpus has no ladder"
    }
    none = FAMILY.score(replace(evidence, ladder=LADDER, synthetic=[]))
    assert all(score.value is None and "synthetic" in score.reason for score in none.values())
