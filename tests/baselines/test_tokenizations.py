"""Tokenizations without a state of their own: round trips, bounds of what they lose, grammars, hostile tokens."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.parts.acknowledgement_rule import acknowledges
from baselines.parts.gap_bins import LONGEST, GapBins
from baselines.parts.merges import apply_merges, learn_merges, spell_merges
from baselines.parts.size_bins import SizeBins
from baselines.parts.sketches import gaps_of, request_bytes
from baselines.tokenizations import bpe, bytes_time, fields, joint_bpe, nprint
from baselines.tokenizations import bytes as plain_bytes
from benchmark.corpora.embedded import load
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.method import Grammar, Tokenization
from benchmark.nprint.encoding import encode_packets, parse_options
from benchmark.synthesis.sketch import sketch_of
from benchmark.trace import Condition, Labels, Packets, Trace
from tests.baselines.made_traces import make_corpus, make_trace, put_beside
from tests.houses import ROOT

APPLICATIONS = ("player", "browser", "call")
BUILT = {
    "bytes": lambda: plain_bytes.build({"slot": 96}),
    "bytes ragged": lambda: plain_bytes.build({"layout": "ragged", "slot": 96, "timing": "even"}),
    "bytes any": lambda: plain_bytes.build({"slot": 96, "places": "any"}),
    "bytes_time": lambda: bytes_time.build({"slot": 96}),
    "bytes_time fixed": lambda: bytes_time.build({"slot": 96, "layout": "fixed"}),
    "bpe": lambda: bpe.build({"size": 320, "slot": 96}),
    "nprint": lambda: nprint.build({}),
    "nprint bits": lambda: nprint.build({"group": 1, "options": "-4 -6 -t -u -i -p 16"}),
    "fields": lambda: fields.build({}),
    "joint_bpe": lambda: joint_bpe.build({"merges": 60}),
    "joint_bpe rule": lambda: joint_bpe.build({"merges": 60, "acknowledgements": "rule"}),
}
WHOLE = [name for name in BUILT if name.split()[0] in ("bytes", "bytes_time", "bpe", "nprint")]
EXACT = [name for name in WHOLE if not name.startswith("nprint")]
TIMED = [name for name in WHOLE if name.split()[0] in ("bytes_time", "bpe", "nprint")]
SKETCHED = [name for name in BUILT if name not in WHOLE]


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    """Every tokenization, fitted on a few made traces."""
    train = make_corpus(6, APPLICATIONS).train
    made = {name: build() for name, build in BUILT.items()}
    for tokenization in made.values():
        tokenization.fit(train, 0)
    return made


packets_of_any_bytes = st.lists(st.tuples(st.binary(max_size=120), st.integers(0, 3 * 10**12)), min_size=0, max_size=30)


def any_trace(rows: list[tuple[bytes, int]]) -> Trace:
    """Packets of any bytes, each after its gap; the length is what an empty header would tell."""
    sizes = np.array([len(data) for data, _ in rows], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    data = np.frombuffer(b"".join(data for data, _ in rows), np.uint8)
    ts = np.cumsum(np.array([gap for _, gap in rows], np.int64))
    return unlabelled(Packets(ts, sizes.astype(np.int32), data, offsets))


def unlabelled(packets: Packets) -> Trace:
    """Packets as a trace about which nothing is known."""
    return Trace("any", packets, Condition("", 1.0, 1.0, Labels.unknown(1)), "")


def walk(grammar: Grammar, tokens: Any) -> None:
    """Follow tokens; fail at the first that isn't legal."""
    at = grammar.start
    for place, token in enumerate(tokens):
        assert grammar.legal[at, token], f"token {token} at {place} isn't legal in state {at}"
        at = grammar.following[at, token]


def check_trace(trace: Trace) -> None:
    """Arrays that fit together, of which everything can be read."""
    packets = trace.packets
    assert len(packets.ts) == len(packets.length) == len(packets.offsets) - 1
    assert packets.offsets[0] == 0
    assert packets.offsets[-1] == len(packets.data)
    assert (np.diff(packets.offsets) >= 0).all()
    assert (np.diff(packets.ts) >= 0).all()
    assert (packets.ts >= 0).all()
    assert (packets.length >= packets.captured).all()
    assert len(trace.flows.up) == len(packets)
    assert len(trace.windows()) == len(packets)


