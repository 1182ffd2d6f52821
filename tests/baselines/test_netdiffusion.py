"""The netdiffusion generator: its contract, and that its condition is wired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.netdiffusion import build
from baselines.netdiffusion.header_image import choose_columns
from baselines.netdiffusion.image_size import ImageSize, image_size
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.method import Budget, Conditioning, Context, Log, Method
from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels, Trace
from benchmark.wire import TCP, UDP
from tests.baselines.short_sessions import short_corpus

TINY = {
    "rows": 16,
    "width": 32,
    "layers": 1,
    "train_steps": 120,
    "batch": 8,
    "learning_rate": 0.01,
    "denoise_steps": 4,
}
GUIDED = Conditioning("trajectory", dropout=0.2, guidance=2.0)
SILENT = Log(lambda report: None)


@pytest.fixture(scope="module")
def corpus():
    return short_corpus()


@pytest.fixture(scope="module")
def fitted(corpus):
    return fit(corpus, GUIDED)


def fit(corpus, conditioning, image=TINY, seed=0, seconds=60.0, gaps="image"):
    generator = build(Method({"rounds": 1, "gaps": gaps}, None, Context(0), conditioning))
    generator.fit(corpus, Budget("tiny", seconds, 60.0, image=image), seed, SILENT)
    return generator


def with_rungs(condition, rungs):
    labels = replace(Labels.unknown(len(rungs)), rung=np.array(rungs, np.int8))
    return replace(condition, labels=labels)


def same(one, other):
    return all(a.packets.same_as(b.packets) for a, b in zip(one, other, strict=True))


def test_samples_keep_the_contract(fitted, corpus):
    conditions = [trace.condition for trace in corpus.train]
    traces = list(fitted.sample(conditions, 5))
    assert len(traces) == len(conditions)
    for number, trace in enumerate(traces):
        assert trace.name == f"synthetic-{number:04d}"
        assert trace.client == CLIENT_PREFIX
        assert trace.condition is conditions[number]
        assert len(trace.packets) <= fitted.fixed_packets == 16
        assert trace.packets.ts.dtype == np.int64
        assert np.all(np.diff(trace.packets.ts) >= 0)
        assert np.all(trace.packets.length >= 20)
    first = [trace.packets.ts[0] for trace in traces if len(trace.packets)]
    assert first == [0] * len(first)


def test_a_seed_gives_one_result(fitted, corpus):
    conditions = [corpus.train[0].condition] * 3
    assert same(fitted.sample(conditions, 1), fitted.sample(conditions, 1))
    assert not same(fitted.sample(conditions, 1), fitted.sample(conditions, 2))
    one, other = list(fitted.sample(conditions, 1))[:2]
    assert not one.packets.same_as(other.packets)


def test_the_number_of_threads_changes_nothing(fitted, corpus, monkeypatch):
    conditions = [trace.condition for trace in corpus.train]
    monkeypatch.setattr(fitted, "size", replace(fitted.size, sample_batch=1))
    before = torch.get_num_threads()
    samples = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            samples.append(list(fitted.sample(conditions, 1)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert same(*samples)


def test_a_fit_repeats_and_differs_by_seed(corpus):
    short = {**TINY, "train_steps": 3}
    conditions = [corpus.train[0].condition] * 2
    samples = [list(fit(corpus, GUIDED, short, seed).sample(conditions, 1)) for seed in (0, 0, 1)]
    assert same(samples[0], samples[1])
    assert not same(samples[0], samples[2])


def test_what_was_saved_samples_the_same(fitted, corpus, tmp_path):
    fitted.save(tmp_path / "model")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".safetensors", ".json"}
    loaded = build(Method({}, None, Context(0), GUIDED))
    loaded.load(tmp_path / "model")
    conditions = [trace.condition for trace in corpus.train]
    assert same(fitted.sample(conditions, 3), loaded.sample(conditions, 3))
    assert loaded.fixed_packets == fitted.fixed_packets
    assert loaded.figures == fitted.figures
    assert fitted.figures["parameters"] > 0


def test_the_class_decides_what_comes_out(fitted, corpus):
    """The transports differ in so many pixels that even a tiny fit must tell them apart."""
    share = {}
    for name in ("tcp", "quic"):
        conditions = [trace.condition for trace in corpus.train if trace.condition.application == name] * 4
        protocols = np.concatenate([trace.packets.fields.protocol for trace in fitted.sample(conditions, 0)])
        share[name] = np.mean(protocols == TCP) - np.mean(protocols == UDP)
    assert share["tcp"] > share["quic"] + 0.5


def test_guidance_and_conditioning_change_the_output(fitted, corpus):
    conditions = [corpus.train[0].condition] * 2
    guided = list(fitted.sample(conditions, 0))
    fitted.conditioning = replace(GUIDED, guidance=1.0)
    try:
        assert not same(guided, fitted.sample(conditions, 0))
    finally:
        fitted.conditioning = GUIDED
    assert set(fitted.classes) == {"tcp 0", "tcp 1", "quic 0", "quic 1"}
    by_application = fit(corpus, Conditioning("application"), {**TINY, "train_steps": 1})
    assert set(by_application.classes) == {"tcp", "quic"}
    mixed = [replace(trace, condition=with_rungs(trace.condition, [0, 1, 1])) for trace in corpus.train]
    whole = replace(corpus, train=mixed)
    assert set(fit(whole, Conditioning("quality"), {**TINY, "train_steps": 1}).classes) == {"tcp 1", "quic 1"}
    windows = {"tcp 0", "tcp 1", "quic 0", "quic 1"}
    assert set(fit(whole, Conditioning("trajectory"), {**TINY, "train_steps": 1}).classes) == windows
    assert set(fit(corpus, Conditioning("none"), {**TINY, "train_steps": 1}).classes) == {""}


def test_a_class_never_seen_is_no_class(fitted, corpus):
    unknown = replace(corpus.train[0].condition, application="else")
    bare = replace(unknown, labels=Labels.unknown(0))
    assert len(list(fitted.sample([unknown, bare], 0))) == 2


def test_drawn_gaps_are_those_of_training(corpus):
    drawn = fit(corpus, GUIDED, {**TINY, "train_steps": 1}, gaps="drawn")
    assert len(drawn.columns) == len(choose_columns(corpus.train)) - 8
    seen = np.unique(np.concatenate([np.diff(trace.packets.ts) for trace in corpus.train]))
    for trace in drawn.sample([corpus.train[0].condition] * 3, 0):
        assert np.isin(np.diff(trace.packets.ts), seen).all()


def test_gaps_of_the_image_are_learnt():
    """Every packet down waits long, none up does: the image's gaps know it, drawn ones can't."""
    down = np.arange(64) % 3 > 0
    ts = np.cumsum(np.where(down, 20_000_000, 2_000))
    sketch = Sketch("quic", ts - ts[0], ~down, np.where(down, 1200, 80).astype(np.int32))
    condition = Condition("quic", 2.0, 1.0, replace(Labels.unknown(2), rung=np.zeros(2, np.int8)))
    trace = Trace("quic", compile_sketch(sketch, 0), condition, CLIENT_PREFIX)
    corpus = Corpus("made", "digest", 1.0, [trace] * 4, [], [], (144, 240), CLIENT_PREFIX)

    def agreement(gaps):
        made = fit(corpus, Conditioning("none"), {**TINY, "train_steps": 200}, gaps=gaps).sample([condition] * 8, 0)
        right = [(np.diff(one.packets.ts) > 1_000_000) == ~one.flows.up[1:] for one in made]
        return np.mean(np.concatenate(right))

    assert agreement("image") > 0.9
    assert agreement("drawn") < 0.75


def test_a_fit_stops_at_its_deadline_and_says_so(corpus):
    told = []
    generator = build(Method({}, None, Context(0), GUIDED))
    budget = Budget("tiny", 0.0, 60.0, image={**TINY, "train_steps": 1000})
    generator.fit(corpus, budget, 0, Log(told.append))
    assert told[-1]["stopped_early"] == 1
    assert told[-1]["done"] == 1


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match="did you mean 'rows'"):
        image_size({"row": 3})
    with pytest.raises(ConfigError, match="multiple of twice its 4 heads"):
        image_size({"width": 12})
    assert image_size({}) == ImageSize()
    with pytest.raises(ConfigError, match="did you mean 'trajectory'"):
        build(Method({}, None, Context(0), Conditioning("trajectry")))
    with pytest.raises(ConfigError, match="dropout"):
        build(Method({}, None, Context(0), Conditioning("quality", guidance=2.0)))
    with pytest.raises(ConfigError, match="no option 'gap'; did you mean 'gaps'"):
        build(Method({"gap": 1}, None, Context(0), GUIDED))
    with pytest.raises(ConfigError, match="'drawm' isn't one of image, drawn; did you mean 'drawn'"):
        build(Method({"gaps": "drawm"}, None, Context(0), GUIDED))
    with pytest.raises(ConfigError, match="rounds 0 isn't"):
        build(Method({"rounds": 0}, None, Context(0), GUIDED))
