"""What happens beyond the context: the ring against a band, and no drift at ten times its length and more."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.gpt import build
from baselines.gpt.decoder import Decoder
from baselines.gpt.model import Shape
from baselines.tokenizations import fields, joint_bpe
from benchmark.corpus import Corpus
from benchmark.method import Budget, Conditioning, Context, Log, Method
from benchmark.trace import Condition, Labels
from tests.baselines.made_traces import make_trace
from tests.baselines.test_sampling import make_network

CONTEXT = 16
QUIET = Log(lambda row: None)


def test_each_layer_sees_as_far_as_the_ring() -> None:
    """At ten times the ring's length the scores are those of one pass in which a position sees the last 16.

    Nothing is computed again when the window slides: what left it lives on in what later layers kept.
    """
    network = make_network(Shape(layers=3))
    tokens = torch.randint(0, 50, (2, 10 * CONTEXT))
    columns = torch.zeros(2, 10 * CONTEXT, 2, dtype=torch.long)
    place = torch.arange(10 * CONTEXT)
    behind = place[:, None] - place
    band = ((behind >= 0) & (behind < CONTEXT))[None, None].expand(2, 1, -1, -1)
    with torch.inference_mode():
        decoder = Decoder(network, 2, CONTEXT)
        embedded = network.embed(tokens, columns)
        steps = torch.stack([decoder.step(embedded[:, k]) for k in range(len(place))], 1)
        hidden = network.body(inputs_embeds=embedded, attention_mask=band).last_hidden_state
        whole = network.head(hidden)
        near = network(tokens[:, -CONTEXT:], columns[:, -CONTEXT:])[:, -1]
    torch.testing.assert_close(steps, whole, atol=1e-4 * float(whole.abs().max()), rtol=0)
    assert (near - whole[:, -1]).abs().max() > 1e-2 * whole.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize(
    "tokenization", [fields.build({}), joint_bpe.build({"merges": 40})], ids=["fields", "joint_bpe"]
)
def test_rate_doesnt_drift_over_many_contexts(tokenization) -> None:
    """Traces of hundreds of tokens from a context of 16: each third as dense as the first, and as training's."""
    windows = 6
    train = [make_trace("player", [1] * windows, seed) for seed in range(10)]
    gpt = build(Method({}, tokenization, Context(CONTEXT), Conditioning("trajectory")))
    network = {
        "layers": 1,
        "width": 48,
        "heads": 2,
        "inner": 96,
        "steps": 150,
        "batch_tokens": 1024,
        "learning_rate": 0.01,
    }
    gpt.fit(_corpus(train), Budget("tiny", 120, 120, network=network), 0, QUIET)
    longer = Condition(
        "player", 6.0 * windows, 2.0, replace(Labels.unknown(3 * windows), rung=np.ones(3 * windows, np.int8))
    )
    # One trace may be twice as dense as another: means of fewer would differ by chance as far as is allowed.
    made = list(gpt.sample([longer] * 32, 0))
    assert min(len(tokenization.encode(trace)) for trace in made) > 10 * CONTEXT
    thirds = np.mean([_rates(trace.packets.ts, longer.duration, 3) for trace in made], axis=0)
    real = np.mean([_rates(trace.packets.ts, trace.condition.duration, 1) for trace in train])
    assert np.abs(np.log2(thirds / thirds[0])).max() < 0.5
    assert np.abs(np.log2(thirds / real)).max() < 1


def _rates(ts, seconds, parts):
    """Packets a second in each part of a trace."""
    return np.histogram(ts / 1e9, parts, (0, seconds))[0] / (seconds / parts)


def _corpus(traces):
    return Corpus("made", "made", 2.0, traces[:8], traces[8:], traces[8:], (144, 240, 360, 480), traces[0].client)
