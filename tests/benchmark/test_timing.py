"""Timing: real against real is 1; what breaks the course in time and no marginal raises it."""

import numpy as np
import pytest

from benchmark.metrics.series import burst_bytes, series_of, throughput
from benchmark.metrics.timing import FAMILY, score
from benchmark.metrics.timing_parts import GAPS, GIVEN, parts_of
from benchmark.trace import Trace
from tests.benchmark.traffic_making import (
    drawn_packets,
    evidence_of,
    gaps_of,
    jittered,
    rebuilt,
    shuffled_gaps,
    shuffled_packets,
    streams,
    trace_of,
)


@pytest.fixture(scope="module")
def train():
    return streams(8, 100, "train")


@pytest.fixture(scope="module")
def test():
    return streams(8, 200, "test")


@pytest.fixture(scope="module")
def floor(train, test):
    return score(evidence_of(train, test, train))


def test_real_against_real_is_one_in_every_part(floor):
    assert list(floor) == [metric.name for metric in FAMILY.metrics]
    for name, scored in floor.items():
        if name.startswith("timing.distance"):
            assert scored.value == pytest.approx(1), name
    low, high = floor["timing.distance"].interval
    assert low <= 1 <= high


def test_identical_corpora_are_no_distance_apart(test):
    scores = score(evidence_of(test, test, test))
    for name, scored in scores.items():
        assert scored.value == pytest.approx(0, abs=1e-9), name


@pytest.mark.parametrize("change", [shuffled_gaps, shuffled_packets, drawn_packets])
def test_a_broken_course_in_time_is_far(train, test, floor, change):
    scores = score(evidence_of(train, test, [change(trace) for trace in train]))
    assert scores["timing.distance"].value > 2
    assert scores["timing.distance"].interval[0] > floor["timing.distance"].value
    assert scores["timing.distance.gap_autocorrelation"].value > 2


def test_shuffling_leaves_the_marginal_of_gaps_where_it_was(train, test, floor):
    scores = score(evidence_of(train, test, [shuffled_packets(trace) for trace in train]))
    marginal = "timing.gap_wasserstein"
    assert scores[marginal].value == pytest.approx(floor[marginal].value, abs=0.01)


def test_a_little_jitter_hardly_matters(train, test):
    scores = score(evidence_of(train, test, [jittered(trace, 0.05) for trace in train]))
    assert scores["timing.distance"].value == pytest.approx(1, abs=0.3)


def test_a_shift_of_gaps_is_measured_in_decades(train):
    slow = [rebuilt(trace, gaps_of(trace) * 10) for trace in train]
    scores = score(evidence_of(train, train, slow))
    for name in ("", ".up", ".down"):
        assert scores[f"timing.gap_wasserstein{name}"].value == pytest.approx(1, abs=0.01)


def test_level_counts_in_windows_and_shape_in_throughput(train, test):
    idle = [rebuilt(trace, gaps_of(trace) * 3) for trace in train]
    scores = score(evidence_of(train, test, idle))
    assert scores["timing.distance.window_bytes"].value > 1.5
    assert scores["timing.distance.throughput_1s"].value > 1.5


def test_a_conditional_that_synthetic_never_shows_is_as_far_as_can_be(test):
    real = [series_of(trace) for trace in test]
    onesided = [series_of(up_only(trace)) for trace in test]
    part = parts_of(real, real, onesided)["conditional_gap"]
    weights = np.ones(len(real))
    down = part.test.reshape(len(real), 2, -1).sum(axis=(0, 2))[0] / part.test.sum()
    assert part.distance(weights, weights) >= down - 1e-9
    assert part.test.shape == (len(real), GIVEN * GAPS)


def test_gap_given_its_past_is_seen(test):
    """Both sides have the same gaps and sizes; only what follows what differs."""
    random = np.random.default_rng(0)
    short, long = 1e-4, 1e-2
    alternating = [trace_of([short, long] * 400, [100] * 800, [True] * 800, f"a{n}") for n in range(4)]
    drawn = [trace_of(random.permutation([short, long] * 400), [100] * 800, [True] * 800, f"d{n}") for n in range(4)]
    parts = parts_of(*([series_of(t) for t in side] for side in (alternating, alternating, drawn)))
    ones = np.ones(4)
    # Given the past, one side is certain and the other an even chance: 0.3113 bits.
    assert parts["conditional_gap"].distance(ones, ones) == pytest.approx(0.3113, abs=0.01)
    assert parts["gap_autocorrelation"].distance(ones, ones) > 0.5


def test_bursts_and_throughput_of_a_known_trace():
    trace = trace_of([0, 0.01, 0.01, 0.03, 0.5], [100, 200, 300, 400, 500], [True] * 5, duration=2.0)
    series = series_of(trace)
    assert burst_bytes(series).tolist() == [600, 400, 500]
    assert throughput(series, 1.0).tolist() == pytest.approx([1500 * 8e-6, 0])
    assert len(throughput(series, 0.01)) == 200
    assert throughput(series, 0.01)[:6] * 0.01 / 8e-6 == pytest.approx([100, 200, 300, 0, 0, 400])


def test_an_endless_trace_costs_no_more_memory():
    trace = trace_of([0, 1e6], [100, 100], [True, False], duration=1e6)
    assert len(throughput(series_of(trace), 0.01)) == 100_000


def test_per_trace_values_average_to_the_distance(floor, test):
    scored = floor["timing.distance"]
    assert list(scored.per_trace) == [trace.name for trace in test]
    assert np.mean(list(scored.per_trace.values())) == pytest.approx(scored.value)


def test_short_traces_have_scores_and_empty_ones_reasons(train, test):
    short = [Trace(t.name, t.packets.take(slice(0, 2)), t.condition, t.client) for t in train]
    scores = score(evidence_of(train, test, short))
    assert scores["timing.distance"].value > 2
    empty = [Trace(t.name, t.packets.take(slice(0, 0)), t.condition, t.client) for t in train]
    nothing = score(evidence_of(train, test, empty))
    assert {scored.value for scored in nothing.values()} == {None}
    assert "synthetic" in nothing["timing.distance"].reason
    assert "train" in score(evidence_of([], test, train))["timing.distance"].reason


def test_a_missing_direction_is_null_with_its_reason(train, test):
    scores = score(evidence_of(train, test, [up_only(trace) for trace in train]))
    assert scores["timing.gap_wasserstein"].value is None
    assert "down" in scores["timing.gap_wasserstein"].reason
    assert scores["timing.distance"].value > 2


def test_one_trace_a_side_has_no_interval(train):
    scored = score(evidence_of(train[:1], train[1:2], train[2:3]))["timing.distance"]
    assert scored.value > 0
    assert scored.interval is None


def up_only(trace):
    return Trace(trace.name, trace.packets.take(trace.flows.up), trace.condition, trace.client)
