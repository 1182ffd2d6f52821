"""Gaps between packets as numbers: logarithmic bins of one relative width, the same for every corpus."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_DECADE, DECADES = 2, 10  # log10 ns: 100 ns to 1,000 s
SHORTEST = 10**FIRST_DECADE  # ns; what is shorter is 0
LONGEST = 10 ** (FIRST_DECADE + DECADES)  # ns; what is longer is cut to the last bin


class GapBins:
    """Bin 0 is a gap below 100 ns and comes back as 0; all others come back as the middle of their bin.

    A gap up to 1,000 s is off by ``bound`` of itself at most, or by 100 ns.
    """

    def __init__(self, per_decade: int) -> None:
        if not 1 <= per_decade <= 256:
            raise ValueError(f"gap bins per decade must be from 1 to 256, not {per_decade}")
        self._per_decade = per_decade

    def __len__(self) -> int:
        return 1 + DECADES * self._per_decade

    @property
    def bound(self) -> float:
        """Largest relative error of a gap."""
        return float(10 ** (0.5 / self._per_decade) - 1)

    @cached_property
    def values(self) -> NDArray[np.int64]:
        """What each bin stands for, int64 [bins], ns."""
        middles = 10 ** (FIRST_DECADE + (np.arange(len(self) - 1) + 0.5) / self._per_decade)
        return np.concatenate([[0], np.rint(middles)]).astype(np.int64)

    def names(self) -> tuple[str, ...]:
        """Name of each bin, in microseconds."""
        return tuple(f"gap {value / 1000:.4g}us" for value in self.values)

    def encode(self, gap: NDArray[Any]) -> NDArray[np.int64]:
        """Return the bin of each gap in ns; what is below 0 counts as 0."""
        logs = np.log10(np.maximum(gap, SHORTEST).astype(float)) - FIRST_DECADE
        bins = np.floor(logs * self._per_decade).astype(np.int64).clip(0, len(self) - 2) + 1
        return np.asarray(np.where(np.asarray(gap) < SHORTEST, 0, bins), np.int64)
