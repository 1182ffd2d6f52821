"""The network: Mamba-2 layers over token embeddings to which the state at each position is added.

A layer's weights are named and laid out as in transformers' Mamba2 of one group. On a GPU its mixer, which uses fused
kernels where they are installed, is trained with those weights in the place of this folder's scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from baselines.mamba.scan import scan, step

_LEAST_STEP, _MOST_STEP = 0.001, 0.1  # of dt at the start, as published
_EPSILON = 1e-5
Scan = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Shape:
    """Sizes: layers, width; ``state`` numbers kept for each channel; channels a head; kernel of the convolution."""

    layers: int = 2
    width: int = 128
    state: int = 32
    channels: int = 32
    kernel: int = 4

    @property
    def inner(self) -> int:
        """Width within a layer."""
        return 2 * self.width


class Layer(nn.Module):
    """One Mamba-2 mixer with the norm ahead of it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        heads, mixed = shape.inner // shape.channels, shape.inner + 2 * shape.state
        self.before = nn.RMSNorm(shape.width, _EPSILON)
        self.in_proj = nn.Linear(shape.width, shape.inner + mixed + heads, bias=False)
        self.conv1d = nn.Conv1d(mixed, mixed, shape.kernel, groups=mixed, padding=shape.kernel - 1)
        width = torch.exp(torch.empty(heads).uniform_(*torch.tensor([_LEAST_STEP, _MOST_STEP]).log().tolist()))
        self.dt_bias = nn.Parameter(width + torch.log(-torch.expm1(-width)))
        self.A_log = nn.Parameter(torch.log(torch.empty(heads).uniform_(1, 16)))
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = nn.RMSNorm(shape.inner, _EPSILON)
        self.out_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix [rows, t, width] along t."""
        gate, mixed, dt = self._project(x)
        mixed = silu(self.conv1d(mixed.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        return x + self._close(self._mix(mixed, dt, scan), gate)

    def step(self, x: Tensor, past: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take one position, [rows, width]; past: [rows, kernel - 1, mixed]; state: see ``scan.step``."""
        gate, mixed, dt = self._project(x)
        window = torch.cat([past, mixed[:, None]], 1)
        bias = self.conv1d.bias
        mixed = silu(torch.einsum("rkm,mk->rm", window, self.conv1d.weight[:, 0]) + (0 if bias is None else bias))
        held = [state]

        def run(values: Tensor, rate: Tensor, into: Tensor, out: Tensor) -> Tensor:
            y, held[0] = step(held[0], values, rate, into, out)
            return y

        y = self._mix(mixed, dt, run)
        return x + self._close(y, gate), window[:, 1:], held[0]

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gate, what the convolution mixes, and the step's width of each head."""
        inner, state = self.shape.inner, self.shape.state
        parts = self.in_proj(self.before(x)).split([inner, inner + 2 * state, len(self.D)], -1)
        return parts[0], parts[1], softplus(parts[2] + self.dt_bias)

    def _mix(self, mixed: Tensor, dt: Tensor, run: Scan) -> Tensor:
        values, into, out = mixed.split([self.shape.inner, self.shape.state, self.shape.state], -1)
        values = values.unflatten(-1, (len(self.D), self.shape.channels))
        y = run(values * dt[..., None], -dt * self.A_log.exp(), into, out) + values * self.D[:, None]
        return y.flatten(-2)

    def _close(self, y: Tensor, gate: Tensor) -> Tensor:
        closed: Tensor = self.out_proj(self.norm(y * silu(gate)))
        return closed


