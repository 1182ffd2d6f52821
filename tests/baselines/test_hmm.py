"""Baum and Welch's steps against every path, parameters found again, and what sampling is told."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.hmm import build
from baselines.hmm.asking import LINKS, Asked, Links
from baselines.hmm.baum_welch import expect, normalise_rows
from baselines.hmm.packets import BINS, KINDS, learn_gap_bins, learn_phases, log_gaps
from baselines.hmm.segments import FREEZE, find_segments, units_of
from baselines.hmm.situations import learn_situations
from benchmark.errors import ConfigError
from benchmark.method import Conditioning, Context, Method
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels

MILLISECOND = 1_000_000


def every_path(rows, start, steps):
    """Likelihood, posteriors and expected steps by adding up all paths."""
    count, states = rows.shape
    total, share, moves = 0.0, np.zeros((count, states)), np.zeros((states, states))
    for path in product(range(states), repeat=count):
        weight = start[path[0]] * np.prod([steps[a, b] for a, b in pairwise(path)])
        weight *= np.prod([rows[t, state] for t, state in enumerate(path)])
        total += weight
        for t, state in enumerate(path):
            share[t, state] += weight
        for a, b in pairwise(path):
            moves[a, b] += weight
    return np.log(total), share / total, moves / total


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 3))
def test_expectations_are_those_of_all_paths(seed, count, states):
    random = np.random.default_rng(seed)
    rows = random.random((count, states)) + 1e-3
    start, steps = random.dirichlet(np.ones(states)), random.dirichlet(np.ones(states), states)
    share, moves = np.zeros_like(rows), np.zeros_like(steps)
    likelihood = expect(rows, start, steps, share, moves)
    wanted = every_path(rows, start, steps)
    assert likelihood == pytest.approx(wanted[0])
    np.testing.assert_allclose(share, wanted[1], atol=1e-9)
    np.testing.assert_allclose(moves * steps, wanted[2], atol=1e-9)


def test_long_sequences_neither_underflow_nor_overflow():
    random = np.random.default_rng(0)
    rows = random.random((50_000, 2)) * 1e-12
    share, moves = np.zeros_like(rows), np.zeros((2, 2))
    steps = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert np.isfinite(expect(rows, np.array([0.5, 0.5]), steps, share, moves))
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert (moves * steps).sum() == pytest.approx(49_999)


def run_chain(random, steps, emissions, count):
    state, symbols = 0, np.zeros(count, np.int64)
    for t in range(count):
        symbols[t] = random.choice(emissions.shape[1], p=emissions[state])
        state = random.choice(len(steps), p=steps[state])
    return symbols


def test_known_phases_are_found_again():
    random = np.random.default_rng(1)
    steps = np.array([[0.9, 0.1], [0.3, 0.7]])
    emissions = np.array([[0.8, 0.2, 0.0], [0.0, 0.3, 0.7]])
    sequences = [run_chain(random, steps, emissions, 400) for _ in range(12)]
    contexts = [np.where(sequence == 2, 1, 0) for sequence in sequences]
    model, course = learn_phases(sequences, 3, 2, 40, contexts)
    assert (np.diff(course) > -1e-3).all()
    order = np.argsort(-model.emissions[:, 0])
    np.testing.assert_allclose(model.emissions[order], emissions, atol=0.05)
    np.testing.assert_allclose(model.steps[order][:, order], steps, atol=0.06)


def test_a_hidden_phase_keeps_what_a_chain_of_symbols_forgets():
    # Two packets, then an acknowledgement: after a packet, a chain of symbols can't tell which is next.
    sequence = np.tile([0, 0, 1], 200)
    contexts = np.concatenate([[0], sequence[:-1]]) * 2 + sequence
    _, course = learn_phases([sequence], 2, 3, 60, [contexts])
    assert course[-1] > -0.05
    assert -0.5 * np.log(2) * 4 / 3 < -0.4  # what a chain of symbols can reach


def test_situations_part_what_is_asked_for():
    random = np.random.default_rng(2)
    figures, classes = [], []
    for _ in range(30):
        told = np.repeat(random.integers(0, 2, 8), 5)
        figures.append(np.column_stack([10 + 4 * told, 3 - told]) + 0.2 * random.standard_normal((40, 2)))
        classes.append(told[:, None])
    model, course = learn_situations(figures, classes, [2], 4, 15, random)
    assert (np.diff(course) > -1e-2).all()
    drawn = {}
    for asked in (0, 1):
        states = [model.follow(-1, {0: asked}, random) for _ in range(100)]
        drawn[asked] = np.array([model.emit(state, None, random) for state in states])
    np.testing.assert_allclose(drawn[0].mean(axis=0), [10, 3], atol=0.5)
    np.testing.assert_allclose(drawn[1].mean(axis=0), [14, 2], atol=0.5)


def test_situations_come_back_from_their_arrays():
    random = np.random.default_rng(3)
    figures = [random.standard_normal((20, 2)) for _ in range(4)]
    classes = [random.integers(0, 3, (20, 2)) for _ in range(4)]
    model, _ = learn_situations(figures, classes, [3, 3], 3, 2, random)
    again = type(model).of(model.arrays())
    a, b = (each.emit(1, None, np.random.default_rng(0)) for each in (model, again))
    np.testing.assert_array_equal(a, b)
    assert len(again.channels) == 2


def segments_sketch():
    """Two requests; the second's answer stops for a second in the middle."""
    down = [(5, False, 1448), (10, False, 1448), (15, False, 1448), (20, False, 1448), (25, False, 1448), (26, True, 0)]
    again = [(200, True, 300), *((t + 200, *rest) for t, *rest in down[:3])]
    late = [(t + 1200, *rest) for t, *rest in down[3:]]
    rows = [(0, True, 300), *down, *again, *late]
    ts, up, payload = zip(*rows, strict=True)
    return Sketch("tcp", np.array(ts, np.int64) * MILLISECOND, np.array(up), np.array(payload, np.int32))


