"""gpt with each tokenization: fits, samples valid traces, follows its seed and its conditions, saves and
loads.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.gpt import Gpt, build
from baselines.gpt.conditions import shown
from baselines.gpt.training import Plan, train
from baselines.tokenizations import joint, segments
from benchmark.errors import ConfigError
from benchmark.method import Budget, Conditioning, Context, Grammar, Log, Method, Vocabulary
from benchmark.synthesis.compiler import CLIENT_PREFIX
from benchmark.synthesis.sketch import sketch_of
from benchmark.trace import Trace
from tests.baselines.made_traces import make_corpus

pytestmark = pytest.mark.slow

QUIET = Log(lambda row: None)
NETWORK = {"layers": 1, "width": 32, "heads": 2, "inner": 64, "steps": 40, "batch_tokens": 512, "header_epochs": 60}
APPLICATIONS = ("player", "browser", "call")


def make_method(name: str, scheme: str = "trajectory", **options: Any) -> Method:
    tokenization = joint.build({}) if name == "joint" else segments.build({"header_epochs": 40, "header_members": 2})
    return Method(options, tokenization, Context(64), Conditioning(scheme))


def fit(name: str, seed: int = 0, scheme: str = "trajectory", **network: Any) -> Gpt:
    gpt = build(make_method(name, scheme))
    gpt.fit(make_corpus(9, APPLICATIONS), Budget("tiny", 60, 60, network={**NETWORK, **network}), seed, QUIET)
    return gpt


@pytest.fixture(scope="module", params=["segments", "joint"])
def fitted(request: pytest.FixtureRequest) -> Gpt:
    return fit(request.param)


def same(first: list[Trace], second: list[Trace]) -> bool:
    return all(a.packets.same_as(b.packets) for a, b in zip(first, second, strict=True))


def test_samples_one_trace_a_condition_in_order(fitted: Gpt) -> None:
    conditions = [trace.condition for trace in make_corpus(9, APPLICATIONS).train]
    made = list(fitted.sample(conditions, 1))
    assert [trace.name for trace in made] == [f"synthetic-{k:04d}" for k in range(9)]
    for trace, condition in zip(made, conditions, strict=True):
        assert trace.condition is condition
        assert trace.client == CLIENT_PREFIX
        assert len(trace.packets) > 10
        assert trace.packets.ts[-1] <= condition.duration * 1e9
        assert trace.flows.count == 1
    transports = {trace.condition.application: sketch_of(trace).transport for trace in made}
    assert transports == {"player": "tcp", "browser": "quic", "call": "rtp"}


def test_the_seed_decides(fitted: Gpt) -> None:
    conditions = [trace.condition for trace in make_corpus(3, APPLICATIONS).train]
    first = list(fitted.sample(conditions, 1))
    assert same(first, list(fitted.sample(conditions, 1)))
    assert not same(first, list(fitted.sample(conditions, 2)))


def test_saved_and_loaded_it_samples_the_same(fitted: Gpt, tmp_path: Path) -> None:
    conditions = [trace.condition for trace in make_corpus(3, APPLICATIONS).train]
    fitted.save(tmp_path)
    assert not list(tmp_path.rglob("*.pkl"))
    name = "joint" if (tmp_path / "tokenization" / "joint.json").exists() else "segments"
    other = build(make_method(name))
    other.load(tmp_path)
    assert same(list(fitted.sample(conditions, 4)), list(other.sample(conditions, 4)))
    assert other.figures == fitted.figures
    assert other.figures["parameters"] > 1000
    assert 1 <= other.figures["tokens_per_packet"] < 1.5


def test_two_fits_by_one_seed_are_one() -> None:
    conditions = [trace.condition for trace in make_corpus(2).train]
    runs = [list(fit("segments", seed, steps=8).sample(conditions, 0)) for seed in (3, 3, 4)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_segments_bring_the_bytes_that_are_asked_for() -> None:
    """The made traces double from rung to rung; so do the samples, in order, for the same seed."""
    gpt = fit("segments", steps=120)
    condition = make_corpus(2).train[0].condition
    low, high = (
        replace(condition, labels=replace(condition.labels, rung=np.full(3, rung, np.int8))) for rung in (0, 3)
    )
    down = [sum(int(t.packets.length.sum()) for t in gpt.sample([c] * 6, 5)) for c in (low, high)]
    assert down[1] > 1.5 * down[0]


def test_a_hidden_condition_makes_no_difference() -> None:
    gpt = fit("segments", scheme="none", steps=8)
    condition = make_corpus(2).train[0].condition
    other = replace(condition, labels=replace(condition.labels, rung=np.full(3, 3, np.int8)))
    assert same(list(gpt.sample([condition], 1)), list(gpt.sample([other], 1)))


def test_guidance_runs_and_changes_what_is_sampled() -> None:
    method = make_method("segments")
    gpts = []
    for guidance in (1.0, 2.0):
        gpt = build(method._replace(conditioning=Conditioning("trajectory", 0.2, guidance)))
        gpt.fit(make_corpus(4), Budget("tiny", 60, 60, network={**NETWORK, "steps": 10}), 0, QUIET)
        gpts.append(gpt)
    conditions = [trace.condition for trace in make_corpus(2).train]
    assert not same(*(list(gpt.sample(conditions, 1)) for gpt in gpts))


def test_the_schemes_show_what_they_say() -> None:
    condition = make_corpus(2).train[0].condition
    rungs = {scheme: shown(condition, scheme) for scheme in ("none", "application", "quality", "trajectory")}
    assert rungs["none"].application == ""
    assert rungs["application"].application == condition.application
    assert set(rungs["application"].labels.rung) == {-1}
    assert len(set(rungs["quality"].labels.rung)) == 1
    np.testing.assert_array_equal(rungs["trajectory"].labels.rung, condition.labels.rung)


def test_wrong_settings_are_told() -> None:
    with pytest.raises(ConfigError, match="tokenization"):
        build(Method({}, None, Context(64), Conditioning("none")))
    with pytest.raises(ConfigError, match="trajectory"):
        build(make_method("joint", "trajectry"))
    with pytest.raises(ConfigError, match="layrs"):
        build(make_method("joint", layrs=3))


def test_training_learns_a_repeated_sequence_and_reports() -> None:
    from baselines.gpt.model import Network, Shape

    tokens = np.tile(np.arange(1, 9), 40)
    rows: list[dict[str, Any]] = []
    torch.manual_seed(0)
    network = Network(Shape(1, 32, 2, 1, 64), 9, (), range(9))
    empty = np.zeros((len(tokens), 0), np.int64)
    loss = train(
        network,
        [(tokens, empty)],
        [(tokens, empty)],
        Plan(80, 512, 1e-2, context=32),
        0,
        Log(lambda row: rows.append(dict(row))),
    )
    assert loss < 0.2
    assert rows[-1]["done"] == 80
    assert rows[0]["loss"] > rows[-1]["loss"]


class Bits:
    """A tokenization without a state: each packet is its direction, each token 10 ms."""

    vocabulary = Vocabulary(("end", "up", "down"))
    advance = (0.0, 0.01, 0.01)

    def fit(self, traces: Any, seed: int) -> None: ...

    def encode(self, trace: Trace) -> Any:
        return np.append(np.where(sketch_of(trace).up, 1, 2), 0).astype(np.int64)

    def decode(self, tokens: Any) -> Trace:
        inner = joint.build({})
        inner.fit(make_corpus(2).train, 0)
        return replace(make_corpus(2).train[0], notes={"tokens": tokens.tolist()})

    def grammar(self) -> Grammar:
        legal = np.array([[True, True, True], [False, False, False]])
        return Grammar(legal, np.array([[1, 0, 0], [1, 1, 1]], np.int32))

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


def test_a_plain_tokenization_is_followed_by_its_grammar_until_its_time_is_full() -> None:
    gpt = build(Method({}, Bits(), Context(16), Conditioning("trajectory")))
    gpt.fit(make_corpus(4), Budget("tiny", 60, 60, network={**NETWORK, "steps": 5}), 0, QUIET)
    made = list(gpt.sample([make_corpus(2).train[0].condition], 0))
    tokens = made[0].notes["tokens"]
    assert tokens[-1] == 0
    assert set(tokens[:-1]) == {1, 2}
    assert 590 <= len(tokens) <= 611
