"""The networks' shapes, the penalty of a linear critic, chunks there and back, and what training does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from baselines.netshare import build, views
from baselines.netshare.chunks import KINDS, LONGEST, SHORTEST, ChunkSet, Told, normalise, restore
from baselines.netshare.networks import ChunkGenerator, Sizes, critic, gradient_penalty
from benchmark.errors import ConfigError
from benchmark.method import Conditioning, Context, Method
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels

SIZES = Sizes(rows=8, kinds=5, told=3, width=12, together=4)


def condition(rungs, application="a", duration=60.0, window=10.0):
    labels = replace(Labels.unknown(len(rungs)), rung=np.array(rungs, np.int8))
    return Condition(application, duration, window, labels)


def test_the_generator_makes_shares_and_gaps_of_the_right_shape():
    torch.manual_seed(0)
    network, random = ChunkGenerator(SIZES), torch.Generator().manual_seed(0)
    attributes, series = network(torch.zeros(6, 3), network.draw_noise(6, random))
    assert attributes.shape == (6, 2)
    assert series.shape == (6, 8, 6)
    assert ((attributes >= 0) & (attributes <= 1)).all()
    torch.testing.assert_close(series[..., :5].sum(-1), torch.ones(6, 8))
    assert ((series >= 0) & (series <= 1)).all()


def test_other_noise_and_other_conditions_make_other_chunks():
    torch.manual_seed(0)
    network = ChunkGenerator(SIZES)
    noise = network.draw_noise(2, torch.Generator().manual_seed(0))
    told = torch.eye(3)[:2]
    _, series = network(told, noise)
    _, same = network(told, noise)
    _, other_noise = network(told, noise.flip(0))
    _, other_told = network(told.flip(0), noise)
    torch.testing.assert_close(series, same)
    assert not torch.allclose(series, other_noise)
    assert not torch.allclose(series, other_told)


def test_rows_that_do_not_fit_steps_are_refused():
    with pytest.raises(ValueError, match="4 at a time"):
        ChunkGenerator(Sizes(rows=10, kinds=5, told=3))


@pytest.mark.parametrize(("slope", "wanted"), [((3.0, 4.0), 16.0), ((0.6, 0.8), 0.0), ((0.0, 0.0), 1.0)])
def test_the_penalty_of_a_linear_critic_is_that_of_its_slope(slope, wanted):
    judge = nn.Linear(2, 1)
    with torch.no_grad():
        judge.weight.copy_(torch.tensor([slope]))
    random = torch.Generator().manual_seed(0)
    penalty = gradient_penalty(judge, torch.randn(7, 2), torch.randn(7, 2), random)
    assert penalty.item() == pytest.approx(wanted, abs=1e-4)


def test_the_penalty_trains_the_critic():
    torch.manual_seed(0)
    judge = critic(4, SIZES)
    gradient_penalty(judge, torch.randn(5, 4), torch.randn(5, 4), torch.Generator().manual_seed(0)).backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in judge.parameters())


def test_the_auxiliary_critic_sees_no_series():
    told, attributes, series = torch.zeros(2, 3), torch.ones(2, 2), torch.full((2, 8, 6), 7.0)
    whole, head = views(told, attributes, series)
    assert whole.shape == (2, 3 + 2 + 48)
    assert head.shape == (2, 5)
    assert not (head == 7).any()


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (3, 6), elements=st.floats(SHORTEST, LONGEST)))
def test_gaps_come_back(logs):
    series, attributes = normalise(logs)
    assert (series >= -1e-9).all()
    assert (series <= 1 + 1e-9).all()
    np.testing.assert_allclose(restore(series, attributes), logs, atol=1e-9)


def test_a_chunk_is_told_the_rung_where_it_begins():
    told = Told(("a", "b"))
    asked = condition([0, 3], "b")
    early, late = told.encode(asked, 1_000_000_000, True), told.encode(asked, 12_000_000_000, False)
    assert early[[2, 3 + 1, -1]].tolist() == [1, 1, 1]
    assert late[[2, 3 + 4, -1]].tolist() == [1, 1, 0]
    assert early.sum() == 3
    assert told.encode(condition([0], "unheard of"), 0, False)[0] == 1


def test_chunks_are_pieces_of_the_flows():
    ts = np.arange(40, dtype=np.int64) * 1_000_000
    sketch = Sketch("tcp", ts, np.arange(40) % 4 == 3, np.where(np.arange(40) % 4 == 3, 0, 1448).astype(np.int32))
    chunks = ChunkSet([sketch], [condition([2] * 6)], Told(("a",)), 8)
    assert chunks.count == 33
    _, attributes, series = chunks.draw(np.random.default_rng(0), 16)
    assert series.shape == (16, 8, KINDS + 1)
    np.testing.assert_array_equal(series[..., :-1].sum(-1), 1)
    # Every fourth packet is an acknowledgement, wherever the chunk begins; gaps inside are all a millisecond.
    assert {int(count) for count in series[:, :, KINDS // 2].sum(1)} == {2}
    inner = restore(series[:, 1:, -1].astype(float), attributes.astype(float))
    np.testing.assert_allclose(inner, 6.0, atol=0.01)


def test_an_unknown_option_is_named():
    with pytest.raises(ConfigError, match="no option 'depth'"):
        build(Method({"depth": 3}, None, Context(0), Conditioning("trajectory")))
