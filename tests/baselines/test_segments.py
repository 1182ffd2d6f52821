"""The segments tokenization: what it keeps, what it loses, and what its writer enforces."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.parts.sketches import find_openings, request_bytes
from baselines.tokenizations.segments import Segments, build
from baselines.tokenizations.segments.alphabet import (
    COLUMNS,
    CYCLE,
    CYCLE_FLOOR,
    CYCLE_PER_OCTAVE,
    CYCLES,
    OPEN_NOW,
    REQUEST,
    SIZE,
    TALK,
    USUAL_RATE,
    bin_of,
)
from baselines.tokenizations.segments.cuts import find_headers, told_gaps
from baselines.tokenizations.segments.pacing import time_of
from baselines.tokenizations.segments.playing import header_value
from baselines.tokenizations.segments.state import (
    _TALKED,
    DONE_SHARE,
    FIRST,
    OVER_SHARE,
    PACKETS,
    PHASE,
    REALS,
    TARGET,
    WHOLES,
)
from benchmark.method import StatefulTokenization, Tokenization
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import Condition, Labels, Trace
from tests.baselines.made_traces import make_corpus, make_trace

APPLICATIONS = ("player", "browser", "call")


@pytest.fixture(scope="module")
def fitted() -> Segments:
    tokenization = build({"header_epochs": 40, "header_members": 2})
    tokenization.fit(make_corpus(12, APPLICATIONS).train, 0)
    return tokenization


def random_sketch(transport: str, rows: list[tuple[int, bool, int]]) -> Sketch:
    gaps, up, payload = (np.array(column) for column in zip(*rows, strict=True))
    least = {"tcp": 0, "quic": 21, "rtp": 12}[transport]
    if transport == "quic":
        up[0], payload[0] = True, 1250
    return Sketch(transport, np.cumsum(gaps), up, np.maximum(payload, least).astype(np.int32))


sketches = st.builds(
    random_sketch,
    st.sampled_from(["tcp", "quic", "rtp"]),
    st.lists(st.tuples(st.integers(1_000, 3 * 10**9), st.booleans(), st.integers(0, 1400)), min_size=1, max_size=60),
)


def test_keeps_the_protocols(fitted: Segments) -> None:
    assert isinstance(fitted, Tokenization)
    assert isinstance(fitted, StatefulTokenization)


@settings(max_examples=40, deadline=None)
@given(sketches)
def test_round_trip_keeps_directions_and_bounds_sizes_and_times(fitted: Segments, sketch: Sketch) -> None:
    duration = float(sketch.ts[-1]) / 1e9 + 1
    real = sketch_of(trace_of(sketch, Condition("player", duration, duration, Labels.unknown(1)), "x", 0))
    tokens = fitted._tokens(real, Condition("player", duration, duration, Labels.unknown(1)))[0]
    found = fitted.play(tokens)
    assert found.transport == real.transport
    np.testing.assert_array_equal(found.up, real.up)
    symbols = fitted.symbols
    for way in (False, True):
        own = symbols.up == way
        edges = np.append(symbols.low[own], 65536)
        plain = (real.up == way) & ~find_openings(real)
        place = np.searchsorted(edges, real.payload[plain], "right")
        np.testing.assert_array_equal(place, np.searchsorted(edges, found.payload[plain], "right"))
    # A gap is within a decade of bins and a bin of its segment's rate; but for requests, which keep to their side of
    # the 50 ms.
    least = request_bytes(real.transport)
    requests = np.flatnonzero(real.up & (real.payload >= least)) if real.transport != "rtp" else np.zeros(0, int)
    told = told_gaps(real, *find_headers(real, Condition("player", duration, duration, Labels.unknown(1))))
    gap, decoded = np.diff(real.ts, prepend=0), np.diff(found.ts, prepend=0)
    others = np.setdiff1d(np.arange(len(real)), requests)
    wide = (told[others] >= 1.1e3) & (told[others] < 3e12) & (gap[others] >= 1.1e3)
    ratio = np.log10(np.maximum(decoded[others][wide], 1) / gap[others][wide])
    assert np.abs(ratio).max(initial=0) <= 1.03 + np.log10(2) / 16


def test_talk_is_told_in_its_own_time_and_a_download_in_its_rate_s() -> None:
    """An exchange of 1,000 bytes over a slow path, then 100 packets in 1 s with a pause amid them."""
    rows = [(50, True, 200), (80, False, 1000), (400, True, 200)]
    rows += [(10, False, 1400)] * 50 + [(600, False, 1400)] + [(10, False, 1400)] * 49 + [(20, True, 200)]
    gaps, up, payload = (np.array(column) for column in zip(*rows, strict=True))
    sketch = Sketch("tcp", np.cumsum(gaps) * 1_000_000, up, payload.astype(np.int32))
    headers, at, opens = find_headers(sketch, Condition("player", 10.0, 10.0, Labels.unknown(1)))
    assert opens.sum() == len(at) == 3
    told = told_gaps(sketch, headers, at, opens) / 1e6
    assert told[:3].tolist() == [50, 80, 400]
    rate = 100 * 1400 / 1.59
    np.testing.assert_allclose(told[3:53], 10 * rate / USUAL_RATE, rtol=1e-3)
    assert told[53] == pytest.approx(60_000)  # a pause is told a hundredfold, above all that is paced


def test_requests_keep_their_distance_from_the_one_before_and_the_first_from_none() -> None:
    real, whole = np.zeros(REALS), np.zeros(WHOLES, np.int64)
    whole[PHASE] = FIRST
    assert time_of(real, whole, OPEN_NOW, 0.012) == 0.012
    whole[PHASE] = PACKETS
    assert time_of(real, whole, OPEN_NOW, 0.012) == 0.05


@settings(max_examples=40, deadline=None)
@given(st.floats(0.31, 200), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_kept_within_a_thirty_second_of_an_octave(seconds: float, uniform: float) -> None:
    place = int(bin_of(seconds, CYCLE_FLOOR, CYCLE_PER_OCTAVE, CYCLES))
    found = header_value(CYCLE, place, uniform)
    assert abs(np.log2(found / seconds)) <= 1 / 32 + 1e-9


@settings(max_examples=40, deadline=None)
@given(sketches)
def test_every_encoding_is_a_word_of_the_grammar(fitted: Segments, sketch: Sketch) -> None:
    grammar, at = fitted.grammar(), 0
    for token in fitted._tokens(sketch, Condition("", 200.0, 10.0, Labels.unknown(20)))[0]:
        assert grammar.legal[at, token], fitted.vocabulary.names[token]
        at = grammar.following[at, token]


def lossy_trace(count: int) -> Trace:
    """A download in which each third segment is lost, and repaired two later."""
    rows = [(0, True, 100, 0)]
    for _ in range(count):
        rows += [(10, False, 1400, 0), (1, True, 0, 0), (1, False, 1400, 0), (1, True, 0, 1)]
        rows += [(9, False, 1400, 0), (1, True, 0, 2), (20, False, 1400, 0), (1, True, 0, 1)]
        rows += [(2, False, 1400, 0), (1, True, 0, 0)]
    gaps, up, payload, blocks = (np.array(column) for column in zip(*rows, strict=True))
    ts = 100_000_000 + np.cumsum(gaps) * 1_000_000
    sketch = Sketch("tcp", ts, up, payload.astype(np.int32), blocks=blocks.astype(np.int8))
    return trace_of(sketch, Condition("player", 10.0, 10.0, Labels.unknown(1)), "lossy", 0)


def test_losses_are_told() -> None:
    tokenization = build({"header_epochs": 5, "header_members": 1})
    tokenization.fit([lossy_trace(count) for count in (20, 25, 30)], 0)
    real = sketch_of(lossy_trace(23))
    assert set(real.blocks.tolist()) == {0, 1, 2}
    tokens, columns = tokenization._tokens(real, Condition("player", 10.0, 10.0, Labels.unknown(1)))
    np.testing.assert_array_equal(tokenization.play(tokens).blocks, real.blocks)
    told = columns[:, 1 + [name for name, _ in COLUMNS].index("blocks")]
    assert set(told.tolist()) == {0, 1, 2}
    assert not any(tokenization.kinds[token] == REQUEST for token in tokens)


def test_losses_that_training_never_showed_are_left_out(fitted: Segments) -> None:
    real = sketch_of(lossy_trace(5))
    played = fitted.play(fitted._tokens(real, Condition("player", 10.0, 10.0, Labels.unknown(1)))[0])
    np.testing.assert_array_equal(played.up, real.up)
    assert not played.blocks.any()
    assert (played.payload[real.blocks > 0] == 0).all()


def test_common_sizes_are_exact(fitted: Segments) -> None:
    trace = make_trace("player", [1, 2, 0], 99)
    real, found = sketch_of(trace), sketch_of(fitted.decode(fitted.encode(trace)))
    np.testing.assert_array_equal(real.payload, found.payload)


def test_a_request_opens_a_segment_and_its_header_counts_what_comes() -> None:
    seconds = np.array([0.1, 0.2, 0.3, 0.31, 1.3, 1.32, 1.4])
    sketch = Sketch(
        "tcp",
        (seconds * 1e9).astype(np.int64),
        np.array([True, False, False, True, True, True, False]),
        np.array([100, 1448, 552, 0, 100, 90, 700], np.int32),
    )
    headers, at, opens = find_headers(sketch, Condition("", 10.0, 10.0, Labels.unknown(1)))
    # The request 20 ms after another belongs to the same segment.
    np.testing.assert_array_equal(np.flatnonzero(opens), [0, 4])
    np.testing.assert_array_equal(at, [0, 4])
    np.testing.assert_array_equal(headers.size, [2000, 700])
    np.testing.assert_allclose(headers.rate, [2000 / 0.2, 700 / 0.1], rtol=1e-6)
    # The second follows a second after the last byte: it waited 1.2 s in all.
    np.testing.assert_allclose(headers.cycle, [1.2, 0.0])


def test_what_a_writer_writes_encodes_to_a_legal_sequence_and_keeps_its_budgets(fitted: Segments) -> None:
    corpus = make_corpus(6, APPLICATIONS)
    conditions = [trace.condition for trace in corpus.train]
    writer = fitted.writer(conditions, list(range(len(conditions))))
    random, grammar = np.random.default_rng(0), fitted.grammar()
    rows, states = np.arange(len(conditions)), np.zeros(len(conditions), int)
    budgets: list[list[float]] = [[] for _ in conditions]
    widths = [size for _, size in fitted.columns]
    for _ in range(100_000):
        mask, columns = writer.mask(), writer.columns()
        assert (columns >= 0).all()
        assert (columns < widths).all()
        assert mask.any(axis=1).all()
        tokens = np.array([random.choice(np.flatnonzero(row)) for row in mask])
        assert grammar.legal[states, tokens].all()
        states = grammar.following[states, tokens]
        ended = writer.push(tokens)
        for row in np.flatnonzero(fitted.kinds[tokens] == SIZE):
            budgets[rows[row]].append(float(writer._real[row, TARGET]))
        writer.keep(np.flatnonzero(~ended))
        rows, states = rows[~ended], states[~ended]
        if not len(rows):
            break
    assert not len(rows)
    for row, condition in enumerate(conditions):
        sketch = writer.sketch(row)
        assert (np.diff(sketch.ts) >= 0).all()
        assert sketch.ts[-1] >= condition.duration * 1e9
        headers = find_headers(sketch, condition)[0]
        if sketch.transport == "rtp":
            continue
        inside = headers.size[:-1]
        asked = np.array(budgets[row][: len(inside)])
        talk = (asked > 0) & (asked < TALK)
        assert (inside >= np.where(talk, _TALKED, DONE_SHARE) * asked - 1).all()
        assert (inside <= np.where(talk, TALK, OVER_SHARE * asked) + 1500).all()


def test_a_row_depends_on_its_own_seed_and_condition_alone(fitted: Segments) -> None:
    conditions = [trace.condition for trace in make_corpus(4).train]

    def first_tokens(chosen: list[int]) -> list[list[int]]:
        writer = fitted.writer([conditions[k] for k in chosen], chosen)
        out: list[list[int]] = [[] for _ in chosen]
        for _ in range(50):
            tokens = writer.mask().argmax(axis=1)
            for row, token in enumerate(tokens):
                out[row].append(int(token))
            writer.push(tokens)
        return out

    together = first_tokens([0, 1, 2, 3])
    assert first_tokens([2])[0] == together[2]


def test_saved_and_loaded_it_is_the_same(fitted: Segments, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    other = build({})
    other.load(tmp_path)
    trace = make_trace("browser", [2, 2, 1], 5)
    assert other.vocabulary == fitted.vocabulary
    np.testing.assert_array_equal(other.encode(trace), fitted.encode(trace))
    writers = [t.writer([trace.condition], [3]) for t in (fitted, other)]
    for _ in range(30):
        np.testing.assert_array_equal(writers[0].mask(), writers[1].mask())
        for writer in writers:
            writer.push(writer.mask().argmax(axis=1))


def test_header_model_follows_what_is_asked(fitted: Segments) -> None:
    """Higher rungs bring larger segments: the made traces double from rung to rung."""
    sizes = []
    for rung in (0, 3):
        labels = Labels(np.full(3, rung, np.int8), *[Labels.unknown(3).stall] * 4)
        writer = fitted.writer([Condition("player", 6.0, 2.0, labels)] * 40, list(range(40)))
        for _ in range(4):
            writer.push(writer.mask().argmax(axis=1))
        sizes.append(np.median(writer.columns()[:, 2]))
    assert sizes[1] > sizes[0] + 4
