"""The network: transformers' Llama over token embeddings to which the state at each position is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel

if TYPE_CHECKING:
    from baselines.gpt.decoder import Decoder


@dataclass(frozen=True)
class Shape:
    """Sizes of a network: layers, width, heads, keys (key-value heads), inner width of the feed-forward part."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    keys: int = 1
    inner: int = 256


class Network(nn.Module):
    """Embeds tokens and state columns, runs Llama, and scores the tokens that the network has to choose.

    A vocabulary's tokens that the tokenization draws itself have an embedding but no score.
    """

    starts: Tensor
    chosen: Tensor

    def __init__(self, shape: Shape, vocabulary: int, columns: Sequence[int], chosen: Sequence[int]) -> None:
        """columns: number of values of each state column. chosen: the tokens that are scored, ascending."""
        super().__init__()
        self.shape = shape
        self.token = nn.Embedding(vocabulary, shape.width)
        self.state = nn.Embedding(max(1, sum(columns)), shape.width)
        starts = torch.tensor([0, *columns], dtype=torch.long).cumsum(0)[:-1] if columns else torch.zeros(0).long()
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("chosen", torch.tensor(list(chosen), dtype=torch.long), persistent=False)
        config = LlamaConfig(
            vocab_size=1,
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.keys,
            max_position_embeddings=1 << 20,
            attn_implementation="sdpa",
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
        self.body = LlamaModel(config)
        self.head = nn.Linear(shape.width, len(chosen), bias=False)
        for table in (self.token, self.state):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)

    def embed(self, tokens: Tensor, columns: Tensor, kept: Tensor | None = None) -> Tensor:
        """Embed tokens [..., t] and columns [..., t, k] as [..., t, width]; ``kept`` scales token
        embeddings.
        """
        token = self.token(tokens)
        if kept is not None:
            token = token * kept[..., None]
        return token + self.state(columns + self.starts).sum(-2) if columns.shape[-1] else token

    def forward(self, tokens: Tensor, columns: Tensor, kept: Tensor | None = None) -> Tensor:
        """Score the next token at every position: [rows, t] to [rows, t, chosen]."""
        hidden = self.body(inputs_embeds=self.embed(tokens, columns, kept)).last_hidden_state
        return self.head(hidden)

    def decoder(self, rows: int, length: int) -> Decoder:
        """Start a batch of rows, of which ``length`` positions are seen at once, for one step at a time."""
        from baselines.gpt.decoder import Decoder

        return Decoder(self, rows, length)
