"""The joint tokenization: one symbol a packet, and what a writer makes of symbols."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.parts.learnt_symbols import learn_symbols
from baselines.tokenizations.joint import END, FIRST_SYMBOL, Joint, build
from benchmark.method import StatefulTokenization, Tokenization
from benchmark.synthesis.sketch import sketch_of
from tests.baselines.made_traces import make_corpus, make_trace

packets = st.lists(
    st.tuples(st.booleans(), st.integers(0, 1500), st.integers(1_000, 10**11 - 1)), min_size=1, max_size=300
)


@pytest.fixture(scope="module")
def fitted() -> Joint:
    tokenization = build({"gap_bins": 24})
    tokenization.fit(make_corpus(6, ("player", "browser", "call")).train, 0)
    return tokenization


@settings(max_examples=50, deadline=None)
@given(packets, packets, st.integers(0, 2**32))
def test_symbols_bound_what_they_lose(
    learnt: list[tuple[bool, int, int]], coded: list[tuple[bool, int, int]], seed: int
) -> None:
    up, payload, gap = (np.array(column) for column in zip(*learnt, strict=True))
    symbols = learn_symbols(up, payload, gap)
    up, payload, gap = (np.array(column) for column in zip(*coded, strict=True))
    numbers = symbols.encode(up, payload, gap)
    assert ((numbers >= 0) & (numbers < len(symbols))).all()
    classes = symbols.classes[numbers]
    np.testing.assert_array_equal(symbols.up[classes], up)
    found_gap, found_payload = symbols.draw(numbers, np.random.default_rng(seed).random((len(up), 2)))
    assert ((found_payload >= symbols.low[classes]) & (found_payload < symbols.high[classes])).all()
    assert ((payload >= symbols.low[classes]) & (payload < symbols.high[classes])).all()
    assert np.abs(np.log10(np.maximum(found_gap, 1) / gap)).max() <= 1.001
    # A drawn gap and size have the symbol that they were drawn from, but for rounding at a bin's edge.
    again = symbols.encode(up, found_payload, found_gap)
    edge = np.abs(np.log10(np.maximum(found_gap, 1))[:, None] - symbols.edges[numbers]).min(axis=1) < 1e-3
    assert ((again == numbers) | edge).all()


def test_a_common_size_is_its_own_class_and_acknowledgements_are_apart_from_requests() -> None:
    random = np.random.default_rng(0)
    up = random.random(4000) < 0.3
    payload = np.where(up, np.where(random.random(4000) < 0.05, 104, 0), 1448)
    symbols = learn_symbols(up, payload, random.integers(10_000, 10**7, 4000))
    for way, size in ((False, 1448), (True, 0), (True, 104)):
        assert ((symbols.up == way) & (symbols.low == size) & (symbols.high == size + 1)).any()
    assert not (symbols.up & (symbols.low < 60) & (symbols.high > 60)).any()


def test_gap_bins_follow_the_training_gaps() -> None:
    """Half of the gaps lie within 2 per cent of 1 ms: drawn gaps do too."""
    random = np.random.default_rng(1)
    gap = np.where(random.random(20_000) < 0.5, random.normal(1e6, 5e3, 20_000), random.uniform(1e4, 1e8, 20_000))
    gap = gap.astype(np.int64)
    up, payload = np.zeros(20_000, bool), np.full(20_000, 1448)
    symbols = learn_symbols(up, payload, gap)
    found, _ = symbols.draw(symbols.encode(up, payload, gap), random.random((20_000, 2)))
    near = (np.abs(found / 1e6 - 1) < 0.02).mean()
    assert near == pytest.approx((np.abs(gap / 1e6 - 1) < 0.02).mean(), abs=0.01)


def test_no_bin_reaches_across_a_border() -> None:
    random = np.random.default_rng(2)
    gap = (10.0 ** random.uniform(4, 12, 3000)).astype(np.int64)
    up, payload = random.random(3000) < 0.01, np.full(3000, 1448)
    border = 30_000_000_000
    symbols = learn_symbols(up, payload, gap, border=border)
    found, _ = symbols.draw(symbols.encode(up, payload, gap), random.random((3000, 2)))
    np.testing.assert_array_equal(found >= border, gap >= border)


def test_what_each_connection_sends_once_is_its_own_class() -> None:
    """Of 40,000 packets, 80 and 98 bytes pass 40 times each; sizes as rare that vary share a class."""
    payload = np.full(40_000, 1448)
    payload[::1000], payload[1::1000] = 80, 98
    payload[2::1000] = np.random.default_rng(4).integers(120, 250, 40)
    symbols = learn_symbols(np.ones(40_000, bool), payload, np.full(40_000, 10**6))
    spans = {(low, high) for way, low, high in zip(symbols.up, symbols.low, symbols.high, strict=True) if way}
    assert {(80, 81), (98, 99), (112, 256)} <= spans


@pytest.mark.parametrize("application", ["player", "browser", "call"])
def test_round_trip(fitted: Joint, application: str) -> None:
    trace = make_trace(application, [1, 2], 77)
    tokens = fitted.encode(trace)
    real, found = sketch_of(trace), sketch_of(fitted.decode(tokens))
    assert len(tokens) == len(real) + 2
    assert found.transport == real.transport
    np.testing.assert_array_equal(found.up, real.up)
    grammar, at = fitted.grammar(), 0
    for token in tokens:
        assert grammar.legal[at, token]
        at = grammar.following[at, token]


def test_keeps_the_protocols(fitted: Joint) -> None:
    assert isinstance(fitted, Tokenization)
    assert isinstance(fitted, StatefulTokenization)


def test_saved_and_loaded_it_is_the_same(fitted: Joint, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    other = build({})
    other.load(tmp_path)
    trace = make_trace("browser", [2, 0], 5)
    np.testing.assert_array_equal(other.encode(trace), fitted.encode(trace))
    assert other.vocabulary == fitted.vocabulary


def test_a_writer_tells_the_rung_of_the_window_and_ends_with_the_duration(fitted: Joint) -> None:
    trace = make_trace("player", [1, 3], 3)
    writer = fitted.writer([trace.condition], [0])
    writer.push(writer.mask().argmax(axis=1))
    random, seen = np.random.default_rng(0), []
    while True:
        seen.append(int(writer.columns()[0, 1]))
        legal = np.flatnonzero(writer.mask()[0])
        token = random.choice(legal)
        if token == END:
            assert len(legal) == 1
            break
        assert token >= FIRST_SYMBOL
        writer.push(np.array([token]))
    assert set(seen) == {2, 4}
    found = writer.trace(0, trace.condition, "x", 0)
    assert found.packets.ts[-1] <= trace.condition.duration * 1e9