def cut_bytes(trace: Trace, slot: int) -> list[bytes]:
    packets = trace.packets
    return [packets.data[a : min(b, a + slot)].tobytes() for a, b in pairwise(packets.offsets)]


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=40, deadline=None)
@given(rows=packets_of_any_bytes)
def test_bytes_come_back(fitted: dict[str, Any], name: str, rows: list[tuple[bytes, int]]) -> None:
    trace = any_trace(rows)
    found = fitted[name].decode(fitted[name].encode(trace))
    check_trace(found)
    assert cut_bytes(found, 96) == cut_bytes(trace, 96)


@pytest.mark.parametrize("name", [name for name in WHOLE if name.startswith("nprint")])
@settings(max_examples=40, deadline=None)
@given(rows=packets_of_any_bytes)
def test_header_bits_come_back(fitted: dict[str, Any], name: str, rows: list[tuple[bytes, int]]) -> None:
    trace = any_trace([(b"\x45" + data[1:] if data else data, gap) for data, gap in rows])
    tokenization = fitted[name]
    found = tokenization.decode(tokenization.encode(trace))
    check_trace(found)
    shown = parse_options("-4 -t -u" if name == "nprint" else "-4 -6 -t -u -i -p 16")
    matrix, chosen = encode_packets(trace.packets, shown)
    again, _ = encode_packets(found.packets, shown)
    assert len(found.packets) == len(chosen)
    if len(again) == len(matrix):
        np.testing.assert_array_equal(again, matrix)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("application", APPLICATIONS)
def test_real_headers_come_back_with_lengths_and_flows(fitted: dict[str, Any], name: str, application: str) -> None:
    trace = put_beside(make_trace(application, [1, 2], 7), make_trace("player", [0], 8), 10**8)
    found = fitted[name].decode(fitted[name].encode(trace))
    if name != "nprint":  # which shows no payload
        np.testing.assert_array_equal(found.packets.data, trace.packets.data)
        np.testing.assert_array_equal(found.packets.offsets, trace.packets.offsets)
    np.testing.assert_array_equal(found.packets.length, trace.packets.length)
    assert found.client == trace.client
    np.testing.assert_array_equal(found.flows.index, trace.flows.index)


@given(st.lists(st.integers(0, LONGEST - 1), max_size=50), st.integers(1, 256))
def test_gaps_are_within_their_bound(gaps: list[int], per_decade: int) -> None:
    bins, gap = GapBins(per_decade), np.array(gaps, np.int64)
    found = bins.values[bins.encode(gap)]
    assert (np.abs(found - gap) <= np.maximum(100, bins.bound * gap + 1)).all()


@given(st.lists(st.integers(0, 70_000), max_size=50), st.sets(st.integers(0, 1600), max_size=8))
def test_sizes_are_within_their_bound(sizes: list[int], common: set[int]) -> None:
    bins, size = SizeBins(sorted(common)), np.minimum(np.array(sizes, np.int64), 65_535)
    found = bins.values[bins.encode(np.array(sizes, np.int64))]
    error = np.abs(found - size)
    assert (error < np.where(size < 1536, 8, 1024)).all()
    assert (error[np.isin(size, list(common))] == 0).all()


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("application", APPLICATIONS)
def test_times_come_back_within_the_bound(fitted: dict[str, Any], name: str, application: str) -> None:
    trace = make_trace(application, [1, 2], 7)
    found = fitted[name].decode(fitted[name].encode(trace)).packets.ts
    gap = np.diff(trace.packets.ts, prepend=0)
    assert (np.abs(np.diff(found, prepend=0) - gap) <= np.maximum(100, GapBins(48).bound * gap + 1)).all()
    assert (np.abs(found - trace.packets.ts) <= GapBins(48).bound * trace.packets.ts + 100 * len(gap)).all()