def test_segments_are_cut_at_requests_and_their_silence_is_told_apart():
    found = find_segments(segments_sketch())
    assert found.first.tolist() == [0, 7]
    assert found.bytes.tolist() == [5 * 1448, 5 * 1448]
    assert found.latency.tolist() == [5 * MILLISECOND] * 2
    assert found.tail.tolist() == [1, 1]
    assert found.freeze[0] == 0
    assert found.freeze[1] == 1005 * MILLISECOND >= FREEZE
    assert found.rate[0] == pytest.approx(4 * 1448 / 0.020)
    assert found.pause[0] == 174 * MILLISECOND


def test_gaps_down_count_in_packets_at_the_segments_rate():
    sketch = segments_sketch()
    found = find_segments(sketch)
    gap = np.diff(sketch.ts, prepend=0)
    units = units_of(sketch, found)
    logs = log_gaps(sketch.up, gap, units)
    assert logs[2] == pytest.approx(np.log10(5 * MILLISECOND / units[2]))
    assert logs[6] == pytest.approx(6.0)
    kinds = np.where(sketch.up, KINDS // 2, 3)
    bins = learn_gap_bins(kinds, logs)
    symbols = bins.encode(kinds, logs)
    assert (symbols // BINS == kinds).all()
    inside = symbols % BINS
    assert (bins.edges[kinds, inside] <= logs + 1e-9).all()
    assert (logs <= bins.edges[kinds, inside + 1] + 1e-9).all()


def asked_for(rungs, stall, startup):
    count = len(rungs)
    labels = replace(
        Labels.unknown(count), rung=np.array(rungs, np.int8), stall=np.array(stall, np.float32),
        height=np.full(count, 144, np.int16), startup=startup,
    )  # fmt: skip
    return Asked(Condition("a", 10.0 * count, 10.0, labels), ["a"], {"a": [1.0, 2.0, 4.0]}, 0)


def test_a_segment_is_told_of_the_windows_that_it_reaches():
    asked, second = asked_for([1, 4, 2], [5.0, 0.0, 3.0], 2.5), 1000 * MILLISECOND
    assert asked.at(0, second)[:4] == (0, 2, 0, 3)
    assert asked.at(9 * second, 12 * second)[:4] == (0, 5, 0, 5)
    assert asked.at(15 * second, 21 * second)[:4] == (0, 3, 1, 5)
    assert all(value < size for value, size in zip(asked.at(0, 29 * second), asked.values(), strict=True))


def test_links_are_drawn_as_flows_asked_for_alike_had_them():
    links = Links(np.array([[0, 1, 1]] * 20 + [[0, 4, 5]] * 20), np.array([7] * 20 + [1] * 20))
    random = np.random.default_rng(0)
    drawn = [links.draw((0, 1, 1), random) for _ in range(50)]
    assert drawn.count(7) > 45
    assert max(drawn) < LINKS


def test_shares_add_up_to_one_even_of_nothing():
    np.testing.assert_allclose(normalise_rows(np.zeros((2, 4)), 1.0), 0.25)


def test_an_unknown_option_is_named():
    with pytest.raises(ConfigError, match="no option 'depth'"):
        build(Method({"depth": 3}, None, Context(0), Conditioning("none")))
