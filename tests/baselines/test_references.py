"""The references: the contract that each keeps, and what each preserves of its training traces."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from baselines import independent, markov, real, resample, two_level
from baselines.parts.chains import draw_from, learn_chain, learn_pools
from baselines.parts.classes import Classes, read_examples
from baselines.two_level.segments import bin_rates, find_segments
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError
from benchmark.method import Budget, Conditioning, Context, Generator, Log, Method
from benchmark.synthesis.compiler import CLIENT_PREFIX, trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import Condition, Labels, Trace

MODULES = {
    "independent": independent,
    "markov": markov,
    "two_level": two_level,
    "resample": resample,
    "real": real,
}
LEARNING = ("independent", "markov", "two_level")
SECOND = 1_000_000_000
ROOT = Path(__file__).resolve().parents[2]


def condition(application: str, rungs: list[int], window: float = 5.0) -> Condition:
    labels = replace(Labels.unknown(len(rungs)), rung=np.array(rungs, np.int8))
    return Condition(application, window * len(rungs), window, labels)


def session(application: str, rungs: list[int], seed: int) -> Trace:
    """A player that asks every 2 s for 20 kB times two to the rung, which come within half a second."""
    random = np.random.default_rng(seed)
    transport = {"tcp": "tcp", "quic": "quic"}[application.split("-")[1]]
    rows: list[tuple[int, bool, int]] = [(SECOND // 10, True, 1250)]
    wanted = condition(application, rungs)
    for start in np.arange(0.3, wanted.duration - 1, 2.0):
        now = round(start * SECOND) + int(random.integers(SECOND // 20))
        rows.append((now, True, 104))
        rung = rungs[int(start // wanted.window)]
        size = 1448 if transport == "tcp" else 1439
        packets = round(20_000 * 2**rung * random.uniform(0.9, 1.1) / size)
        for number in range(packets):
            at = now + SECOND // 25 + number * SECOND // 2 // packets + int(random.integers(20_000))
            rows.append((at, False, size))
            if number % 2:
                rows.append((at + 30_000, True, 0 if transport == "tcp" else 31))
    rows.sort(key=lambda row: row[0])
    ts, up, payload = (np.array(column) for column in zip(*rows, strict=True))
    return trace_of(Sketch(transport, ts, up, payload.astype(np.int32)), wanted, f"t{seed}", seed)


@cache
def corpus() -> Corpus:
    plans = [
        ("a-tcp", [0, 1, 2, 3]),
        ("a-tcp", [3, 2, 1, 0]),
        ("a-tcp", [2, 3, 0, 1]),
        ("b-quic", [1, 1, 2, 2]),
    ]
    made = [session(*plan, seed) for seed, plan in enumerate([*plans, ("b-quic", [2, 2, 1, 1]), *plans])]
    return Corpus("made", "0", 5.0, made[:5], made[6:], made[5:6], (144, 240, 360, 480), CLIENT_PREFIX)


def build(name: str) -> Generator:
    method = Method({}, None, Context(0), Conditioning("none"))
    made: Generator = MODULES[name].build(method)
    return made


@cache
def fitted(name: str) -> Generator:
    generator = build(name)
    generator.fit(corpus(), Budget("tiny", 5, 60), 0, Log(lambda entry: None))
    return generator


@cache
def samples(name: str, seed: int = 3) -> tuple[Trace, ...]:
    return tuple(fitted(name).sample([trace.condition for trace in corpus().train], seed))


@pytest.mark.parametrize("name", MODULES)
def test_one_trace_a_condition(name: str) -> None:
    made = samples(name)
    assert isinstance(fitted(name), Generator)
    assert [trace.name for trace in made] == [f"synthetic-{n:04d}" for n in range(5)]
    for trace, source in zip(made, corpus().train, strict=True):
        assert trace.client == CLIENT_PREFIX
        assert trace.condition.application == source.condition.application
        assert (np.diff(trace.packets.ts) >= 0).all()
        assert 15 * SECOND < trace.packets.ts[-1] < 20 * SECOND
        if name != "real":
            assert trace.condition is source.condition


@pytest.mark.parametrize("name", MODULES)
def test_saved_and_loaded_generator_samples_the_same(name: str, tmp_path: Path) -> None:
    fitted(name).save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".safetensors", ".json", ".parquet"}
    loaded = build(name)
    loaded.load(tmp_path)
    again = list(loaded.sample([trace.condition for trace in corpus().train], 3))
    for one, other in zip(samples(name), again, strict=True):
        assert np.array_equal(one.packets.data, other.packets.data)
        # Stored traces keep their times to the microsecond.
        assert np.abs(one.packets.ts - other.packets.ts).max() <= (500 if name in ("resample", "real") else 0)


@pytest.mark.parametrize("name", LEARNING)
def test_seed_decides_the_sample(name: str) -> None:
    conditions = [trace.condition for trace in corpus().train]
    again = list(fitted(name).sample(conditions, 3))
    assert all(one.packets.same_as(other.packets) for one, other in zip(samples(name), again, strict=True))
    assert not samples(name, 4)[0].packets.same_as(samples(name)[0].packets)
    # A trace depends on its place and its condition, not on how many others are asked for.
    first = next(iter(fitted(name).sample(conditions[:1], 3)))
    assert first.packets.same_as(samples(name)[0].packets)


@pytest.mark.parametrize("name", LEARNING)
def test_transport_follows_the_application(name: str) -> None:
    for trace in samples(name):
        wanted = trace.condition.application.split("-")[1]
        assert sketch_of(trace).transport == wanted


def bytes_by_rung(traces: tuple[Trace, ...] | list[Trace]) -> np.ndarray:
    """Mean down payload of the windows of each rung of the TCP application."""
    found: list[list[int]] = [[] for _ in range(4)]
    for trace in traces:
        if trace.condition.application != "a-tcp":
            continue
        sketch = sketch_of(trace)
        for window, rung in enumerate(trace.labels.rung):
            inside = (sketch.ts // (5 * SECOND) == window) & ~sketch.up
            found[rung].append(int(sketch.payload[inside].sum()))
    return np.array([np.mean(each) for each in found])


@pytest.mark.parametrize("name", LEARNING)
def test_rung_decides_the_volume(name: str) -> None:
    wanted = bytes_by_rung(list(corpus().train))
    found = np.mean([bytes_by_rung(samples(name, seed)) for seed in range(3)], axis=0)
    assert (np.diff(found) > 0).all()
    assert np.abs(np.log2(found / wanted)).max() < 1.0
    assert np.abs(np.log2(found / wanted)).mean() < 0.4


def ranked(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)) / len(values)


def test_independent_packets_do_not_know_each_other() -> None:
    """Shares of packets are kept; that acknowledgements follow data is lost, which the chain keeps."""
    real_sketch = [sketch_of(trace) for trace in corpus().train[:3]]
    for name, follows in (("independent", False), ("markov", True), ("two_level", True)):
        made = [sketch_of(trace) for trace in samples(name)[:3]]
        share = [float(np.mean(np.concatenate([s.up for s in each]))) for each in (real_sketch, made)]
        assert share[0] == pytest.approx(share[1], abs=0.06)
        after_up = [np.mean(np.concatenate([s.up[1:][s.up[:-1]] for s in each])) for each in (real_sketch, made)]
        assert (abs(after_up[1] - after_up[0]) < 0.1) == follows


def test_two_level_keeps_segments_and_the_chain_does_not() -> None:
    def spread(traces: tuple[Trace, ...] | list[Trace]) -> tuple[float, float]:
        """Segments a trace, and the spread of a segment's bytes about its rung's mean, in octaves."""
        logs, counts = [], []
        for trace in traces:
            if trace.condition.application != "a-tcp":
                continue
            found = find_segments(sketch_of(trace))
            rung = trace.labels.rung[np.minimum(found.finished // (5 * SECOND), 3)]
            large = found.bytes > 5000
            counts.append(large.sum())
            logs.append((np.log2(np.maximum(found.bytes, 1)) - rung)[large])
        return float(np.mean(counts)), float(np.std(np.concatenate(logs)))

    segments, octaves = spread(list(corpus().train))
    for name in ("two_level", "markov"):
        results = np.array([spread(samples(name, seed)) for seed in range(3)]).mean(axis=0)
        if name == "two_level":
            assert results[0] == pytest.approx(segments, rel=0.15)
            assert results[1] < octaves + 0.35
        else:
            assert results[1] > octaves + 0.35


def test_two_level_repeats_no_training_segment_exactly() -> None:
    seen = np.concatenate([find_segments(sketch_of(trace)).bytes for trace in corpus().train])
    made = np.concatenate([find_segments(sketch_of(trace)).bytes for trace in samples("two_level")])
    large = made[made > 10_000]
    assert np.isin(large, seen[seen > 10_000]).mean() < 0.2


def test_photocopier_hands_out_the_training_traces() -> None:
    for trace, source in zip(samples("resample"), corpus().train, strict=True):
        assert trace.packets.same_as(source.packets)


def test_photocopier_takes_the_likest_trace() -> None:
    (made,) = fitted("resample").sample([condition("a-tcp", [3, 2, 1, 1])], 0)
    assert made.packets.same_as(corpus().train[1].packets)
    (other,) = fitted("resample").sample([condition("b-quic", [2, 2, 2, 1])], 0)
    assert other.packets.same_as(corpus().train[4].packets)


def test_real_hands_out_validation_traces_with_their_own_labels() -> None:
    own = {id(trace.condition): trace for trace in corpus().validation}
    made = samples("real")
    assert {id(trace.condition) for trace in made} == set(own)
    for trace in made:
        assert trace.packets.same_as(own[id(trace.condition)].packets)


def test_real_needs_validation_traces() -> None:
    with pytest.raises(CorpusError, match="validation"):
        build("real").fit(replace(corpus(), validation=[]), Budget("tiny", 5, 60), 0, Log(lambda entry: None))


@pytest.mark.parametrize("name", LEARNING)
def test_fit_needs_packets(name: str) -> None:
    with pytest.raises(CorpusError, match="none of the 0 training traces"):
        build(name).fit(replace(corpus(), train=[]), Budget("tiny", 5, 60), 0, Log(lambda entry: None))


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize(
    "asked",
    [
        condition("a-tcp", [5, 5, -1, -1]),
        condition("never-seen", [0, 1, 2, 3]),
        Condition("a-tcp", 20.0, 5.0, Labels.unknown(0)),
        condition("a-tcp", [1], window=0.2),
        Condition("a-tcp", 0.0, 5.0, Labels.unknown(1)),
    ],
)
def test_conditions_that_training_lacks_back_off(name: str, asked: Condition) -> None:
    (made,) = fitted(name).sample([asked], 1)
    assert len(made.packets) >= 6
    assert made.packets.ts[-1] <= max(0, asked.duration * SECOND - 1000)


@pytest.mark.parametrize("name", LEARNING)
def test_calls_without_rungs(name: str) -> None:
    """No ladder, no requests: the application is the class."""
    random = np.random.default_rng(1)
    ts = np.sort(random.integers(0, 10 * SECOND, 3000))
    frame = np.repeat(random.integers(600, 1100, 300), 10)
    up = random.random(3000) < 0.2
    sketch = Sketch("rtp", ts, up, np.where(up, 100, frame).astype(np.int32))
    asked = Condition("call", 10.0, 1.0, Labels.unknown(10))
    calls = [trace_of(sketch, asked, "c", 1)]
    generator = build(name)
    generator.fit(replace(corpus(), train=calls), Budget("tiny", 5, 60), 0, Log(lambda entry: None))
    (made,) = generator.sample([asked], 1)
    again = sketch_of(made)
    assert again.transport == "rtp"
    assert len(again) == pytest.approx(3000, rel=0.2)
    assert again.ts[-1] > 9 * SECOND
    if name != "independent":
        # Frames are runs of packets of one size.
        large = again.payload[~again.up]
        assert (np.diff(large) == 0).mean() > 0.7


def test_classes_back_off_to_the_nearest_rung() -> None:
    classes = Classes((("a", -1), ("a", 0), ("a", 4), ("b", 2)))
    numbers = [classes.number(*pair) for pair in (("a", 4), ("a", 5), ("a", 1), ("a", -1), ("b", 0), ("c", 4))]
    assert numbers == [2, 2, 1, 0, 3, 2]


def test_examples_note_only_classes_with_packets() -> None:
    classes, examples = read_examples(corpus().train)
    assert classes.pairs == tuple([("a-tcp", n) for n in range(4)] + [("b-quic", 1), ("b-quic", 2)])
    assert len(examples) == 5


def test_pools_draw_what_was_counted() -> None:
    pools = learn_pools(np.array([2, 0, 0, 0, 0]), np.array([7, 5, 6, 6, 6]), 3)
    assert pools.starts.tolist() == [0, 2, 2, 3]
    assert pools.values.tolist() == [5, 6, 7]
    assert pools.cumulative.tolist() == [0.25, 1.0, 1.0]
    random = np.random.default_rng(0)
    drawn = [draw_from(pools, 0, random) for _ in range(4000)]
    assert np.mean(np.array(drawn) == 5) == pytest.approx(0.25, abs=0.03)
    assert draw_from(pools, 1, random) == -1
    assert draw_from(pools, 2, random) == 7


def test_chain_backs_off_to_group_and_then_to_all() -> None:
    # Keys 0 and 1 share a group; key 2 is alone. Key 1 never left state 0; nobody left state 2.
    chain = learn_chain(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), np.array([1, 2, 0, 0]), np.array([0, 0, 1]), 3)

    def following(key: int, state: int) -> set[int]:
        row = chain.rows[key, state]
        return set(chain.pools.values[chain.pools.starts[row] : chain.pools.starts[row + 1]].tolist())

    assert following(0, 0) == {1}
    assert following(1, 1) == {0}
    assert following(1, 0) == {1}
    assert following(1, 2) == {0, 1, 2}
    assert following(2, 0) == following(2, 2) == {0}


def test_segments_by_hand() -> None:
    rows = [
        *((0.1, 1, 500), (0.2, 0, 300)),
        *((1.0, 1, 100), (1.02, 1, 80), (1.5, 0, 1000), (2.0, 0, 1000), (2.1, 1, 0)),
        *((3.0, 1, 60), (3.1, 1, 31)),
    ]
    table = np.array(rows)
    sketch = Sketch("tcp", (table[:, 0] * SECOND).astype(np.int64), table[:, 1] > 0, table[:, 2].astype(np.int32))
    found = find_segments(sketch)
    assert found.first.tolist() == [0, 2, 7]
    assert found.bytes.tolist() == [300, 2000, 0]
    assert found.rate.tolist() == [3000.0, 2000.0, 0.0]
    assert found.tail.tolist() == [0, 1, 1]
    assert found.pause.tolist() == [800_000_000, 900_000_000, 0]
    assert found.finished.tolist() == [SECOND // 5, 2 * SECOND, 3 * SECOND]


def test_rate_bins_are_half_octaves() -> None:
    assert bin_rates(np.array([0.0, 1.0, 256.0, 361.0, 363.0, 512.0, 1e30])).tolist() == [
        0,
        1,
        1,
        1,
        2,
        3,
        49,
    ]


@pytest.mark.parametrize("name", MODULES)
def test_configuration_names_the_module(name: str) -> None:
    entry = yaml.safe_load((ROOT / "conf" / "generator" / f"{name}.yaml").read_text())
    assert entry["name"] == name
    assert entry["module"] == f"baselines.{name}"
    assert entry["repair"] == "none"