@pytest.mark.parametrize("application", APPLICATIONS)
def test_fields_keep_what_they_say(fitted: dict[str, Any], application: str) -> None:
    trace = make_trace(application, [1, 2], 7)
    tokens = fitted["fields"].encode(trace)
    real, found = sketch_of(trace), sketch_of(fitted["fields"].decode(tokens))
    assert len(tokens) == 3 * len(real) + 2
    assert found.transport == real.transport
    np.testing.assert_array_equal(found.up, real.up)
    assert (np.abs(found.payload - real.payload) < 8).all()
    least = request_bytes(real.transport)
    np.testing.assert_array_equal(found.payload >= least, real.payload >= least)
    if application == "player":  # the others' clocks start at their first datagram
        gap = gaps_of(real)
        assert (np.abs(gaps_of(found) - gap)[1:] <= np.maximum(100, GapBins(32).bound * gap + 1)[1:]).all()


@pytest.mark.parametrize("application", APPLICATIONS)
def test_merged_symbols_keep_directions_and_requests(fitted: dict[str, Any], application: str) -> None:
    trace = make_trace(application, [1, 2], 7)
    tokenization = fitted["joint_bpe"]
    tokens = tokenization.encode(trace)
    real, found = sketch_of(trace), sketch_of(tokenization.decode(tokens))
    # A call's sizes are as random as can be: there is little to merge.
    assert len(tokens) < (1 if application == "call" else 0.7) * len(real) + 3
    np.testing.assert_array_equal(found.up, real.up)
    request = real.up & (real.payload >= 104)
    np.testing.assert_array_equal(found.payload[request] >= 80, True)


def test_requests_never_merge(fitted: dict[str, Any]) -> None:
    """A token of several packets holds no packet up that is large enough for a request."""
    tokenization = fitted["joint_bpe"]
    names = tokenization.vocabulary.names[joint_bpe.FIRST_SYMBOL :]
    merged = [name for name in names if re.fullmatch(r"\d+(\+\d+)+", name)]
    assert len(merged) > 20
    for name in merged:
        for member in name.split("+"):
            way, sizes, _ = names[int(member)].split(" ")
            assert way == "down" or int(sizes.split("-")[1]) < 60


@pytest.mark.parametrize("application", ["player", "browser"])
def test_acknowledgements_by_rule_are_about_as_many_and_follow_data(fitted: dict[str, Any], application: str) -> None:
    trace = make_trace(application, [2, 2], 7)
    kept, ruled = fitted["joint_bpe"], fitted["joint_bpe rule"]
    real, found = sketch_of(trace), sketch_of(ruled.decode(ruled.encode(trace)))
    assert len(ruled.encode(trace)) < len(kept.encode(trace))
    assert abs(acknowledges(found).sum() / acknowledges(real).sum() - 1) < 0.2
    np.testing.assert_array_equal(found.up[~acknowledges(found)], real.up[~acknowledges(real)])
    first = int(np.argmax(acknowledges(found)))
    assert (~found.up[:first]).any()


@pytest.mark.parametrize("name", BUILT)
def test_training_traces_are_legal(fitted: dict[str, Any], name: str) -> None:
    grammar = fitted[name].grammar()
    for trace in make_corpus(6, APPLICATIONS).train:
        walk(grammar, fitted[name].encode(trace).tolist())


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("known", [True, False])
def test_legal_walks_decode(fitted: dict[str, Any], name: str, known: bool) -> None:
    """Ten thousand tokens drawn blindly among the legal ones, of a fitted tokenization and of a bare one."""
    tokenization = fitted[name] if known else BUILT[name]()
    grammar, random = tokenization.grammar(), np.random.default_rng(0)
    end = tokenization.vocabulary.names.index("end")
    choices = [np.flatnonzero(row & (np.arange(len(row)) != end)) for row in grammar.legal]
    tokens, at = [], grammar.start
    while len(tokens) < 10_000:
        tokens.append(int(choices[at][random.integers(len(choices[at]))]))
        at = int(grammar.following[at, tokens[-1]])
    trace = tokenization.decode(np.array(tokens))
    check_trace(trace)
    assert len(trace.packets) > 10


