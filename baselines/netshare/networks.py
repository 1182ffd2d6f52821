"""The networks of ``baselines.netshare``: a generator of chunks, and critics trained by the Wasserstein distance.

DoppelGANger's (Lin et al., IMC 2020): attributes come first, from an MLP; an LSTM then makes the series a few packets a
step, seeing the attributes at each; one critic judges both, an auxiliary one the attributes alone; both keep a gradient
of about one by a penalty (Gulrajani et al., NeurIPS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """rows: packets a chunk. kinds: values of a packet's discrete field. attributes: numbers of a chunk.

    told: width of the condition. width: of hidden layers. layers: of the critics. together: packets a step of the LSTM.
    noise: numbers drawn for the attributes, and for each step.
    """

    rows: int
    kinds: int
    told: int
    attributes: int = 2
    width: int = 96
    layers: int = 3
    together: int = 4
    noise: int = 8

    @property
    def features(self) -> int:
        """Numbers of a packet: shares of the kinds, and the gap."""
        return self.kinds + 1


class ChunkGenerator(nn.Module):
    """Makes attributes and series from noise and the condition."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        if sizes.rows % sizes.together:
            raise ValueError(f"{sizes.rows} rows can't be made {sizes.together} at a time")
        self.sizes = sizes
        self.attributes = nn.Sequential(
            nn.Linear(sizes.noise + sizes.told, sizes.width), nn.ReLU(),
            nn.Linear(sizes.width, sizes.width), nn.ReLU(),
            nn.Linear(sizes.width, sizes.attributes), nn.Sigmoid(),
        )  # fmt: skip
        self.series = nn.LSTM(sizes.noise + sizes.told + sizes.attributes, sizes.width, batch_first=True)
        self.out = nn.Linear(sizes.width, sizes.together * sizes.features)

    def forward(self, told: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return attributes [n, attributes] and series [n, rows, features], all within 0 and 1.

        told: [n, told]. noise: [n, 1 + rows / together, noise], as ``draw_noise`` gives it.
        """
        sizes = self.sizes
        attributes = self.attributes(torch.cat([noise[:, 0], told], 1))
        seen = torch.cat([told, attributes], 1)[:, None].expand(-1, noise.shape[1] - 1, -1)
        hidden, _ = self.series(torch.cat([noise[:, 1:], seen], 2))
        packets = self.out(hidden).view(len(told), sizes.rows, sizes.features)
        kinds, gap = torch.softmax(packets[..., :-1], -1), torch.sigmoid(packets[..., -1:])
        return attributes, torch.cat([kinds, gap], -1)

    def draw_noise(self, count: int, random: torch.Generator) -> Tensor:
        """Draw noise for ``count`` chunks."""
        sizes = self.sizes
        return torch.randn(count, 1 + sizes.rows // sizes.together, sizes.noise, generator=random)


def critic(inputs: int, sizes: Sizes) -> nn.Sequential:
    """Return a critic: an MLP from [n, inputs] to a score [n, 1]."""
    layers: list[nn.Module] = []
    for _ in range(sizes.layers):
        layers += [nn.Linear(inputs, sizes.width), nn.ReLU()]
        inputs = sizes.width
    return nn.Sequential(*layers, nn.Linear(inputs, 1))


def gradient_penalty(judge: nn.Module, real: Tensor, made: Tensor, random: torch.Generator) -> Tensor:
    """Return the mean squared distance from 1 of the gradient's norm, between ``real`` and ``made``, [n, d] each."""
    share = torch.rand(len(real), 1, generator=random).to(real.device)
    between = (share * real + (1 - share) * made).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    return ((slope.square().sum(1) + 1e-12).sqrt() - 1).square().mean()