class Network(nn.Module):
    """Embeds tokens and state columns, mixes, and scores the tokens that the network has to choose.

    What it shows is what ``baselines.gpt.model.Network`` shows, so that both are trained and sampled alike.
    """

    starts: Tensor
    chosen: Tensor

    def __init__(self, shape: Shape, vocabulary: int, columns: Sequence[int], chosen: Sequence[int]) -> None:
        """columns: number of values of each state column. chosen: the tokens that are scored, ascending."""
        super().__init__()
        self.shape = shape
        self._mixers: list[Any] = []
        self.token = nn.Embedding(vocabulary, shape.width)
        self.state = nn.Embedding(max(1, sum(columns)), shape.width)
        starts = torch.tensor([0, *columns], dtype=torch.long).cumsum(0)[:-1] if columns else torch.zeros(0).long()
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("chosen", torch.tensor(list(chosen), dtype=torch.long), persistent=False)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.last = nn.RMSNorm(shape.width, _EPSILON)
        self.head = nn.Linear(shape.width, len(chosen), bias=False)
        for table in (self.token, self.state, self.head):
            nn.init.normal_(table.weight, std=0.02)

    def embed(self, tokens: Tensor, columns: Tensor, kept: Tensor | None = None) -> Tensor:
        """Embed tokens [..., t] and columns [..., t, k] as [..., t, width]; ``kept`` scales token embeddings."""
        token: Tensor = self.token(tokens)
        if kept is not None:
            token = token * kept[..., None]
        return token + self.state(columns + self.starts).sum(-2) if columns.shape[-1] else token

    def forward(self, tokens: Tensor, columns: Tensor, kept: Tensor | None = None) -> Tensor:
        """Score the next token at every position: [rows, t] to [rows, t, chosen]."""
        x = self.embed(tokens, columns, kept)
        if x.device.type != "cuda":
            for layer in self.layers:
                x = layer(x)
            return self.score(x)
        for layer, mixer in zip(self.mixing(), self._published(), strict=True):
            x = x + mixer(layer.before(x))
        return self.score(x)

    def mixing(self) -> list[Layer]:
        """Return the layers by their own type, which a ``ModuleList`` doesn't tell."""
        return [cast(Layer, layer) for layer in self.layers]

    def _published(self) -> list[Any]:
        """Return transformers' mixers; kept beside the modules, whose weights they share."""
        if not self._mixers:
            self._mixers.extend(published_mixer(layer) for layer in self.mixing())
        for mixer in self._mixers:
            mixer.train(self.training)
        return self._mixers

    def score(self, x: Tensor) -> Tensor:
        """Score what the last layer gave, [..., width]."""
        scores: Tensor = self.head(self.last(x))
        return scores

    def decoder(self, rows: int, length: int) -> Decoder:
        """Start a batch of rows; the state is of one size however long they get, so ``length`` isn't needed."""
        return Decoder(self, rows)


class Decoder:
    """States of a batch of rows that started together, for one step at a time."""

    def __init__(self, network: Network, rows: int) -> None:
        self._network, self._layers = network, network.mixing()
        shape, device = network.shape, network.head.weight.device
        mixed, heads = shape.inner + 2 * shape.state, shape.inner // shape.channels
        self._past = [torch.zeros(rows, shape.kernel - 1, mixed, device=device) for _ in self._layers]
        self._state = [torch.zeros(rows, heads, shape.state, shape.channels, device=device) for _ in self._layers]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._past = [past[rows] for past in self._past]
        self._state = [state[rows] for state in self._state]

    def step(self, x: Tensor) -> Tensor:
        """Take the embedding of one more position, [rows, width]; return scores [rows, chosen]."""
        for k, layer in enumerate(self._layers):
            x, self._past[k], self._state[k] = layer.step(x, self._past[k], self._state[k])
        return self._network.score(x)


def published_mixer(layer: Layer) -> nn.Module:
    """Return transformers' Mamba-2 mixer with the weights of a layer, not a copy of them."""
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    shape = layer.shape
    config = Mamba2Config(
        num_heads=len(layer.D), head_dim=shape.channels, hidden_size=shape.width, state_size=shape.state, expand=2,
        n_groups=1, conv_kernel=shape.kernel, num_hidden_layers=1, layer_norm_epsilon=_EPSILON, use_bias=False,
    )  # fmt: skip
    mixer = Mamba2Mixer(config, 0)
    for name in ("in_proj", "conv1d", "dt_bias", "A_log", "D", "out_proj"):
        setattr(mixer, name, getattr(layer, name))
    mixer.norm.weight = layer.norm.weight
    return mixer
