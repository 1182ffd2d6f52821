"""Traces of several flows: the one with most down bytes is learnt, whatever flows beside it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from baselines import independent, markov, netdiffusion, two_level
from baselines.gpt import build as build_gpt
from baselines.parts.classes import read_examples
from baselines.tokenizations import joint, segments
from baselines.tokenizations.segments.cuts import find_headers
from benchmark.corpus import Corpus
from benchmark.method import Budget, Conditioning, Context, Generator, Log, Method, Tokenization
from benchmark.synthesis.repair import repair
from benchmark.synthesis.sketch import largest_flow, sketch_of
from benchmark.synthesis.stitch import sample_whole
from benchmark.trace import Trace, join_packets
from benchmark.validator.check import check, first_violation
from tests.baselines.made_traces import make_corpus, make_trace, put_beside

QUIET = Log(lambda row: None)
SECOND = 1_000_000_000
APPLICATIONS = ("player", "browser", "call")
BUDGET = Budget(
    "tiny", 60, 60,
    network={"layers": 1, "width": 32, "heads": 2, "inner": 64, "steps": 5, "batch_tokens": 256, "header_epochs": 20},
    image={"rows": 32, "width": 32, "layers": 1, "train_steps": 2, "denoise_steps": 2},
)  # fmt: skip
METHODS = ("independent", "markov", "two_level", "segments", "joint", "netdiffusion")


def tokenization(name: str) -> Tokenization:
    return joint.build({}) if name == "joint" else segments.build({"header_epochs": 20, "header_members": 2})


def build(name: str) -> Generator:
    tokens = tokenization(name) if name in ("segments", "joint") else None
    method = Method({}, tokens, Context(64), Conditioning("trajectory"))
    modules = {"independent": independent, "markov": markov, "two_level": two_level, "netdiffusion": netdiffusion}
    return modules[name].build(method) if name in modules else build_gpt(method)


@cache
def alone() -> Corpus:
    return make_corpus(6, APPLICATIONS)


@cache
def crowded() -> Corpus:
    """The same traces, a web page beside the first half of them, which begins a second after them."""
    page = make_trace("browser", [0, 0], 77)
    beside = [put_beside(t, page, SECOND) if k < 3 else t for k, t in enumerate(alone().train)]
    return replace(alone(), train=beside)


def samples(name: str, corpus: Corpus) -> list[Trace]:
    generator = build(name)
    generator.fit(corpus, BUDGET, 0, QUIET)
    return list(sample_whole(generator, [trace.condition for trace in alone().train[:3]], 1, QUIET))


def test_the_largest_flow_is_that_of_most_down_bytes_in_the_trace() -> None:
    for whole, crowd in zip(alone().train[:3], crowded().train[:3], strict=True):
        assert crowd.flows.count == 2
        down = [
            int(crowd.packets.length[(crowd.flows.index == flow) & ~crowd.flows.up].sum())
            for flow in range(crowd.flows.count)
        ]
        assert largest_flow(crowd) == int(np.argmax(down))
        np.testing.assert_array_equal(sketch_of(crowd).ts, sketch_of(whole).ts)
        np.testing.assert_array_equal(sketch_of(crowd).payload, sketch_of(whole).payload)
    assert largest_flow(replace(alone().train[0], packets=join_packets([]))) == -1


def test_of_equal_flows_the_first_seen_is_the_largest() -> None:
    trace = make_trace("player", [1, 1], 5)
    twin = replace(trace, packets=join_packets([trace.packets, make_trace("player", [1, 1], 5).packets]))
    assert largest_flow(twin) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_what_flows_beside_it_changes_no_sample_and_breaks_no_rule(name: str) -> None:
    made = samples(name, crowded())
    for one, other in zip(made, samples(name, alone()), strict=True):
        assert one.packets.same_as(other.packets)
    for trace in made:
        judged = repair(trace, 0) if name == "netdiffusion" else trace
        assert judged.flows.count == 1
        found = check(judged, with_tshark=False)
        assert not found.marks.mask.any(), first_violation(judged, found)


def test_windows_count_from_the_trace_not_from_the_flow() -> None:
    """Another flow opens the trace 2 s, a whole window, ahead: every class is that of a window later."""
    trace, page = make_trace("player", [0, 1, 2, 3], 3), make_trace("browser", [0], 78)
    late = put_beside(trace, page, -2 * SECOND)
    sketch = sketch_of(late)
    offset = int(trace.packets.ts[0] - page.packets.ts[0]) + 2 * SECOND
    assert sketch.began == offset
    np.testing.assert_array_equal(sketch.ts, sketch_of(trace).ts)
    _, (example,) = read_examples([late])
    wanted = np.clip((sketch.ts + offset) // (2 * SECOND), 0, 3)
    np.testing.assert_array_equal(example.classes_at(sketch.ts), example.windows[wanted])
    headers = find_headers(sketch, late.condition)[0]
    last = find_headers(sketch_of(trace), trace.condition)[0]
    np.testing.assert_array_equal(headers.size, last.size)
    assert (headers.rung_end >= last.rung_end).all()
    assert (headers.rung_end > last.rung_end).any()


@pytest.mark.parametrize("name", ["segments", "joint"])
def test_a_network_sees_the_rung_of_the_traces_window(name: str) -> None:
    trace, page = make_trace("player", [0, 1, 2, 3], 3), make_trace("browser", [0], 78)
    late = put_beside(trace, page, -2 * SECOND)
    tokens = tokenization(name)
    tokens.fit([trace, late], 0)
    column = [label for label, _ in tokens.columns].index("rung")
    (on_time, first), (delayed, second) = (tokens.encode_with_columns(t, t.condition) for t in (trace, late))
    np.testing.assert_array_equal(on_time, delayed)
    assert (second[:, column] >= first[:, column]).all()
    assert (second[:, column] == np.minimum(first[:, column] + 1, 4)).mean() > 0.8


def test_saved_and_loaded_a_method_of_several_flows_is_the_same(tmp_path: Path) -> None:
    generator, loaded = build("two_level"), build("two_level")
    generator.fit(crowded(), BUDGET, 0, QUIET)
    generator.save(tmp_path)
    loaded.load(tmp_path)
    (one,), (other,) = (g.sample([alone().train[0].condition], 2) for g in (generator, loaded))
    assert one.packets.same_as(other.packets)
