"""Memorisation: copies are flagged, whole, jittered or stitched; unseen real traces aren't."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.copies import RUN, Runs, copied, longest_copy, symbols_of
from benchmark.metrics.memorisation import FAMILY, score
from benchmark.metrics.series import series_of
from benchmark.trace import Trace, join_packets
from tests.benchmark.traffic_making import (
    drawn_packets,
    evidence_of,
    jittered,
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


def test_a_copy_of_training_is_flagged(train, test):
    scores = score(evidence_of(train, test, train))
    assert list(scores) == [metric.name for metric in FAMILY.metrics]
    assert scores["memorisation.flagged"].value == 1
    assert scores["memorisation.copied_share.synthetic"].value == 1
    assert scores["memorisation.copied_share"].value > 0.9
    assert scores["memorisation.nearest_distance"].value == 0
    assert scores["memorisation.longest_copy"].value == max(len(trace.packets) for trace in train)
    assert scores["memorisation.identifiers"].value == 1


def test_unseen_real_traces_are_not_flagged(train, test):
    unseen = streams(8, 300, "unseen")
    scores = score(evidence_of(train, test, unseen))
    assert scores["memorisation.flagged"].value == 0
    assert scores["memorisation.copied_share"].value < 0.05
    assert scores["memorisation.nearest_distance"].value == pytest.approx(1, abs=0.3)
    assert scores["memorisation.identifiers"].value == 0


@pytest.mark.parametrize("change", [drawn_packets, shuffled_packets])
def test_independent_packets_are_not_flagged(train, test, change):
    scores = score(evidence_of(train, test, [change(trace) for trace in train]))
    assert scores["memorisation.flagged"].value == 0
    assert scores["memorisation.copied_share"].value == 0


def test_a_jittered_copy_is_flagged(train, test):
    scores = score(evidence_of(train, test, [jittered(trace, 0.02) for trace in train]))
    assert scores["memorisation.flagged"].value == 1
    assert scores["memorisation.nearest_distance"].value < 0.5


def test_one_copy_among_many_that_are_not_is_flagged(train, test):
    made = [*streams(15, 400, "made"), train[0]]
    scores = score(evidence_of(train, test, made))
    assert scores["memorisation.flagged"].value == 1
    assert scores["memorisation.identifiers"].value == pytest.approx(1 / 16)
    assert scores["memorisation.copied_share"].per_trace[train[0].name] == 1


def test_pieces_of_training_stitched_together_are_flagged(train, test):
    made = []
    for trace in train:
        halves = [other.packets.take(slice(place * 60, place * 60 + 60)) for place, other in enumerate(train)]
        joined = join_packets(halves)
        ts = np.cumsum(np.concatenate([np.diff(part.ts, prepend=part.ts[:1]) for part in halves]))
        made.append(Trace("made" + trace.name, replace(joined, ts=ts), trace.condition, trace.client))
    scores = score(evidence_of(train, test, made))
    assert scores["memorisation.copied_share"].value > 0.3
    assert scores["memorisation.flagged"].value == 1


def test_the_held_out_share_has_an_interval(train, test):
    held_out = score(evidence_of(train, test, train))["memorisation.copied_share.held_out"]
    assert held_out.interval[0] <= held_out.value <= held_out.interval[1]
    assert list(held_out.per_trace) == [trace.name for trace in test]


def test_what_every_real_trace_repeats_is_no_copy():
    """A constant stream repeats training exactly, but so do held-out traces: the excess is nothing."""
    constant = [trace_of(np.full(400, 0.02), np.full(400, 200), [True] * 400, f"c{n}", seed=n) for n in range(9)]
    scores = score(evidence_of(constant[:3], constant[3:6], constant[6:]))
    assert scores["memorisation.copied_share.synthetic"].value == 1
    assert scores["memorisation.copied_share"].value == 0
    assert scores["memorisation.flagged"].value == 0
    assert scores["memorisation.identifiers"].value == 0


@pytest.mark.parametrize("where", [slice(20, 24), slice(24, 32), slice(44, 52)])
def test_each_kind_of_identifier_is_found(train, test, where):
    """The server's own address is in every trace; only what is a training trace's alone counts."""
    stranger = trace_of(np.full(90, 0.05), np.full(90, 300), [True] * 90, "stranger", seed=900)
    assert score(evidence_of(train, test, [stranger]))["memorisation.identifiers"].value == 0
    data = stranger.packets.data.copy().reshape(-1, 52)
    known = train[0].packets.take(train[0].flows.up).data.reshape(-1, 52)
    known = known[known[:, 33] == 0x10][5]
    data[7:, where] = known[where]
    if where.start == 20:
        data[:, where] = known[where]
    leaking = Trace("leak", replace(stranger.packets, data=data.ravel()), stranger.condition, stranger.client)
    assert score(evidence_of(train, test, [leaking]))["memorisation.identifiers"].value == 1


def test_relative_numbers_that_all_real_traces_share_leak_nothing(train):
    def relative(trace):
        data = trace.packets.data.copy().reshape(-1, 52)
        data[:, 20:24], data[:, 24:32], data[:, 44:52] = 7, 1, 1
        return Trace(trace.name, replace(trace.packets, data=data.ravel()), trace.condition, trace.client)

    made = [relative(trace) for trace in train]
    assert score(evidence_of(made[:3], made[3:6], made[6:]))["memorisation.identifiers"].value == 0


SYMBOLS = st.lists(st.integers(0, 2), min_size=0, max_size=25)


@settings(max_examples=60)
@given(st.lists(SYMBOLS, min_size=1, max_size=3), st.lists(SYMBOLS, min_size=1, max_size=3), st.integers(1, 6))
def test_copied_runs_agree_with_looking_them_up(made, training, length):
    runs, known = (
        Runs([np.array(one, np.uint64) * np.uint64(0x9E3779B97F4A7C15) for one in side]) for side in (made, training)
    )

    def windows(one, size):
        return [tuple(one[i : i + size]) for i in range(len(one) - size + 1)]

    def seen(size):
        return {run for one in training for run in windows(one, size)}

    expected = [[run in seen(length) for run in windows(one, length)] for one in made]
    assert [found.tolist() for found in copied(runs, known, length)] == expected
    longest = max(
        (size for size in range(1, 26) for one in made for run in windows(one, size) if run in seen(size)),
        default=0,
    )
    assert longest_copy(runs, known) == longest


def test_symbols_tell_directions_sizes_and_gaps_apart():
    def symbols(gap, size, up):
        return symbols_of(series_of(trace_of([0, gap], [100, size], [True, up])))[1]

    usual = symbols(0.01, 500, True)
    assert symbols(0.0101, 500, True) == usual
    assert len({usual, symbols(0.01, 501, True), symbols(0.01, 500, False), symbols(0.05, 500, True)}) == 4


def test_nothing_to_compare_gives_null_and_the_reason(train, test):
    short = [Trace(t.name, t.packets.take(slice(0, RUN - 1)), t.condition, t.client) for t in train]
    scores = score(evidence_of(train, test, short))
    assert scores["memorisation.copied_share"].value is None
    assert str(RUN) in scores["memorisation.copied_share"].reason
    assert scores["memorisation.identifiers"].value == 1
    assert "train" in score(evidence_of([], test, train))["memorisation.flagged"].reason
    assert "synthetic" in score(evidence_of(train, test, []))["memorisation.flagged"].reason
    assert score(evidence_of(train, test[:1], train))["memorisation.flagged"].value is None
