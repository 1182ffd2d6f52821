"""Downstream scores: known answers, negative controls, and what happens where there is too little."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.metric import Evidence
from benchmark.metrics import judge
from benchmark.metrics.downstream import FAMILY
from benchmark.quality.task import TASKS, Examples
from benchmark.trace import Condition, Labels, Trace
from tests.benchmark.packet_making import packets_from
from tests.benchmark.test_features import packet

LADDER = (144, 240, 360, 480, 720, 1080)
WINDOWS = 5


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(judge, "TREES", 12)


def session(name, seed, asked=None):
    """A trace of three segments a window, whose size tells the rung; ``asked`` replaces the rungs in the
    labels."""
    random = np.random.default_rng(seed)
    rungs = random.integers(0, 6, WINDOWS)
    built, ts = [], []
    for window, rung in enumerate(rungs):
        for k in range(3):
            at = window * 10_000_000_000 + k * 3_000_000_000
            built.append(packet(payload=100))
            ts.append(at)
            size = int(3_000 * 2**rung * random.uniform(0.8, 1.25))
            for part in range(4):
                built.append(packet(up=False, payload=min(60_000, size // 4)))
                ts.append(at + 30_000_000 + part * 1_000_000)
    packets = packets_from([data for data, _ in built], [size for _, size in built], ts)
    told = rungs if asked is None else asked
    labels = Labels(
        told.astype(np.int8),
        np.array(LADDER, np.int16)[told],
        np.full(WINDOWS, np.nan, np.float32),
        np.full(WINDOWS, np.nan, np.float32),
        (1e5 * 2.0**told).astype(np.float32),
        float(rungs[0]),
    )
    return Trace(name, packets, Condition("made", 10.0 * WINDOWS, 10.0, labels), "10.0.0.2/32")


def sessions(count, seed, shuffled=False):
    random = np.random.default_rng(seed)
    return [
        session(f"{seed}-{k}", 1000 * seed + k, random.integers(0, 6, WINDOWS) if shuffled else None)
        for k in range(count)
    ]


REAL = Evidence(sessions(16, 1), sessions(6, 2), sessions(14, 3), [], [], [], ladder=LADDER)


def scored(synthetic, independent=(), evidence=REAL, **more):
    return FAMILY.score(replace(evidence, synthetic=synthetic, independent=independent, **more))


def value(scores, name):
    score = scores[f"downstream.{name}"]
    assert score.value is not None, score.reason
    return score.value


@pytest.fixture(scope="module")
def copied():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "TREES", 12)
        return scored(REAL.train, sessions(16, 5, shuffled=True))


def test_every_metric_has_a_score_or_a_reason(copied):
    assert set(copied) == {metric.name for metric in FAMILY.metrics}
    for score in copied.values():
        assert (score.value is None) == bool(score.reason)
    record = [metric.name for metric in FAMILY.metrics if metric.of_record]
    assert "downstream.rung.skill_kept" in record
    for metric in FAMILY.metrics:
        found = copied[metric.name].value
        assert found is None or metric.low <= found <= metric.high


def test_the_training_traces_as_synthetic_keep_all_skill(copied):
    for task in ("rung", "rung6", "height", "bitrate"):
        assert value(copied, f"{task}.skill_kept") == 1
        assert value(copied, f"{task}.skill_over_independent") == 1
        assert value(copied, f"{task}.trtr") == value(copied, f"{task}.tstr")
    assert value(copied, "rung.trtr") > 0.8
    assert copied["downstream.rung.skill_kept"].interval == (1, 1)
    assert value(copied, "adherence") > 0.8
    assert copied["downstream.fps.trtr"].value is None
    assert "label" in copied["downstream.fps.trtr"].reason


def test_other_traces_of_the_same_kind_keep_about_all_skill():
    scores = scored(sessions(16, 7))
    assert 0.8 < value(scores, "rung.skill_kept") < 1.2
    assert scores["downstream.rung.skill_over_independent"].reason == "no traces of the independent reference"
    low, high = scores["downstream.rung.skill_kept"].interval
    assert low <= value(scores, "rung.skill_kept") <= high


def test_labels_that_say_nothing_keep_no_skill():
    noise = sessions(16, 8, shuffled=True)
    scores = scored(noise, noise)
    assert value(scores, "rung.skill_kept") < 0.35
    assert value(scores, "rung.skill_over_independent") == 0
    assert value(scores, "adherence") < 0.65
    assert value(scores, "rung.tsts") < 0.65


def test_shuffled_labels_of_real_traces_are_not_learnable():
    evidence = replace(REAL, train=sessions(16, 9, shuffled=True), test=sessions(14, 10, shuffled=True))
    scores = scored(REAL.train, evidence=evidence)
    assert scores["downstream.rung.skill_kept"].value is None
    assert "not learnable" in scores["downstream.rung.skill_kept"].reason
    assert value(scores, "rung.trtr") < 0.7


def test_each_test_trace_has_its_own_accuracy(copied):
    score = copied["downstream.rung.tstr"]
    assert set(score.per_trace) == {trace.name for trace in REAL.test}
    assert np.isclose(np.mean(list(score.per_trace.values())), score.value)
    startup = copied["downstream.startup.tstr"]
    assert np.isclose(np.mean(list(startup.per_trace.values())), startup.value)


def test_a_seed_gives_the_same_scores(copied):
    again = scored(REAL.train, sessions(16, 5, shuffled=True))
    assert again == copied


def test_too_little_is_null_with_the_reason():
    nothing = scored([])
    assert value(nothing, "rung.trtr") > 0.8
    assert nothing["downstream.rung.tstr"].reason.startswith("0 synthetic traces")
    assert nothing["downstream.rung.skill_kept"].value is None
    assert nothing["downstream.adherence"].value is None
    one = scored(sessions(1, 7), evidence=replace(REAL, test=REAL.test[:1]))
    assert all(score.value is None for name, score in one.items() if name != "downstream.adherence")
    blank = [replace(t, condition=replace(t.condition, labels=Labels.unknown(WINDOWS))) for t in REAL.train]
    unlabelled = scored(REAL.train, evidence=replace(REAL, train=blank))
    assert unlabelled["downstream.rung.trtr"].reason.startswith("0 train traces")
    alike = [session(f"same-{k}", k, np.full(WINDOWS, 2)) for k in range(4)]
    single = scored(alike, evidence=replace(REAL, train=alike))
    assert single["downstream.rung.trtr"].reason == "the training traces have one class only"
    assert value(single, "rung.tstr") < 0.8


def stalling(trace, shuffled=None):
    """The trace, stalled where the window's rung is the lowest, or where ``shuffled`` (a generator) says."""
    stalled = (trace.labels.rung == 0) if shuffled is None else shuffled.random(WINDOWS) < 1 / 6
    labels = replace(trace.labels, stall=np.where(stalled, 4, 0.2).astype(np.float32))
    return replace(trace, condition=replace(trace.condition, labels=labels))


