"""The network of ``baselines.netdiffusion``: a transformer over packets that says which colour each pixel has.

A token of its input is one packet, whose pixels are the token's channels (Peebles and Xie, "Scalable diffusion models
with transformers", ICCV 2023, whose patches are squares). A header's columns aren't alike anywhere, so nothing is
shared between them; between packets, all is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# A pixel's own evidence weighs no more than this. With all of it, a pixel that the sampler got wrong early would
# prove itself right at every later step; so the network, which sees the others, has the last word.
_MOST_EVIDENCE = 2.0


class Denoiser(nn.Module):
    """Tells the clean colours of noisy images.

    rows, depth: packets and channels of an image. width, layers, heads: of the transformer. classes: how many,
    class 0 (none) included.
    """

    waves: Tensor

    def __init__(self, rows: int, depth: int, width: int, layers: int, heads: int, classes: int) -> None:
        super().__init__()
        self.read = nn.Linear(depth, width)
        self.places = nn.Parameter(0.02 * torch.randn(rows, width))
        self.classes = nn.Embedding(classes, width)
        self.times = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.tell = nn.Linear(width, depth)
        nn.init.zeros_(self.tell.weight)
        nn.init.zeros_(self.tell.bias)
        self.prior = nn.Embedding(classes, depth)
        self.register_buffer("waves", torch.exp(-math.log(1e4) * torch.arange(width // 2) / (width // 2)), False)

    @torch.no_grad()
    def start_from(self, share: Tensor) -> None:
        """Begin with the odds of each class: the share of +1 among its colours, [classes, depth].

        Without it, most of a short training goes into pixels that hardly ever change.
        """
        self.prior.weight.copy_(torch.logit(share))

    def forward(self, noisy: Tensor, signal: Tensor, times: Tensor, classes: Tensor) -> Tensor:
        """Return the odds (logits) of colours that were noised, [n, rows, depth].

        signal: the variance's share that is signal, float32 [n]. times: steps of noise, int64 [n]. classes: [n].
        What a pixel's own noisy value says of it is known (two colours at distance 2 in Gaussian noise), so
        that the network has mostly to learn what the others say.
        """
        angles = times[:, None].float() * self.waves
        told = self.times(torch.cat([angles.sin(), angles.cos()], -1)) + self.classes(classes)
        tokens = self.read(noisy) + self.places + told[:, None]
        for layer in self.layers:
            tokens = layer(tokens)
        evidence = (2 * signal.sqrt() / (1 - signal)).clamp(max=_MOST_EVIDENCE)
        odds = self.tell(self.norm(tokens)) + self.prior(classes)[:, None]
        return torch.addcmul(odds, evidence[:, None, None], noisy)
