"""Sampling against transformers' ``generate``: same weights, batch 32, one thread, same masks.

Run by ``python -m tests.baselines.perf_sampling``; prints tokens per second side by side. Both draw at
temperature 1 without truncation. The network has no state columns, since ``generate`` embeds tokens alone.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, LogitsProcessorList

from baselines.gpt.model import Network, Shape
from baselines.gpt.sampling import write_traces

ROWS, TOKENS, VOCABULARY, CONTEXT = 32, 256, 900, 256


class MaskWriter:
    """Legal tokens by the state that the last token led to, for a fixed number of tokens."""

    def __init__(self, masks: np.ndarray, following: np.ndarray) -> None:
        self._masks, self._following = masks, following
        self._state = np.zeros(ROWS, np.int64)
        self._left = TOKENS

    def mask(self) -> np.ndarray:
        return self._masks[self._state]

    def columns(self) -> np.ndarray:
        return np.zeros((ROWS, 0), np.int64)

    def push(self, tokens: np.ndarray) -> np.ndarray:
        self._state = self._following[tokens]
        self._left -= 1
        return np.full(ROWS, self._left == 0)

    def keep(self, rows: np.ndarray) -> None:
        self._state = self._state[rows]


class MaskProcessor(LogitsProcessor):
    """The same masks for ``generate``."""

    def __init__(self, masks: np.ndarray, following: np.ndarray) -> None:
        self._masks, self._following = torch.from_numpy(masks), torch.from_numpy(following)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        state = self._following[input_ids[:, -1]] if input_ids.shape[1] > 1 else torch.zeros(len(scores)).long()
        return scores.masked_fill(~self._masks[state], -torch.inf)


def make_networks() -> tuple[Network, LlamaForCausalLM]:
    """Return our network and transformers' own model with the same weights."""
    torch.manual_seed(0)
    shape = Shape()
    network = Network(shape, VOCABULARY, (), range(VOCABULARY)).eval()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.keys,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    theirs = LlamaForCausalLM(config).eval()
    missing = theirs.model.load_state_dict(network.body.state_dict() | {"embed_tokens.weight": network.token.weight})
    assert not missing.missing_keys
    theirs.lm_head.load_state_dict(network.head.state_dict())
    return network, theirs


def measure() -> dict[str, float]:
    """Return tokens per second of both, the best of three turns each, by turns."""
    torch.set_num_threads(1)
    network, theirs = make_networks()
    random = np.random.default_rng(0)
    masks = random.random((8, VOCABULARY)) < 0.7
    following = random.integers(0, 8, VOCABULARY)
    best = {"ours": 0.0, "generate": 0.0}
    for _ in range(3):
        began = time.perf_counter()
        written = write_traces(network, MaskWriter(masks, following), list(range(ROWS)), CONTEXT, 0)
        best["ours"] = max(best["ours"], written / (time.perf_counter() - began))
        began = time.perf_counter()
        with torch.inference_mode():
            made = theirs.generate(
                torch.zeros(ROWS, 1, dtype=torch.long),
                attention_mask=torch.ones(ROWS, 1, dtype=torch.long),
                max_new_tokens=TOKENS,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                temperature=1.0,
                logits_processor=LogitsProcessorList([MaskProcessor(masks, following)]),
            )
        taken = time.perf_counter() - began
        best["generate"] = max(best["generate"], ROWS * (made.shape[1] - 1) / taken)
    return best


if __name__ == "__main__":
    speed = measure()
    print(f"sampling, batch {ROWS}, {TOKENS} tokens, one thread")
    print(f"  ours      {speed['ours']:>9,.0f} tokens/s")
    print(f"  generate  {speed['generate']:>9,.0f} tokens/s")
    print(f"  ratio     {speed['ours'] / speed['generate']:>9.2f}")
