"""Decoding by hand against transformers, the ring, and the draw of a token."""

import numpy as np
import pytest
import torch

from baselines.gpt.decoder import Decoder
from baselines.gpt.model import Network, Shape
from baselines.gpt.sampling import choose


def make_network(shape: Shape, vocabulary: int = 50, columns: tuple[int, ...] = (3, 7)) -> Network:
    torch.manual_seed(0)
    network = Network(shape, vocabulary, columns, range(5, vocabulary)).eval()
    with torch.no_grad():
        for weight in network.parameters():
            # Weights of a trained network's size, norms that aren't all one.
            weight.add_(torch.randn_like(weight) * 0.1)
    return network


@pytest.mark.parametrize(
    "shape", [Shape(), Shape(layers=3, width=96, heads=6, keys=2, inner=200), Shape(1, 32, 2, 2, 64)]
)
def test_scores_equal_transformers(shape: Shape) -> None:
    network = make_network(shape)
    tokens = torch.randint(0, 50, (4, 40))
    columns = torch.stack([torch.randint(0, 3, (4, 40)), torch.randint(0, 7, (4, 40))], -1)
    with torch.inference_mode():
        whole = network(tokens, columns)
        decoder = Decoder(network, 4, 64)
        steps = torch.stack([decoder.step(network.embed(tokens[:, k], columns[:, k])) for k in range(40)], 1)
    torch.testing.assert_close(steps, whole, atol=1e-5 * float(whole.abs().max()), rtol=0)


def test_one_layer_forgets_what_left_the_ring() -> None:
    """With one layer the scores are those of the last ``length`` tokens alone, at ten times the ring's
    length.
    """
    network = make_network(Shape(layers=1))
    tokens = torch.randint(0, 50, (2, 160))
    columns = torch.zeros(2, 160, 2, dtype=torch.long)
    with torch.inference_mode():
        decoder = Decoder(network, 2, 16)
        for k in range(160):
            score = decoder.step(network.embed(tokens[:, k], columns[:, k]))
        last = network(tokens[:, -16:], columns[:, -16:])[:, -1]
    torch.testing.assert_close(score, last, atol=1e-4, rtol=0)


def test_rows_that_stay_are_not_disturbed_by_rows_that_leave() -> None:
    network = make_network(Shape(keys=2))
    tokens = torch.randint(0, 50, (5, 30))
    columns = torch.zeros(5, 30, 2, dtype=torch.long)
    with torch.inference_mode():
        whole = network(tokens, columns)
        decoder, rows = Decoder(network, 5, 32), torch.arange(5)
        for k in range(30):
            if k in (10, 20):
                kept = torch.tensor([0, 2, 3] if k == 10 else [1, 2])
                decoder.keep(kept)
                rows = rows[kept]
            score = decoder.step(network.embed(tokens[rows, k], columns[rows, k]))
    assert rows.tolist() == [2, 3]
    torch.testing.assert_close(score, whole[rows, -1], atol=1e-5 * float(whole.abs().max()), rtol=0)


def test_tokens_are_drawn_by_their_probability_and_never_against_the_mask() -> None:
    scores = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]])).repeat(40_000, 1)
    mask = torch.tensor([[True, False, True, True]]).repeat(40_000, 1)
    uniforms = np.random.default_rng(0).random(40_000, dtype=np.float32)
    shares = np.bincount(choose(scores, mask, uniforms), minlength=4) / 40_000
    np.testing.assert_allclose(shares, np.array([0.1, 0, 0.3, 0.4]) / 0.8, atol=0.01)
    edges = np.array([0.0, 1.0 - 2**-24], np.float32)
    assert choose(scores[:2], mask[:2], edges).tolist() == [0, 3]


def test_the_only_legal_token_is_taken_however_unlikely() -> None:
    scores = torch.full((1, 4), 50.0)
    scores[0, 2] = -80.0
    mask = torch.tensor([[False, False, True, False]])
    assert choose(scores, mask, np.array([0.7], np.float32)).tolist() == [2]
