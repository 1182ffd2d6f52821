"""The netdiffusion generator: its image of packets, its contract, and that its condition is wired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.netdiffusion import build
from baselines.netdiffusion.colours import Palette
from baselines.netdiffusion.gap_bits import OCTAVES, SHORTEST, read_gaps, write_gaps
from baselines.netdiffusion.header_image import choose_columns, draw_rows, read_rows
from baselines.netdiffusion.image_set import ImageSet
from baselines.netdiffusion.image_size import ImageSize, image_size
from baselines.netdiffusion.network import Denoiser
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.method import Budget, Conditioning, Context, Log, Method
from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels, Trace
from benchmark.wire import TCP, UDP

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


def make_trace(transport: str, rung: int, packets: int = 60, seed: int = 0) -> Trace:
    """A session of two windows of 1 s: short packets at rung 0, full ones above."""
    random = np.random.default_rng(seed)
    up = random.random(packets) < 0.3
    payload = np.where(up, 80, 200 if rung == 0 else 1200).astype(np.int32)
    ts = np.sort(random.integers(0, 2_000_000_000, packets))
    sketch = Sketch(transport, ts - ts[0], up, payload)
    labels = replace(Labels.unknown(2), rung=np.full(2, rung, np.int8))
    condition = Condition(transport, 2.0, 1.0, labels)
    return Trace(f"{transport}{rung}", compile_sketch(sketch, seed), condition, CLIENT_PREFIX)


@pytest.fixture(scope="module")
def corpus():
    traces = [make_trace(transport, rung, seed=rung) for transport in ("tcp", "quic") for rung in (0, 1)]
    return Corpus("made", "digest", 1.0, traces, [], [], (144, 240), CLIENT_PREFIX)


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


def test_an_image_holds_all_that_a_header_says_but_the_addresses(corpus):
    for every in (False, True):
        columns = choose_columns(corpus.train, every)
        assert len(columns) == 1088 + 8 + 1 or not every
        for trace in corpus.train:
            pixels, index = draw_rows(trace, columns)
            read = read_rows(pixels, columns)
            assert np.array_equal(index, np.arange(len(trace.packets)))
            assert np.array_equal(read.length, trace.packets.length)
            ours, theirs = read.fields, trace.packets.fields
            for name in ("protocol", "sport", "dport", "seq", "ack", "flags", "udp_length", "ip_checksum"):
                assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
            again = replace(trace, packets=read)
            assert np.array_equal(again.flows.up, trace.flows.up)
            assert again.flows.count == trace.flows.count


def test_columns_that_never_change_are_left_out(corpus):
    one = choose_columns(corpus.train[:1])
    both = choose_columns(corpus.train)
    assert 30 < len(one) < len(both) < 700


def test_padding_is_no_packet(corpus):
    columns = choose_columns(corpus.train)
    short = replace(corpus.train[0], packets=corpus.train[0].packets.take(slice(0, 3)))
    images = ImageSet([short], columns, 16, lambda condition, window: "")
    pixels, classes = images.draw(np.random.default_rng(0), 2)
    assert pixels.shape == (2, 16, len(columns))
    assert classes.tolist() == [0, 0]
    assert len(read_rows(pixels[0], columns)) == 3


def test_reading_takes_any_pixels(corpus):
    columns = choose_columns(corpus.train, every=True)
    noise = np.random.default_rng(0).integers(-1, 2, (50, len(columns))).astype(np.int8)
    packets = read_rows(noise, columns)
    assert np.all(packets.length >= packets.captured)
    assert np.all((packets.length <= 1500) | (packets.length == packets.captured))
    for value in (-1, 0, 1):
        assert len(read_rows(np.full((4, len(columns)), value, np.int8), columns)) == (0 if value < 0 else 4)


# Columns 0 and 2 stand and fall together; 1 is there in every packet.
PALETTE = Palette(torch.tensor([1, 0, 1]))
PIXELS = torch.tensor([[[-1, 0, -1], [1, 1, 0], [0, 0, 1], [-1, -1, -1]]], dtype=torch.int8)


def test_colours_come_back_from_noise():
    colours = PALETTE.paint(PIXELS)
    assert colours.shape == (1, 4, PALETTE.depth) == (1, 4, 5)
    assert colours[0, 0].tolist() == [1, -1, 0, -1, 0]  # presence of both groups, then the bits
    assert torch.equal(PALETTE.quantise(colours), PIXELS)
    shaken = colours + 0.3 * torch.randn(colours.shape, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    assert torch.equal(PALETTE.quantise(shaken), PIXELS)
    # Doubt between the two bits isn't absence.
    assert PALETTE.quantise(torch.tensor([[[1.0, 1.0, 0.1, 0.6, -0.1]]]))[0, 0].tolist() == [1, 1, 0]


def test_expected_colours_of_sure_odds_are_the_colours():
    colours = PALETTE.paint(PIXELS)
    sure = 50 * colours
    assert torch.allclose(PALETTE.expect(sure), colours, atol=1e-4)
    assert float(PALETTE.cross_entropy(sure, colours)) < 1e-4
    assert float(PALETTE.cross_entropy(-sure, colours)) > 10
    # Of no odds at all, every channel that there is costs the log of 2: two of presence, and each bit present.
    bits = int((PIXELS >= 0).sum())
    told = float(PALETTE.cross_entropy(torch.zeros_like(colours), colours))
    assert told == pytest.approx(np.log(2) * (2 * 4 + bits) / PIXELS.numel())


def test_groups_are_the_columns_that_are_absent_together(corpus):
    columns = choose_columns(corpus.train)
    images = ImageSet(corpus.train, columns, 16, lambda condition, window: "")
    groups = images.groups()
    rows = np.concatenate(images.pixels) >= 0
    for group in np.unique(groups):
        together = rows[:, groups == group]
        assert np.all(together == together[:, :1])
    assert len(np.unique(groups)) == len(np.unique(rows, axis=1).T)


@given(st.lists(st.integers(0, 100_000_000_000), min_size=1, max_size=30), st.integers(0, 99))
def test_gaps_come_back_within_a_step(gaps, seed):
    gaps = np.array(gaps, np.int64)
    bits = write_gaps(gaps)
    assert bits.shape == (len(gaps), 8)
    read = read_gaps(bits, np.random.default_rng(seed))
    widest = 2 ** (OCTAVES / 256)
    scale = gaps >= 2 * SHORTEST
    assert np.all(read[scale] <= widest * gaps[scale] + 1)
    assert np.all(read[scale] >= gaps[scale] / widest - 1)
    assert np.all(read[gaps < SHORTEST] == 0)


def test_neighbouring_gaps_differ_in_one_bit():
    ladder = np.unique(write_gaps(np.geomspace(SHORTEST, 2e11, 20_000).astype(np.int64)), axis=0)
    assert len(ladder) == 255  # step 0 is what is below the scale
    rising = write_gaps((SHORTEST * 2 ** (np.arange(1.5, 256) * OCTAVES / 256)).astype(np.int64))
    assert np.all((np.diff(rising, axis=0) != 0).sum(axis=1) == 1)


def test_the_network_keeps_packets_in_their_places():
    network = Denoiser(rows=10, depth=6, width=8, layers=1, heads=2, classes=2).eval()
    network.start_from(torch.tensor([[0.5] * 6, [0.9] * 6]))
    noisy = torch.randn(2, 10, 6)
    times, classes = torch.zeros(2, dtype=torch.long), torch.tensor([0, 1])
    odds = network(noisy, torch.full((2,), 0.25), times, classes)
    # Without anything learnt, a pixel's odds are its class's and its own evidence: 2 sqrt(s) / (1 - s) a unit.
    evidence = noisy * (2 * 0.25**0.5 / 0.75)
    assert torch.allclose(odds[0], evidence[0])
    assert torch.allclose(odds[1], evidence[1] + np.log(0.9 / 0.1), atol=1e-5)
    torch.nn.init.normal_(network.tell.weight)
    told = network(noisy, torch.full((2,), 0.25), times, classes)
    turned = network(noisy.flip(1), torch.full((2,), 0.25), times, classes)
    assert not torch.allclose(told, turned.flip(1), atol=1e-2)  # a packet's place is known


def test_shares_are_those_of_each_class(corpus):
    columns = choose_columns(corpus.train)
    images = ImageSet(corpus.train, columns, 1, lambda condition, window: condition.application)
    groups = images.groups()
    shares = images.shares(groups)
    assert images.names.tolist() == ["quic", "tcp"]
    assert shares.shape == (3, groups.max() + 1 + len(columns))
    assert np.all((shares > 0) & (shares < 1))
    for number, name in enumerate(images.names, start=1):
        pixels = np.concatenate(
            [draw_rows(trace, columns)[0] for trace in corpus.train if trace.condition.application == name]
        )
        present, ones = (pixels >= 0).sum(axis=0), (pixels > 0).sum(axis=0)
        presence = [(present[groups == group][0] + 0.5) / (len(pixels) + 1) for group in range(groups.max() + 1)]
        wanted = np.concatenate([presence, (ones + 0.5) / (present + 1)])
        assert np.allclose(shares[number], wanted)


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
