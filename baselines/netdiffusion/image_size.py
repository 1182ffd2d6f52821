"""Sizes of an image model, from the section ``image`` of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from benchmark.errors import ConfigError, nearest


@dataclass(frozen=True)
class ImageSize:
    """The budget's section ``image``.

    rows: packets an image has. across: packets in a line of the raster that the U-Net sees.
    channels: of each level of the U-Net. layers: blocks a level. every_column: all 1,088, used or not.
    learning_rate: its peak. denoise_steps: of DDIM. sample_batch: images a thread makes at once.
    """

    rows: int = 64
    across: int = 8
    channels: tuple[int, ...] = (64, 96)
    layers: int = 1
    every_column: bool = False
    train_steps: int = 600
    batch: int = 16
    learning_rate: float = 1.5e-3
    denoise_steps: int = 8
    sample_batch: int = 64


def image_size(section: Mapping[str, Any]) -> ImageSize:
    """Read a budget's section ``image``; unknown names raise ConfigError."""
    known = [entry.name for entry in fields(ImageSize)]
    for name in section:
        if name not in known:
            raise ConfigError(f"budget.image has no {name!r}{nearest(name, known)}")
    values = dict(section)
    if "channels" in values:
        values["channels"] = tuple(int(channels) for channels in values["channels"])
    size = ImageSize(**values)
    if any(channels % 8 for channels in size.channels):
        raise ConfigError(f"budget.image.channels {list(size.channels)}: each must be a multiple of 8")
    return size
