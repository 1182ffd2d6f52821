"""Paired comparison against scipy, against the bootstrap that it is the limit of, and on planted truths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.statistics.comparison import (
    Spread,
    rank_ranges,
    resolvable_gap,
    spread_of_differences,
    spread_of_means,
)
from benchmark.statistics.resampling import draw_weights, holm

# Standard deviations of seeds, traces, and what is of neither: what dominates differs from method to method.
MIXES = [(1.0, 0.0, 0.01), (0.0, 1.0, 0.3), (0.0, 0.0, 1.0), (0.1, 1.0, 1.0), (0.3, 1.0, 1.0)]


def scores(rng, count, mix, seeds=3, traces=40):
    by_seed, by_trace, rest = (scale * rng.standard_normal((count, *shape)) for scale, shape in
                               zip(mix, ((seeds, 1), (1, traces), (seeds, traces)), strict=True))  # fmt: skip
    return by_seed + by_trace + rest


def p_values(gaps):
    return spread_of_means(gaps).p_values(gaps.mean(axis=(1, 2)))


def test_over_one_seed_it_is_students_paired_test_over_traces():
    first, second = np.random.default_rng(1).standard_normal((2, 1, 12))
    found = spread_of_differences(first[None], second[None])
    wanted = stats.ttest_rel(first[0], second[0])
    assert found.p_values(np.array([[(first - second).mean()]]))[0, 0] == pytest.approx(wanted.pvalue)
    width = found.half_widths()[0, 0]
    assert (first - second).mean() - width == pytest.approx(wanted.confidence_interval(0.95).low)


def test_without_traces_it_is_students_paired_test_over_seeds():
    first, second = np.random.default_rng(2).standard_normal((2, 5, 1))
    found = spread_of_differences(first[None], second[None])
    wanted = stats.ttest_rel(first[:, 0], second[:, 0]).pvalue
    assert found.p_values(np.array([[(first - second).mean()]]))[0, 0] == pytest.approx(wanted)


def test_its_variance_is_that_of_the_bootstrap_over_seeds_and_traces():
    table = scores(np.random.default_rng(3), 1, (0.5, 1.0, 1.0), seeds=60, traces=80)[0]
    draws = 4000
    by_seed, by_trace = draw_weights(60, draws, 1) / 60, draw_weights(80, draws, 2) / 80
    drawn = np.einsum("ds,st,dt->d", by_seed, table, by_trace, optimize=True)
    # With many seeds and traces the factors (n - 1) / n are gone, and 4,000 draws know a variance to 2 %.
    assert spread_of_means(table[None]).variance[0] == pytest.approx(drawn.var(), rel=0.08)


def test_over_one_seed_its_interval_is_scipys_bootstrap():
    table = np.random.default_rng(4).standard_normal((1, 200))
    wanted = stats.bootstrap((table[0],), np.mean, method="percentile", n_resamples=4000, rng=5).confidence_interval
    width = spread_of_means(table[None]).half_widths()[0]
    assert table.mean() - width == pytest.approx(wanted.low, abs=0.02)
    assert table.mean() + width == pytest.approx(wanted.high, abs=0.02)


def test_all_pairs_at_once_are_the_pairs_one_by_one():
    rng = np.random.default_rng(6)
    first, second = scores(rng, 3, MIXES[3]), scores(rng, 4, MIXES[4])
    together = spread_of_differences(first, second)
    for row in range(3):
        for column in range(4):
            alone = spread_of_means(first[row : row + 1] - second[column : column + 1])
            assert together.variance[row, column] == pytest.approx(alone.variance[0])
            assert together.freedom[row, column] == pytest.approx(alone.freedom[0])


@pytest.mark.parametrize("mix", MIXES)
def test_equal_methods_tie_at_least_95_times_in_100(mix):
    trials = 8000
    found = (p_values(scores(np.random.default_rng(7), trials, mix)) < 0.05).mean()
    # Satterthwaite's approximation may cost half a per cent; three standard errors of the simulation are 0.7.
    assert found <= 0.05 + 0.005 + 3 * np.sqrt(0.05 * 0.95 / trials)


def test_percentiles_of_three_seeds_would_call_equal_methods_different():
    # The reason for Student's t here: with seeds that matter, the percentile bootstrap errs in a quarter of cases.
    gaps = scores(np.random.default_rng(8), 400, MIXES[0])
    by_seed, by_trace = draw_weights(3, 1000, 1) / 3, draw_weights(40, 1000, 2) / 40
    drawn = np.einsum("ds,nst,dt->nd", by_seed, gaps, by_trace, optimize=True)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    assert ((low > 0) | (high < 0)).mean() > 0.2
    assert (p_values(gaps) < 0.05).mean() < 0.09


def test_in_a_table_of_equal_methods_all_tie_at_least_95_times_in_100():
    rng, methods, trials = np.random.default_rng(9), 8, 600
    upper = np.triu_indices(methods, 1)
    wrong = 0
    for _ in range(trials):
        table = scores(rng, methods, MIXES[3]) + rng.standard_normal((1, 1, 40))
        means = table.mean(axis=(1, 2))
        found = spread_of_differences(table, table).p_values(means[:, None] - means[None])
        wrong += min(holm(found[upper].tolist())) < 0.05
    assert wrong / trials <= 0.05


def test_a_planted_gap_is_found_and_its_sign_with_it():
    rng = np.random.default_rng(10)
    table = scores(rng, 2, (0.02, 0.2, 0.2)) + np.array([0.0, 0.4])[:, None, None]
    means = table.mean(axis=(1, 2))
    found = spread_of_differences(table, table).p_values(means[:, None] - means[None])
    assert found[0, 1] < 0.001
    assert found[0, 1] == found[1, 0]


@pytest.mark.parametrize("mix", [MIXES[0], MIXES[1], (0.2, 1.0, 0.5)])
def test_the_smallest_resolvable_gap_is_found_four_times_in_five(mix):
    rng = np.random.default_rng(11)
    many = scores(rng, 6000, mix, seeds=5)
    spread = spread_of_means(many)
    # What the design's own mean variance says can be found, planted into as many tables.
    gap = resolvable_gap(float(spread.variance.mean()), float(np.median(spread.freedom)))
    found = (p_values(many + gap) < 0.05).mean()
    assert 0.74 < found < 0.88


def test_the_smallest_resolvable_gap_agrees_with_scipys_noncentral_t():
    for freedom in (2.0, 4.7, 78.0):
        gap = resolvable_gap(1.0, freedom)
        assert stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, gap) == pytest.approx(0.8, abs=1e-3)


def test_what_never_varies_is_equal_or_apart_for_sure():
    same, other = np.ones((1, 3, 4)), np.zeros((1, 3, 4))
    assert spread_of_differences(same, same).p_values(np.zeros((1, 1)))[0, 0] == 1
    assert spread_of_differences(same, other).p_values(np.ones((1, 1)))[0, 0] == 0
    assert resolvable_gap(0.0, 6.0) == 0


def test_one_seed_and_one_trace_say_nothing():
    spread = spread_of_means(np.ones((1, 1, 1)))
    assert np.isnan(spread.variance[0])
    assert np.isnan(spread.half_widths()[0])
    assert spread.p_values(np.array([5.0]))[0] == 1
    assert np.isnan(resolvable_gap(float("nan"), float("nan")))


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(0, 2**32 - 1))
def test_what_is_added_to_every_score_changes_nothing(shift, seed):
    table = scores(np.random.default_rng(seed), 1, MIXES[4], traces=6)
    plain, moved = spread_of_means(table), spread_of_means(table + shift)
    assert moved.variance[0] == pytest.approx(plain.variance[0], rel=1e-6)


def test_ranks_are_ranges_and_ties_share_them():
    better = np.zeros((4, 4), bool)
    better[0, 2:] = better[1, 3] = True  # the first beats the last two, the second the last alone
    assert rank_ranges(better) == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert rank_ranges(np.zeros((3, 3), bool)) == [(1, 3)] * 3


def test_holm_by_hand():
    # 4 × 0.01, 3 × 0.02 = 0.06, then 2 × 0.025 = 0.05 which may not fall below 0.06, then 0.9.
    assert holm([0.02, 0.01, 0.9, 0.025]) == pytest.approx([0.06, 0.04, 0.9, 0.06])


def test_a_spread_with_more_freedom_is_narrower():
    few, many = (Spread(np.array([1.0]), np.array([freedom])).half_widths()[0] for freedom in (2.0, 200.0))
    assert few == pytest.approx(4.3027, abs=1e-3)
    assert many == pytest.approx(stats.t.ppf(0.975, 200))
