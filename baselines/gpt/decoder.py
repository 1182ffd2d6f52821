"""One decoding step by hand on Llama's weights: all rows at one position, keys and values in a ring.

RMSNorm (Zhang and Sennrich 2019), rotary positions (Su et al. 2021), SwiGLU (Shazeer 2020), grouped queries
(Ainslie et al. 2023), as in transformers' Llama. Positions only enter by their difference, so a trace may outgrow
the ring: the oldest key is overwritten, and the context slides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.gpt.model import Network


class Decoder:
    """Keys and values of a batch of rows that started together, and the weights folded for one step."""

    def __init__(self, network: Network, rows: int, length: int) -> None:
        """length: how many positions are seen at once."""
        config = network.body.config
        self._heads, self._keys = config.num_attention_heads, config.num_key_value_heads
        self._size = config.hidden_size // self._heads
        self._epsilon = config.rms_norm_eps
        self._length = length
        self._step = 0
        self._layers = []
        for layer in network.body.layers:
            attention, feed = layer.self_attn, layer.mlp
            before, between = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
            joined = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
            spread = torch.cat([feed.gate_proj.weight, feed.up_proj.weight])
            weights = (
                (joined * before).t(),
                attention.o_proj.weight.t(),
                (spread * between).t(),
                feed.down_proj.weight.t(),
            )
            self._layers.append(tuple(weight.detach().contiguous() for weight in weights))
        self._head = (network.head.weight * network.body.norm.weight).t().detach().contiguous()
        self._frequencies = network.body.rotary_emb.inv_freq.double()
        device = self._head.device
        shape = (rows * self._keys, length, self._size)
        self._past = [(torch.zeros(shape, device=device), torch.zeros(shape, device=device)) for _ in self._layers]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        index = (rows[:, None] * self._keys + torch.arange(self._keys, device=rows.device)).flatten()
        self._past = [(keys[index], values[index]) for keys, values in self._past]

    def step(self, x: Tensor) -> Tensor:
        """Take the embedding of one more position, [rows, width]; return scores [rows, chosen]."""
        rows, heads, keys, size = len(x), self._heads, self._keys, self._size
        angles = self._frequencies * self._step
        cosine = torch.cat([angles.cos(), angles.cos()]).float()
        sine = torch.cat([-angles.sin(), angles.sin()]).float()
        slot, seen = self._step % self._length, min(self._step + 1, self._length)
        for (joined, out, spread, down), (past_keys, past_values) in zip(self._layers, self._past, strict=True):
            mixed = (self._norm(x) @ joined).view(rows, heads + 2 * keys, size)
            turned = mixed[:, : heads + keys]
            turned = turned * cosine + turned.roll(size // 2, -1) * sine
            past_keys[:, slot] = turned[:, heads:].reshape(rows * keys, size)
            past_values[:, slot] = mixed[:, heads + keys :].reshape(rows * keys, size)
            query = turned[:, :heads].reshape(rows * keys, heads // keys, size) * size**-0.5
            weight = torch.softmax(torch.bmm(query, past_keys[:, :seen].transpose(1, 2)), -1)
            x = x + torch.bmm(weight, past_values[:, :seen]).reshape(rows, heads * size) @ out
            gate, up = (self._norm(x) @ spread).chunk(2, -1)
            x = x + (torch.nn.functional.silu(gate) * up) @ down
        self._step += 1
        return self._norm(x) @ self._head

    def _norm(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self._epsilon)
