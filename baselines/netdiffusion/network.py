"""The network of ``baselines.netdiffusion``: a U-Net over packets that says which colour each pixel has.

A cell of its input is one packet, whose pixels are the cell's channels, and the packets fill a raster line by
line. A header's columns aren't alike anywhere, so nothing is shared between them; between packets, all is.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DModel
from torch.nn.functional import binary_cross_entropy_with_logits, pad

# A pixel's own evidence weighs no more than this. With all of it, a pixel that the sampler got wrong early would
# prove itself right at every later step; so the network, which sees the others, has the last word.
_MOST_EVIDENCE = 2.0
# Odds of a sure pixel are about 8, where a network starts near 0: this shortens the way.
_REACH = 4.0


def paint(pixels: torch.Tensor) -> torch.Tensor:
    """Colour pixels, -1, 0 and 1 [n, rows, columns], as float32 [n, rows, 2 columns]: presence, then bit.

    Absent is (-1, 0), and the two bits are (1, -1) and (1, 1): no colour lies between two others, so that
    doubt about a bit isn't mistaken for its absence.
    """
    present = (pixels >= 0).float()
    return torch.cat([2 * present - 1, present * (2 * pixels.float() - 1)], dim=2)


def quantise(colours: torch.Tensor) -> torch.Tensor:
    """Return the pixels, int8 [n, rows, columns], whose colours are nearest to [n, rows, 2 columns]."""
    presence, bit = colours.chunk(2, dim=2)
    absent = (presence + 1) ** 2 + bit**2
    present = (presence - 1) ** 2 + (bit.abs() - 1) ** 2
    return torch.where(absent < present, -1, (bit > 0).int()).to(torch.int8)


class Denoiser(torch.nn.Module):
    """Tells the clean colours of noisy images.

    rows, columns: of an image. across: packets in a line of the raster. channels: of each level of the U-Net.
    classes: how many, class 0 (none) included.
    """

    def __init__(
        self, rows: int, columns: int, across: int, channels: tuple[int, ...], layers: int, classes: int
    ) -> None:
        super().__init__()
        step = 2 ** (len(channels) - 1)
        self.rows, self.depth = rows, 2 * columns
        self.across = -(-across // step) * step
        self.down = -(-rows // (self.across * step)) * step
        self.unet = UNet2DModel(
            in_channels=self.depth,
            out_channels=self.depth,
            layers_per_block=layers,
            block_out_channels=channels,
            down_block_types=("DownBlock2D",) * len(channels),
            up_block_types=("UpBlock2D",) * len(channels),
            attention_head_dim=min(32, channels[-1]),
            norm_num_groups=8,
            num_class_embeds=classes,
        )
        # With this many channels, kernels of 3 x 3 at both ends would cost more than all between them.
        self.unet.conv_in = torch.nn.Conv2d(self.depth, channels[0], 1)
        self.unet.conv_out = torch.nn.Conv2d(channels[0], self.depth, 1)
        self.prior = torch.nn.Embedding(classes, self.depth)

    @torch.no_grad()
    def start_from(self, share: torch.Tensor) -> None:
        """Begin with the odds of each class: the share of +1 among its colours, [classes, 2 columns].

        Without it, most of a short training goes into pixels that hardly ever change.
        """
        self.prior.weight.copy_(torch.logit(share))

    def forward(
        self, noisy: torch.Tensor, signal: torch.Tensor, times: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        """Return the odds (logits) of presence and bit, [n, rows, 2 columns], of colours that were noised.

        signal: the variance's share that is signal, float32 [n]. times: steps of noise, int64 [n] or one.
        What a pixel's own noisy value says of it is known (two colours at distance 2 in Gaussian noise), so
        that the network has mostly to learn what the others say.
        """
        lines = pad(noisy, (0, 0, 0, self.down * self.across - self.rows))
        cells = lines.reshape(len(noisy), self.down, self.across, self.depth).permute(0, 3, 1, 2)
        told = self.unet(cells, times, classes).sample
        odds = _REACH * told.permute(0, 2, 3, 1).reshape(len(noisy), -1, self.depth)[:, : self.rows]
        evidence = (2 * signal.sqrt() / (1 - signal)).clamp(max=_MOST_EVIDENCE)
        told_and_seen: torch.Tensor = odds + self.prior(classes)[:, None] + evidence[:, None, None] * noisy
        return told_and_seen


def expect(odds: torch.Tensor) -> torch.Tensor:
    """Return the expected colours under the odds, [n, rows, 2 columns]."""
    presence, bit = odds.chunk(2, dim=2)
    return torch.cat([torch.tanh(presence / 2), torch.sigmoid(presence) * torch.tanh(bit / 2)], dim=2)


def cross_entropy(odds: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy in nats of clean colours under the odds; an absent pixel has no bit."""
    presence, bit = odds.chunk(2, dim=2)
    there, value = clean.chunk(2, dim=2)
    seen = (there > 0).float()
    surprise = binary_cross_entropy_with_logits(presence, seen, reduction="none")
    surprise = surprise + seen * binary_cross_entropy_with_logits(bit, (value > 0).float(), reduction="none")
    return surprise.mean()
