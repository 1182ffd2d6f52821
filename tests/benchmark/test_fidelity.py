"""Fidelity: identical, shifted, disjoint and out-of-range corpora, and controls that must show."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from benchmark.metrics.fidelity import FAMILY, score, wasserstein_score
from benchmark.metrics.series import WINDOW_FEATURES, series_of, window_features
from benchmark.metrics.two_sample import held_out_areas, neighbourhood
from benchmark.trace import Trace
from tests.benchmark.traffic_making import (
    drawn_packets,
    evidence_of,
    gaps_of,
    rebuilt,
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
def pair(test):
    """Two traces: enough for marginals, too few for the classifier, which is most of the time."""
    return test[:2]


@pytest.fixture(scope="module")
def floor(train, test):
    return score(evidence_of(train, test, train))


@pytest.fixture(scope="module")
def shuffled(train, test):
    return score(evidence_of(train, test, [shuffled_packets(trace) for trace in train]))


def test_every_metric_is_scored_within_its_range(floor):
    assert list(floor) == [metric.name for metric in FAMILY.metrics]
    for metric in FAMILY.metrics:
        scored = floor[metric.name]
        assert scored.value is not None, scored.reason
        assert metric.low <= scored.value <= metric.high
        if scored.interval:
            assert metric.low <= scored.interval[0] <= scored.interval[1] <= metric.high


def test_identical_corpora_are_no_distance_apart(test):
    scores = score(evidence_of(test, test, test))
    for name, scored in scores.items():
        if name.startswith("fidelity.jsd") or "wasserstein" in name or name.endswith(("tvd", "hellinger")):
            assert scored.value == pytest.approx(0, abs=1e-9), name
    assert scores["fidelity.c2st"].value <= 0.65
    assert scores["fidelity.coverage"].value == 1


def test_real_traces_of_another_split_look_real(floor):
    assert floor["fidelity.c2st"].value < 0.7
    assert floor["fidelity.jsd"].value < 0.02
    assert 0.5 < floor["fidelity.density"].value < 1.6
    assert floor["fidelity.coverage"].value > 0.8


def test_order_alone_shows_to_the_classifier_and_not_to_the_marginals(shuffled, floor):
    assert shuffled["fidelity.c2st"].value > 0.95
    assert shuffled["fidelity.c2st"].interval[0] > floor["fidelity.c2st"].value
    assert shuffled["fidelity.coverage"].value < 0.3
    assert shuffled["fidelity.jsd"].value == pytest.approx(floor["fidelity.jsd"].value, abs=0.002)


def test_independent_packets_show(train, test):
    assert score(evidence_of(train, test, [drawn_packets(t) for t in train]))["fidelity.c2st"].value > 0.95


def test_shifted_sizes_are_measured_in_bytes(pair):
    grown = [with_sizes(trace, trace.packets.length + 700) for trace in pair]
    scores = score(evidence_of(pair, pair, grown))
    assert scores["fidelity.size_wasserstein"].value == pytest.approx(700)
    assert scores["fidelity.jsd.length"].value > 0.9
    assert scores["fidelity.jsd.gap"].value == pytest.approx(0, abs=1e-9)


def test_values_out_of_the_real_range_count_in_full(pair):
    huge = [with_sizes(trace, np.full(len(trace.packets), 40_000)) for trace in pair]
    scores = score(evidence_of(pair, pair, huge))
    assert scores["fidelity.jsd.length"].value == pytest.approx(1)
    assert scores["fidelity.size_wasserstein"].value > 38_000


def test_names_never_seen_in_real_traffic_are_as_far_as_can_be(pair):
    other = [with_ttl(trace, 200) for trace in pair]
    scores = score(evidence_of(pair, pair, other))
    assert scores["fidelity.jsd.ttl"].value == 1
    assert scores["fidelity.jsd.flags"].value == 0
    # 64 and 200 differ in three of eight bits, and nothing else differs: 3 of 1088 columns.
    assert scores["fidelity.tvd"].value == pytest.approx(2 / 1088, abs=1.1 / 1088)


def test_a_protocol_that_one_side_lacks_is_as_far_as_can_be(pair):
    datagrams = [trace_of(gaps_of(t) / 1e9, t.packets.length, t.flows.up, t.name, protocol=17) for t in pair]
    scores = score(evidence_of(pair, pair, datagrams))
    for field in ("protocol", "flags", "window"):
        assert scores[f"fidelity.jsd.{field}"].value == 1
    only = score(evidence_of(datagrams, datagrams, datagrams))
    assert only["fidelity.jsd.flags"].value is None
    assert only["fidelity.jsd"].value == pytest.approx(0, abs=1e-9)


def test_addresses_and_ports_are_no_clue_to_the_classifier(test):
    series = series_of(test[0])
    data = test[0].packets.data.copy().reshape(-1, 52)
    data[:, 12:24] ^= 0x55
    moved = Trace("moved", replace(test[0].packets, data=data.ravel()), test[0].condition)
    moved_series = replace(series_of(moved), up=series.up)
    assert np.array_equal(window_features(series), window_features(moved_series))


def test_window_features_leave_out_the_last_partial_second():
    trace = trace_of(np.full(25, 0.1), np.full(25, 100), [True, False] * 12 + [True])
    table = window_features(series_of(trace))
    assert table.shape == (2, len(WINDOW_FEATURES))
    named = dict(zip(WINDOW_FEATURES, table[1], strict=True))
    assert named["packets_up"] == pytest.approx(np.log10(1 + 5))
    assert named["bytes_down"] == pytest.approx(np.log10(1 + 500))
    assert named["turns"] == 1
    assert named["bursts"] == 10
    assert named["gap_middle"] == pytest.approx(-1, abs=1e-4)
    assert named["bytes_before"] == pytest.approx(np.log10(1 + 1000))


def test_wasserstein_agrees_with_scipy_on_uneven_traces():
    random = np.random.default_rng(0)
    real = [random.exponential(1.0, count) for count in (10, 500, 40)]
    synthetic = [random.exponential(1.5, count) for count in (300, 20)]
    expected = wasserstein_distance(np.concatenate(real), np.concatenate(synthetic))
    assert wasserstein_score(real, synthetic, 0).value == pytest.approx(expected, rel=0.005)


def test_density_and_coverage_on_planted_clouds():
    random = np.random.default_rng(0)
    real = [random.normal(size=(40, 3)) for _ in range(10)]
    same = neighbourhood(real, [random.normal(size=(40, 3)) for _ in range(10)])
    collapsed = neighbourhood(real, [random.normal(scale=0.05, size=(40, 3)) for _ in range(10)])
    far = neighbourhood(real, [random.normal(size=(40, 3)) + 20 for _ in range(10)])
    ones = np.ones(10)
    assert same.density(ones, ones) == pytest.approx(1, abs=0.15)
    assert same.coverage(ones) > 0.95
    assert collapsed.coverage(ones) < 0.5
    assert far.density(ones, ones) == far.coverage(ones) == 0


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_traces_give_null_and_the_reason(train, count):
    scores = score(evidence_of(train, train[:count], train))
    assert scores["fidelity.c2st"].value is None
    assert f"has {count}" in scores["fidelity.c2st"].reason
    assert scores["fidelity.jsd"].value is not None


def test_no_packets_give_null_and_the_reason(train):
    empty = rebuilt(train[0], gaps_of(train[0]))
    nothing = Trace("empty", empty.packets.take(slice(0, 0)), empty.condition)
    for scores in (score(evidence_of(train, train, [nothing])), score(evidence_of(train, train, []))):
        assert {scored.value for scored in scores.values()} == {None}
        assert "synthetic" in scores["fidelity.c2st"].reason
    mixed = score(evidence_of(train, train[:2], [*train[:2], nothing]))
    assert mixed["fidelity.size_wasserstein"].value == pytest.approx(0)


@pytest.mark.parametrize("seed", [0, 1 << 30, (1 << 32) - 1])
def test_any_seed_will_do(seed):
    tables = [np.random.default_rng(k).normal(size=(6, 2)) for k in range(8)]
    areas = held_out_areas(tables[:4], tables[4:], ["a"] * 4, ["a"] * 4, seed)
    assert 0 <= areas.value(np.ones(4), np.ones(4)) <= 1


def test_scores_depend_on_the_seed_alone(train, test):
    first, again = (score(evidence_of(train[:3], test[:3], train[:3], seed=3)) for _ in range(2))
    assert {name: scored.value for name, scored in first.items()} == {
        name: scored.value for name, scored in again.items()
    }


def with_sizes(trace, sizes):
    packets = replace(trace.packets, length=np.asarray(sizes, np.int32))
    return Trace(trace.name, packets, trace.condition, trace.client)


def with_ttl(trace, ttl):
    data = trace.packets.data.copy().reshape(-1, 52)
    data[:, 8] = ttl
    return Trace(trace.name, replace(trace.packets, data=data.ravel()), trace.condition, trace.client)
