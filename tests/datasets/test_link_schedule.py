"""The emulated link's arithmetic, on cases worked out by hand."""

import math
import os
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from link import LinkReport, namespaces
from link.relay import Lateness
from link.schedule import QUEUE_FLOOR, Direction, Rate


def test_a_packet_takes_its_size_over_the_rate():
    assert Rate([(0, 1)]).finish(2.0, 1250) == pytest.approx(2.01)


def test_a_packet_that_straddles_a_step_leaves_at_both_rates():
    # 2500 bytes at 1 Mbit/s from 0.99 s: half by 1.0 s, the other half at 2 Mbit/s in 5 ms.
    assert Rate([(0, 1), (1, 2)]).finish(0.99, 2500) == pytest.approx(1.005)


def test_an_outage_holds_a_packet_and_its_buffer():
    rate = Rate([(0, 1), (1, 0), (3, 1)])
    assert rate.nominal(2.0) == 125_000
    assert rate.finish(1.5, 1250) == pytest.approx(3.01)
    assert Rate([(0, 1), (1, 0)]).finish(2.0, 1) == math.inf
    assert Rate([(0, 0), (1, 4)]).nominal(0.5) == 500_000


@pytest.mark.parametrize(
    "steps", [[], [(1, 5)], [(0, 5), (0, 6)], [(0, 5), (2, 1), (1, 1)], [(0, -1)], [(0, math.inf)]]
)
def test_steps_that_arent_steps_are_refused(steps):
    with pytest.raises(ValueError, match="rate's steps"):
        Rate(steps)


def direction(steps=((0, 1),), delay=0.0, queue=1000.0, loss=0.0, seed=0):
    return Direction(steps, delay, queue, loss, seed)


def test_packets_queue_one_behind_the_other_and_then_travel():
    way = direction(delay=30.0)
    assert [way.accept(0.0, 1250) for _ in range(3)] == pytest.approx([0.04, 0.05, 0.06])
    assert way.accept(1.0, 1250) == pytest.approx(1.04)
    assert (way.packets, way.bytes) == (4, 5000)


def test_the_queue_holds_its_time_at_the_rate_of_the_moment():
    # 400 ms: 50 000 bytes at 1 Mbit/s, 25 000 at half of it.
    way = direction(queue=400.0)
    assert sum(way.accept(0.0, 1000) is not None for _ in range(60)) == 50
    way = direction([(0, 1), (1, 0.5)], queue=400.0)
    assert sum(way.accept(1.0, 1000) is not None for _ in range(60)) == 25
    assert way.dropped_queue == 35
    # As 20 of them leave, there is room for 20 more.
    assert sum(way.accept(1.0 + 0.325, 1000) is not None for _ in range(60)) == 20


def test_the_queue_never_holds_less_than_its_floor():
    way = direction([(0, 0.25)], queue=10.0)
    assert sum(way.accept(0.0, 1500) is not None for _ in range(50)) == QUEUE_FLOOR // 1500


def test_loss_is_random_and_seeded():
    ways = [direction([(0, 1000)], loss=0.1, seed=seed) for seed in (1, 1, 2)]
    fates = [[way.accept(index / 1000, 100) is None for index in range(10_000)] for way in ways]
    assert fates[0] == fates[1] != fates[2]
    assert sum(fates[0]) == ways[0].dropped_loss == pytest.approx(1000, abs=120)


packets = st.lists(st.tuples(st.floats(0, 0.5), st.integers(20, 1500)), min_size=1, max_size=60)
steps = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 12)), max_size=5)


@given(packets=packets, steps=steps, first=st.floats(0.25, 12))
def test_no_order_is_broken_and_no_rate_exceeded(packets, steps, first):
    times = np.cumsum([0.0, *(length for length, _ in steps)])
    rates = np.array([first, *(rate for _, rate in steps)])
    way = direction(list(zip(times.tolist(), rates.tolist(), strict=True)), delay=7.0, queue=1e6)

    def carried(start, end):
        edges = np.append(times, np.inf)
        lengths = np.clip(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
        return float(np.sum(lengths * rates)) * 125_000

    arrival, last = 0.0, 0.0
    for gap, size in packets:
        arrival += gap
        due = way.accept(arrival, size)
        left = due - 0.007
        assert left >= last
        if left < math.inf:
            assert carried(max(arrival, last), left) == pytest.approx(size, rel=1e-6, abs=1e-3)
        last = left


def test_lateness_is_summed_up():
    lateness = Lateness()
    for milliseconds in [0.01] * 98 + [6.0, 300.0]:
        lateness.add(milliseconds / 1000)
    summary = lateness.summary()
    assert summary["lateness_mean_ms"] == pytest.approx((0.98 + 306) / 100)
    assert summary["lateness_p99_ms"] == pytest.approx(6.05, abs=0.051)
    assert summary["lateness_max_ms"] == pytest.approx(300)
    assert summary["late_share"] == pytest.approx(0.02)
    assert Lateness().summary() == dict.fromkeys(summary, 0.0)


def test_a_report_leaves_out_what_its_backend_cant_tell():
    assert "late_share" not in LinkReport("netem").as_dict()
    assert LinkReport("relay", late_share=0.0).as_dict()["late_share"] == 0.0


def test_only_lanes_of_dead_processes_are_left_over(tmp_path, monkeypatch):
    monkeypatch.setattr(namespaces, "FOLDER", tmp_path)
    pid, start = os.getpid(), namespaces.started(os.getpid())
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = [f"{namespaces.lane_name(3)}-client", "other", f"tb-{pid}-{start}-1", "tb-notes-1-client"]
    gone = [f"tb-{dead.pid}-77-0-client", f"tb-{dead.pid}-77-0-server", f"tb-{pid}-{start - 1}-2-server"]
    for name in kept + gone:
        (tmp_path / name).touch()
    assert namespaces.left_over() == sorted([f"tb-{dead.pid}-77-0", f"tb-{pid}-{start - 1}-2"])
