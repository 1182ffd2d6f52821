"""The selective scan against its plain recurrence, steps against the whole, and transformers' mixer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.mamba.network import Layer, Network, Shape, published_mixer
from baselines.mamba.scan import scan, step

SHAPE = Shape(layers=2, width=16, state=6, channels=8)


def made(seed: int, rows: int, length: int, heads: int = 3, channels: int = 4, size: int = 5):
    torch.manual_seed(seed)
    rate = -torch.rand(rows, length, heads) * 2
    x = torch.randn(rows, length, heads, channels)
    return x, rate, torch.randn(rows, length, size), torch.randn(rows, length, size)


def recurrence(x, rate, into, out):
    """The definition, a position and a head at a time."""
    rows, length, heads, channels = x.shape
    y = torch.zeros_like(x)
    for r in range(rows):
        for h in range(heads):
            state = torch.zeros(into.shape[-1], channels)
            for t in range(length):
                state = rate[r, t, h].exp() * state + torch.outer(into[r, t], x[r, t, h])
                y[r, t, h] = out[r, t] @ state
    return y


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 2), st.integers(1, 23), st.sampled_from([1, 4, 8, 64]))
def test_chunks_give_what_the_recurrence_gives(seed, rows, length, chunk):
    parts = made(seed, rows, length)
    torch.testing.assert_close(scan(*parts, chunk=chunk), recurrence(*parts), rtol=1e-4, atol=1e-4)


def test_the_past_decays_as_told():
    # One number comes in at the start; every step halves it, and it is read out as it is.
    x = torch.zeros(1, 6, 1, 1)
    x[0, 0] = 8.0
    ones, rate = torch.ones(1, 6, 1), torch.full((1, 6, 1), float(np.log(0.5)))
    wanted = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25])
    torch.testing.assert_close(scan(x, rate, ones, ones, chunk=4).flatten(), wanted)


def test_nothing_comes_from_the_future():
    x, rate, into, out = made(3, 1, 20)
    before = scan(x, rate, into, out, chunk=8)
    x[:, 13:] = 99.0
    after = scan(x, rate, into, out, chunk=8)
    torch.testing.assert_close(before[:, :13], after[:, :13])
    assert not torch.allclose(before[:, 13:], after[:, 13:])


def test_steps_give_what_the_scan_gives():
    x, rate, into, out = made(4, 2, 17)
    state = torch.zeros(2, 3, 5, 4)
    steps = []
    for t in range(17):
        y, state = step(state, x[:, t], rate[:, t], into[:, t], out[:, t])
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), scan(x, rate, into, out, chunk=8), rtol=1e-4, atol=1e-4)


def test_decoding_scores_as_training_does_at_ten_times_a_chunk():
    torch.manual_seed(0)
    network = Network(SHAPE, 11, [3, 4], [0, 2, 5, 7]).eval()
    tokens, columns = torch.randint(0, 11, (2, 640)), torch.randint(0, 3, (2, 640, 2))
    with torch.no_grad():
        whole = network(tokens, columns)
        decoder = network.decoder(2, 16)
        steps = [decoder.step(network.embed(tokens[:, t], columns[:, t])) for t in range(640)]
    torch.testing.assert_close(torch.stack(steps, 1), whole, rtol=1e-3, atol=1e-4)


def test_rows_that_stay_go_on_as_before():
    torch.manual_seed(1)
    network = Network(SHAPE, 11, [3], list(range(11))).eval()
    tokens, columns = torch.randint(0, 11, (3, 8)), torch.randint(0, 3, (3, 8, 1))
    with torch.no_grad():
        decoder, alone = network.decoder(3, 0), network.decoder(1, 0)
        for t in range(4):
            decoder.step(network.embed(tokens[:, t], columns[:, t]))
            alone.step(network.embed(tokens[2:, t], columns[2:, t]))
        decoder.keep(torch.tensor([0, 2]))
        kept = decoder.step(network.embed(tokens[[0, 2], 4], columns[[0, 2], 4]))
        own = alone.step(network.embed(tokens[2:, 4], columns[2:, 4]))
    torch.testing.assert_close(kept[1:], own)


@pytest.mark.parametrize("length", [5, 70])
def test_a_layer_is_transformers_mixer(length):
    torch.manual_seed(2)
    layer = Layer(SHAPE).eval()
    mixer = published_mixer(layer).eval()
    x = torch.randn(2, length, SHAPE.width)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x + mixer(layer.before(x)), rtol=1e-4, atol=1e-5)


def test_gradients_flow_through_every_weight():
    torch.manual_seed(3)
    network = Network(SHAPE, 11, [3], list(range(11)))
    network(torch.randint(0, 11, (2, 33)), torch.randint(0, 3, (2, 33, 1))).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