@pytest.mark.parametrize("name", BUILT)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_tokens_decode(fitted: dict[str, Any], name: str, data: st.DataObject) -> None:
    size = len(fitted[name].vocabulary)
    tokens = data.draw(st.lists(st.integers(0, size - 1), max_size=80))
    check_trace(fitted[name].decode(np.array(tokens, np.int64)))


@pytest.mark.parametrize("name", BUILT)
def test_hostile_traces_take_bounded_tokens(fitted: dict[str, Any], name: str) -> None:
    """Packets of 9,000 random bytes, and none at all: a packet never takes more than its slot or its row."""
    random = np.random.default_rng(0)
    rows = [(random.integers(0, 256, 9000, np.uint8).tobytes(), 5) for _ in range(20)]
    for trace in (any_trace(rows), any_trace([]), any_trace([(b"", 0)] * 5)):
        tokens = fitted[name].encode(trace)
        assert len(tokens) <= 1500 * len(trace.packets) + 2
        check_trace(fitted[name].decode(tokens))


@pytest.mark.parametrize("name", BUILT)
def test_saved_and_loaded_it_is_the_same(fitted: dict[str, Any], name: str, tmp_path: Path) -> None:
    tokenization, trace = fitted[name], make_trace("browser", [2, 0], 5)
    tokenization.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors"}
    other = BUILT[name]()
    other.load(tmp_path)
    assert other.vocabulary == tokenization.vocabulary
    np.testing.assert_array_equal(other.advance, tokenization.advance)
    np.testing.assert_array_equal(other.grammar().legal, tokenization.grammar().legal)
    tokens = tokenization.encode(trace)
    np.testing.assert_array_equal(other.encode(trace), tokens)
    assert other.decode(tokens).packets.same_as(tokenization.decode(tokens).packets)


@pytest.mark.parametrize("name", BUILT)
def test_it_keeps_the_protocol_and_says_what_it_loses(fitted: dict[str, Any], name: str) -> None:
    tokenization = fitted[name]
    assert isinstance(tokenization, Tokenization)
    assert tokenization.loses
    assert all(isinstance(item, str) for item in tokenization.loses)
    assert len(set(tokenization.vocabulary.names)) == len(tokenization.vocabulary) == len(tokenization.advance)


@pytest.mark.parametrize("name", ["bpe", "fields", "joint_bpe", "nprint"])
def test_two_fits_are_one(fitted: dict[str, Any], name: str) -> None:
    other = BUILT[name]()
    other.fit(make_corpus(6, APPLICATIONS).train, 1)
    assert other.vocabulary == fitted[name].vocabulary


@pytest.mark.parametrize("name", TIMED + SKETCHED)
def test_time_advances_as_the_trace_does(fitted: dict[str, Any], name: str) -> None:
    """What generators count time by reaches a training set's whole duration."""
    seconds = real = 0.0
    for trace in make_corpus(6, APPLICATIONS).train:
        seconds += float(fitted[name].advance[fitted[name].encode(trace)].sum())
        sketch = sketch_of(trace)
        real += (trace.packets.ts[-1] if name in WHOLE else sketch.ts[-1]) / 1e9
    # Wide bins of few packets are taken to be evenly filled.
    assert seconds == pytest.approx(real, rel=0.12 if name.startswith("joint_bpe") else 0.02)


def test_untimed_gaps_keep_the_mean_rate(fitted: dict[str, Any]) -> None:
    train = make_corpus(6, APPLICATIONS).train
    mean = np.concatenate([np.diff(trace.packets.ts) for trace in train]).mean()
    for name in ("bytes", "bytes ragged"):
        traces = [fitted[name].decode(fitted[name].encode(trace)) for trace in train]
        found = np.concatenate([np.diff(trace.packets.ts) for trace in traces])
        assert found.mean() == pytest.approx(mean, rel=0.1)
        assert (np.unique(found).size == 1) == (name == "bytes ragged")
    ends = [trace.packets.ts[-1] / max(1, len(trace.packets) - 1) for trace in traces]
    assert np.ptp(ends) == 0


