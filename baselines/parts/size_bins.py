"""Payload sizes as numbers: the common sizes of training each by itself, all others in narrow bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.sketches import REQUEST_BYTES, TCP_REQUEST_BYTES

WIDTH, FINE = 8, 1536  # bytes of a bin, up to which size
COARSE, LARGEST = 1024, 65_535  # bytes of a bin above, up to the largest size there is
_COMMON = 0.001  # the share from which a size stands by itself


class SizeBins:
    """Bin 0 is the empty payload. A size is off by less than its bin: 8 bytes to 1,536, then 1,024; 0 if common."""

    def __init__(self, common: Sequence[int] = ()) -> None:
        """common: sizes that are bins by themselves."""
        edges = {0, 1, REQUEST_BYTES, TCP_REQUEST_BYTES, LARGEST + 1}
        edges |= set(range(WIDTH, FINE + 1, WIDTH)) | set(range(FINE, LARGEST, COARSE))
        edges |= {edge for size in common for edge in (size, size + 1)}
        self.common = tuple(sorted(common))
        self.low = np.array(sorted(edges), np.int64)
        # The middle, rounded down: a bin of one size stands for it.
        self.values = (self.low[:-1] + self.low[1:] - 1) // 2

    def __len__(self) -> int:
        return len(self.values)

    @staticmethod
    def learn(sizes: NDArray[np.int64]) -> SizeBins:
        """Find the common sizes of training packets."""
        found, counts = np.unique(sizes.clip(0, LARGEST), return_counts=True)
        return SizeBins(found[counts >= max(3, _COMMON * len(sizes))].tolist())

    def names(self) -> tuple[str, ...]:
        """Name of each bin."""
        return tuple(f"{low}-{high - 1} bytes" for low, high in zip(self.low[:-1], self.low[1:], strict=True))

    def encode(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bin of each size; what is out of range counts as the nearest."""
        return np.asarray(np.searchsorted(self.low, sizes.clip(0, LARGEST), "right") - 1)
