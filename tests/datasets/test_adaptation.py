"""How the light player chooses rungs, on cases worked out by hand."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptation import Occupancy, Throughput, first_estimate, highest_within, make_adaptation

BITS = (1e6, 2e6, 3e6, 5e6)


def test_throughput_is_a_harmonic_mean_of_the_last_samples():
    rule = Throughput(BITS, estimate=1e7, safety=0.8, memory=2)
    assert rule.choose(0.0) == 3
    for sample in (9e9, 2e6, 6e6):
        rule.measured(sample)
    assert rule.estimate() == pytest.approx(2 / (1 / 2e6 + 1 / 6e6))
    assert rule.choose(100.0) == 1  # 0.8 of 3 Mbit/s
    rule.measured(0.0)
    assert rule.estimate() == pytest.approx(3e6)


def test_occupancy_follows_the_paper_once_it_started():
    rule = Occupancy(BITS, estimate=0.0, room=40.0, segment=4.0)  # the map runs from 15 s (1 Mbit/s) to 36 s (5 Mbit/s)
    rule.measured(1e9)
    assert rule.choose(0.0) == 0
    assert rule.choose(15.0) == 0
    assert rule.choose(20.2) == 0  # 1.99 Mbit/s: not yet the next rung
    assert rule.choose(20.3) == 1
    assert rule.choose(30.8) == 2  # 4.01 Mbit/s
    assert rule.choose(21.0) == 2  # 2.14 Mbit/s: not yet down to the rung before
    assert rule.choose(20.2) == 1  # 1.99 Mbit/s: the lowest rung of at least that
    assert rule.choose(36.0) == 3
    assert rule.choose(14.0) == 0


def test_occupancy_holds_its_first_rung_while_the_buffer_rises():
    rule = Occupancy(BITS, estimate=5e6, room=40.0, segment=4.0)
    assert [rule.choose(level) for level in (0.0, 4.0, 8.0, 12.0)] == [2, 2, 2, 2]
    assert rule.choose(11.0) == 0
    assert rule.choose(14.0) == 0
    stuck = Occupancy(BITS, estimate=5e6, room=40.0, segment=4.0)
    assert [stuck.choose(level) for level in (0.0, 4.0, 4.0)] == [2, 2, 0]


def test_occupancy_takes_no_segment_that_would_empty_the_buffer():
    rule = Occupancy(BITS, estimate=1e6, room=8.0, segment=4.0)
    rule.measured(1e6)
    assert rule.choose(8.0) == 0  # at 0.7 Mbit/s, 8 s bring 5.6 Mbit, less than a segment of the rung above
    fast = Occupancy(BITS, estimate=1e6, room=8.0, segment=4.0)
    fast.measured(2.2e6)
    assert fast.choose(8.0) == 2  # 12.3 Mbit


def test_adaptations_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match="no adaptation 'magic'"):
        make_adaptation("magic", BITS, 1e6, 8.0, 4.0)
    with pytest.raises(ValueError, match="ascend"):
        make_adaptation("rate", (2e6, 1e6), 1e6, 8.0, 4.0)
    with pytest.raises(ValueError, match="no room"):
        make_adaptation("buffer", BITS, 1e6, 0.0, 4.0)


@given(st.lists(st.floats(1e3, 1e8), min_size=1, max_size=8), st.floats(1, 1e8))
def test_throughput_never_exceeds_its_safe_share(samples, estimate):
    rule = Throughput(BITS, estimate)
    for sample in samples:
        rule.measured(sample)
    rung = rule.choose(0.0)
    assert rung == 0 or BITS[rung] <= 0.8 * max(samples)
    assert highest_within(BITS, 0.0) == 0


def test_first_estimate_is_the_links_mean_mistaken_without_bias():
    steps = ((0.0, 2.0), (30.0, 4.0), (60.0, 99.0))
    estimates = [first_estimate(steps, 60.0, seed) for seed in range(400)]
    assert statistics.median(estimates) == pytest.approx(3e6, rel=0.15)
    assert statistics.stdev(map(math.log, estimates)) == pytest.approx(0.5, rel=0.15)
    assert first_estimate(steps, 60.0, 3) == estimates[3]