small_sequences = st.lists(st.lists(st.integers(0, 4), max_size=40), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(small_sequences, st.integers(2, 6), st.integers(0, 4))
def test_merges_equal_a_plain_twin(sequences: list[list[int]], longest: int, lonely: int) -> None:
    """The same merges as a dictionary and lists give, and what is merged spells what was there."""
    apart = np.arange(5) == lonely
    arrays = [np.array(sequence, np.int64) for sequence in sequences]
    pairs = learn_merges(arrays, 5, 12, longest, apart)
    held, members = [list(sequence) for sequence in sequences], [(number,) for number in range(5)]
    for pair in pairs.tolist():
        counts: Counter[tuple[int, int]] = Counter()
        for sequence in held:
            for a, b in pairwise(sequence):
                joined = members[a] + members[b]
                if lonely not in joined and len(joined) <= longest:
                    counts[a, b] += 1
        assert counts[tuple(pair)] == max(counts.values()) >= 2
        assert tuple(pair) == min(key for key in counts if counts[key] == max(counts.values()))
        members.append(members[pair[0]] + members[pair[1]])
        for sequence in held:
            k = 0
            while k + 1 < len(sequence):
                if sequence[k : k + 2] == pair:
                    sequence[k : k + 2] = [len(members) - 1]
                k += 1
    spelt = spell_merges(pairs, 5)
    assert [tuple(own) for own in spelt] == members
    for before, array, after in zip(sequences, arrays, held, strict=True):
        found = apply_merges(array, pairs, 5)
        assert found.tolist() == after
        assert [member for number in found for member in spelt[number]] == before


def test_strings_are_those_of_tokenizers(fitted: dict[str, Any]) -> None:
    """The compiled encoder against the library that learnt the merges, packet by packet."""
    tokenization = fitted["bpe"]
    packets = make_trace("browser", [2, 1], 9).packets
    random = np.random.default_rng(0)
    noise = any_trace([(random.integers(0, 256, 60, np.uint8).tobytes(), 1) for _ in range(50)]).packets
    for source in (packets, noise):
        trace = unlabelled(source)
        tokens = tokenization.encode(trace)
        first = 1 + len(GapBins(48))
        opens = np.flatnonzero((tokens > 0) & (tokens < first))
        found = [part[1:] - first for part in np.split(tokens[:-1], opens[1:])]
        words = [word for batch in tokenization._batches(source) for word in batch]
        for numbers, word in zip(found, words, strict=True):
            assert numbers.tolist() == tokenization._tokenizer.encode(word).ids


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (plain_bytes.build, {"layout": "fixd"}),
        (plain_bytes.build, {"timing": "drwn"}),
        (plain_bytes.build, {"slot": 0}),
        (bpe.build, {"size": 10}),
        (nprint.build, {"group": 3}),
        (nprint.build, {"options": "-4 -p 9000"}),
        (joint_bpe.build, {"acknowledgements": "rules"}),
        (joint_bpe.build, {"merges": -1}),
    ],
)
def test_wrong_options_are_told(build: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(options.values()))).split(" ")[0]):
        build(options)


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    """The first traces of the shipped corpus."""
    return load({"name": "streaming", "limit": 6}, ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_embedded_traces_come_back(embedded: Corpus, name: str) -> None:
    """On traces of the shipped corpus, of every application: legal where trained on, and as exact as stated."""
    tokenization = BUILT[name]()
    first = [replace(trace, packets=trace.packets.take(slice(0, 3000))) for trace in embedded.train]
    tokenization.fit(first, 0)
    grammar = tokenization.grammar()
    for trace in first[:3]:
        walk(grammar, tokenization.encode(trace).tolist())
    for trace in [*first[:3], *embedded.validation[:2]]:
        found = tokenization.decode(tokenization.encode(trace))
        if name in WHOLE:
            np.testing.assert_array_equal(found.packets.data, trace.packets.data)
            np.testing.assert_array_equal(found.packets.length, trace.packets.length)
        elif "rule" not in name:
            real, made = sketch_of(trace), sketch_of(found)
            assert made.transport == real.transport
            if real.transport == "tcp":
                rows = min(len(real), len(made))
                assert abs(len(real) - len(made)) <= 3
                assert np.mean(real.up[:rows] == made.up[:rows]) > 0.9
