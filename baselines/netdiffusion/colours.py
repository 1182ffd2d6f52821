"""Colours of pixels, as real numbers that noise can be added to: is there a bit, and which.

Bits as real numbers of which the clean value is predicted follow Chen et al., "Analog Bits" (ICLR 2023). Absent is
(-1, 0), and the two bits are (1, -1) and (1, 1): no colour lies between two others, so that doubt about a bit isn't
mistaken for its absence. A header's columns are there together or not at all, so each group of them has one channel
for presence.
"""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


class Palette:
    """Channels of an image: one of presence for each group of columns, then one for each column's bit.

    groups: int64 [columns], the number of each column's group, from 0 on.
    """

    def __init__(self, groups: torch.Tensor) -> None:
        self.groups = groups
        self.presences = int(groups.max()) + 1
        # A column that stands for its group: any will do, as they are absent together.
        self._first = torch.stack([(groups == group).nonzero()[0, 0] for group in range(self.presences)])

    @property
    def depth(self) -> int:
        """How many channels there are."""
        return self.presences + len(self.groups)

    def paint(self, pixels: torch.Tensor) -> torch.Tensor:
        """Colour pixels, -1, 0 and 1 [n, rows, columns], as float32 [n, rows, depth]."""
        presence = 2 * (pixels[..., self._first] >= 0).float() - 1
        return torch.cat([presence, torch.where(pixels < 0, 0, 2 * pixels - 1).float()], dim=-1)

    def quantise(self, colours: torch.Tensor) -> torch.Tensor:
        """Return the pixels, int8 [n, rows, columns], whose colours are nearest to [n, rows, depth]."""
        presence, bit = self._parts(colours)
        return torch.where(presence[..., self.groups] < 0, -1, (bit > 0).int()).to(torch.int8)

    def expect(self, odds: torch.Tensor) -> torch.Tensor:
        """Return the expected colours under odds (logits), both [n, rows, depth]."""
        presence, bit = self._parts(odds)
        return torch.cat([torch.tanh(presence / 2), presence.sigmoid()[..., self.groups] * torch.tanh(bit / 2)], -1)

    def cross_entropy(self, odds: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy in nats a column of clean colours under odds; what is absent has no bit."""
        presence, bit = self._parts(odds)
        there, value = self._parts(clean)
        surprise = binary_cross_entropy_with_logits(presence, (there > 0).float(), reduction="sum")
        weight = (value != 0).float()
        surprise = surprise + binary_cross_entropy_with_logits(bit, (value > 0).float(), weight, reduction="sum")
        return surprise / value.numel()

    def _parts(self, channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return channels[..., : self.presences], channels[..., self.presences :]
