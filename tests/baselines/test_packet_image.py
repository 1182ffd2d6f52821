"""The image of packets that netdiffusion learns: its columns, colours and gaps, and the network that denoises it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.netdiffusion.colours import Palette
from baselines.netdiffusion.gap_bits import OCTAVES, SHORTEST, read_gaps, write_gaps
from baselines.netdiffusion.header_image import choose_columns, draw_rows, read_rows
from baselines.netdiffusion.image_set import ImageSet
from baselines.netdiffusion.network import Denoiser
from tests.baselines.short_sessions import short_corpus


@pytest.fixture(scope="module")
def corpus():
    return short_corpus()


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