def test_stalls_are_scored_by_classes_that_count_alike():
    train, test = (list(map(stalling, sessions(count, seed))) for count, seed in ((30, 11), (24, 12)))
    copied = scored(train, evidence=replace(REAL, train=train, test=test))
    assert value(copied, "stall.skill_kept") == 1
    assert value(copied, "stall.trtr") > 0.85
    low, high = copied["downstream.stall.trtr"].interval
    assert 0.5 < low <= value(copied, "stall.trtr") <= high <= 1
    per_trace = copied["downstream.stall.trtr"].per_trace
    assert np.isclose(np.mean(list(per_trace.values())), value(copied, "stall.trtr"))
    described = {metric.name: metric.meaning for metric in FAMILY.metrics}
    assert "balanced accuracy" in described["downstream.stall.trtr"]
    assert "balanced" not in described["downstream.rung.trtr"]
    # Labels that say nothing: the constant answer's plain accuracy is 5/6, but its balanced one, and theirs, a half.
    random = np.random.default_rng(13)
    noise = [stalling(trace, random) for trace in sessions(30, 14)]
    scores = scored(noise, evidence=replace(REAL, train=train, test=test))
    assert 0.3 < value(scores, "stall.tstr") < 0.7
    assert value(scores, "stall.skill_kept") < 0.5


def test_a_balanced_loss_is_the_mean_over_classes():
    task = TASKS["stall"]
    labels, trace = np.array([0, 0, 0, 1, 0, 1.0]), np.array([0, 0, 0, 0, 1, 1])
    examples = Examples(np.zeros((6, 1), np.int64), labels, trace, np.arange(6))
    wrong = np.array([1, 0, 0, 1, 0, 0.0])
    sums = judge.sum_by_trace(task, {"loss": wrong, "never": labels}, examples, ["a", "b"])
    found = sums.means(np.array([[1, 1], [0, 1], [2, 1]], float))
    # One of four zeros is wrong and one of two ones; the second trace has none wrong; the first twice: 2/7 and 2/3.
    assert np.allclose(found["loss"], [(1 / 4 + 1 / 2) / 2, 0, (2 / 7 + 2 / 3) / 2])
    assert np.allclose(found["never"], 0.5)
    plain = judge.sum_by_trace(TASKS["rung"], {"loss": wrong}, examples, ["a", "b"])
    assert np.allclose(plain.means(np.ones(2))["loss"], 2 / 6)


def test_a_side_that_never_stalls_has_no_balanced_score():
    train = list(map(stalling, sessions(8, 15)))
    calm = [
        replace(t, condition=replace(t.condition, labels=replace(t.labels, stall=0 * t.labels.bitrate))) for t in train
    ]
    scores = scored(train, evidence=replace(REAL, train=train, test=calm))
    assert scores["downstream.stall.trtr"].reason == "the test traces have one class only"
    scores = scored(calm, evidence=replace(REAL, train=calm, test=train))
    assert scores["downstream.stall.trtr"].reason == "the training traces have one class only"
    assert scores["downstream.stall.skill_kept"].value is None


def test_a_corpus_may_leave_tasks_out():
    scores = scored(REAL.train[:4], evidence=replace(REAL, ladder=(), unscored={"height": "no player"}))
    assert scores["downstream.height.skill_kept"].reason == "no player"
    assert scores["downstream.rung6.trtr"].reason == "the corpus has no ladder"
    assert scores["downstream.adherence"].value is None
    assert value(scores, "bitrate.trtr") > 0


def test_traces_without_packets_are_windows_of_zeros():
    empty = [replace(trace, packets=trace.packets.take(slice(0, 0))) for trace in REAL.train]
    scores = scored(empty)
    assert value(scores, "rung.skill_kept") < 0.2
