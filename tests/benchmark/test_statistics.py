"""Distances and statistics against scipy, scikit-learn, closed forms and planted truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance
from sklearn.metrics import roc_auc_score

from benchmark.statistics.distances import (
    area_distance,
    bin_edges,
    cumulative_areas,
    hellinger,
    histogram,
    jensen_shannon,
    shared_grid,
    total_variation,
    wasserstein,
)
from benchmark.statistics.resampling import (
    area_under_curve,
    autocorrelation,
    bootstrap,
    holm,
    paired_difference,
    percentile_interval,
    pseudo_values,
    recentred_interval,
)

BOUNDED = (jensen_shannon, total_variation, hellinger)
COUNTS = arrays(np.int64, 6, elements=st.integers(0, 50))
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
SAMPLES = st.lists(NUMBERS, min_size=1, max_size=40)


@pytest.mark.parametrize("distance", BOUNDED)
def test_identical_shares_are_zero_apart_whatever_their_scale(distance):
    assert distance([1, 2, 7], [10, 20, 70]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("distance", BOUNDED)
def test_disjoint_shares_are_one_apart(distance):
    assert distance([3, 4, 0, 0], [0, 0, 1, 9]) == pytest.approx(1)


@pytest.mark.parametrize("distance", BOUNDED)
def test_one_empty_side_is_far_and_two_are_not(distance):
    assert distance([0, 0], [1, 1]) == 1
    assert distance([0, 0], [0, 0]) == 0


@given(COUNTS, COUNTS)
def test_divergence_is_the_square_of_scipys_root_in_bits(first, second):
    if first.any() and second.any():
        assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, 2) ** 2, abs=1e-9)


@given(COUNTS, COUNTS)
def test_bounded_distances_are_symmetric_and_ordered(first, second):
    for distance in BOUNDED:
        assert distance(first, second) == pytest.approx(distance(second, first), abs=1e-12)
        assert 0 <= distance(first, second) <= 1
    # Le Cam: H^2 <= TV <= sqrt(2) H.
    h, tv = hellinger(first, second), total_variation(first, second)
    assert h**2 - 1e-9 <= tv <= np.sqrt(2) * h + 1e-9


def test_known_divergences():
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(0.311278, abs=1e-6)
    assert total_variation([1, 0], [1, 1]) == pytest.approx(0.5)
    assert hellinger([1, 0], [1, 1]) == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))


def test_distances_run_along_the_last_axis():
    first = np.array([[1, 0], [1, 1]])
    second = np.array([[0, 1], [1, 1]])
    assert jensen_shannon(first, second).tolist() == [1, 0]


def test_out_of_range_values_are_counted():
    edges = bin_edges(np.array([0.0, 10.0]), 5)
    counts = histogram(np.array([-1.0, 0.0, 9.9, 10.0, 10.1, 1e9]), edges)
    assert counts.tolist() == [1, 1, 0, 0, 0, 2, 2]


def test_synthetic_values_beyond_the_real_range_are_as_far_as_can_be():
    real, synthetic = np.random.default_rng(0).random((2, 1000))
    edges = bin_edges(real, 20)
    assert jensen_shannon(histogram(real, edges), histogram(synthetic, edges)) < 0.05
    assert jensen_shannon(histogram(real, edges), histogram(synthetic + 5, edges)) == pytest.approx(1)


def test_a_constant_field_tells_equal_from_other():
    edges = bin_edges(np.full(9, 64), 10)
    same, other = histogram(np.full(5, 64), edges), histogram(np.full(5, 65), edges)
    assert jensen_shannon(histogram(np.full(9, 64), edges), same) == 0
    assert jensen_shannon(histogram(np.full(9, 64), edges), other) == 1


@given(SAMPLES, SAMPLES)
def test_wasserstein_agrees_with_scipy(first, second):
    expected = wasserstein_distance(first, second)
    assert wasserstein(np.array(first), np.array(second)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_wasserstein_grows_with_the_shift_without_a_ceiling():
    values = np.random.default_rng(0).normal(size=500)
    for shift in (0.0, 1.0, 10.0, 1e4):
        assert wasserstein(values, values + shift) == pytest.approx(shift)


def test_wasserstein_to_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        wasserstein(np.zeros(0), np.ones(3))


def test_area_distance_is_exact_on_few_values_and_close_on_many():
    random = np.random.default_rng(1)
    for values in (lambda n: random.integers(0, 1500, n), lambda n: random.lognormal(0, 1, n)):
        first, second = [values(3000), values(500)], [values(4000) * 1.3]
        grid = shared_grid([*first, *second])
        ours = area_distance(*(cumulative_areas(side, grid).sum(axis=0) for side in (first, second)))
        assert ours == pytest.approx(wasserstein(np.concatenate(first), second[0]), rel=0.005)
    assert len(grid) <= 2048


def test_autocorrelation_of_a_known_series():
    series = np.array([1.0, 2.0, 3.0, 4.0])
    assert autocorrelation(series, 3) == pytest.approx([0.25, -0.3, -0.45])


def test_autocorrelation_recovers_a_planted_process():
    random = np.random.default_rng(0)
    noise, series = random.normal(size=50_000), np.zeros(50_000)
    for step in range(1, len(series)):
        series[step] = 0.7 * series[step - 1] + noise[step]
    assert autocorrelation(series, 5) == pytest.approx(0.7 ** np.arange(1, 6), abs=0.03)
    assert autocorrelation(noise, 5) == pytest.approx(np.zeros(5), abs=0.03)


@pytest.mark.parametrize("series", [[], [5.0], [3.3] * 40])
def test_autocorrelation_of_nothing_to_correlate_is_zero(series):
    assert autocorrelation(np.array(series), 4).tolist() == [0, 0, 0, 0]


def test_lags_beyond_the_series_are_zero():
    assert autocorrelation(np.array([1.0, 2.0, 4.0]), 6)[2:].tolist() == [0, 0, 0, 0]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_area_under_curve_agrees_with_scikit_learn(positive, negative):
    labels = [1] * len(positive) + [0] * len(negative)
    expected = roc_auc_score(labels, positive + negative)
    assert area_under_curve(np.array(positive), np.array(negative)) == pytest.approx(expected)


def test_intervals_of_clustered_data_cover_the_truth_at_their_level():
    random = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        clusters = random.normal(size=30)
        replicates = bootstrap(lambda w, c=clusters: float(w @ c / w.sum()), (30,), draws=300, seed=trial)
        low, high = percentile_interval(replicates)
        covered += low <= 0 <= high
    assert 0.87 <= covered / 200 <= 0.99


def test_bootstrap_depends_on_its_seed_alone():
    def first(weights):
        return float(weights[0])

    assert bootstrap(first, (4,), seed=3).tolist() == bootstrap(first, (4,), seed=3).tolist()
    assert bootstrap(first, (4,), seed=3).tolist() != bootstrap(first, (4,), seed=4).tolist()


def test_groups_are_resampled_independently():
    replicates = bootstrap(lambda a, b: float(np.array_equal(a, b)), (8, 8), draws=100)
    assert replicates.mean() < 0.1


def test_recentred_interval_holds_the_estimate_and_its_range():
    low, high = recentred_interval(0.1, np.array([0.3, 0.4, 0.5, 0.6]), low=0.0, high=1.0)
    assert 0 <= low <= 0.1 <= high <= 1
    assert recentred_interval(float("nan"), np.ones(3)) is None
    assert percentile_interval(np.full(3, np.nan)) is None


def test_pseudo_values_of_a_mean_are_the_values():
    values = np.array([3.0, 5.0, 10.0])
    assert pseudo_values(lambda w: float(w @ values / w.sum()), 3) == pytest.approx(values)


def test_a_planted_difference_is_found_and_none_isnt():
    random = np.random.default_rng(2)
    trace = random.normal(0, 3, 20)
    first = trace + random.normal(0, 0.3, (3, 20))
    second = trace + random.normal(0, 0.3, (3, 20))
    found = paired_difference(first + 1.0, second)
    assert found.value == pytest.approx(1, abs=0.2)
    assert found.interval[0] > 0
    assert found.p_value < 0.01
    assert paired_difference(first, second).p_value > 0.05
    assert paired_difference(first, first).p_value == 1


def test_a_difference_of_one_trace_is_not_taken_for_one_of_all():
    """Five hundred agreeing windows of one trace are one cluster, not five hundred witnesses."""
    first = np.zeros((1, 12))
    first[0, 4] = 50.0
    assert paired_difference(first, np.zeros((1, 12))).p_value > 0.05


def test_missing_pairs_are_left_out():
    first = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, np.nan]])
    assert paired_difference(first, np.zeros((2, 3))).value == pytest.approx(7 / 4)
    with pytest.raises(ValueError, match="shape"):
        paired_difference(first, np.zeros((2, 4)))
    with pytest.raises(ValueError, match="finite"):
        paired_difference(np.full(3, np.nan), np.zeros(3))


def test_holm_on_its_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
