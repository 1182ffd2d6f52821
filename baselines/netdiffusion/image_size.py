"""Sizes of an image model, from the section ``image`` of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from benchmark.errors import ConfigError, nearest


@dataclass(frozen=True)
class ImageSize:
    """The budget's section ``image``.

    rows: packets an image has. width, layers, heads: of the network. every_column: all 1,088, used or not.
    learning_rate: its peak. denoise_steps: of DDIM. sample_batch: images a thread makes at once.
    """

    rows: int = 64
    width: int = 160
    layers: int = 3
    heads: int = 4
    every_column: bool = False
    train_steps: int = 600
    batch: int = 32
    learning_rate: float = 2e-3
    denoise_steps: int = 8
    sample_batch: int = 128


def image_size(section: Mapping[str, Any]) -> ImageSize:
    """Read a budget's section ``image``; unknown names raise ConfigError."""
    known = [entry.name for entry in fields(ImageSize)]
    for name in section:
        if name not in known:
            raise ConfigError(f"budget.image has no {name!r}{nearest(name, known)}")
    size = ImageSize(**section)
    if size.width % (2 * size.heads):
        raise ConfigError(f"budget.image.width {size.width}: must be a multiple of twice its {size.heads} heads")
    return size
