"""Spans of a byte buffer copied one after another, without an index a byte (eight times the bytes)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


def gather(
    buffer: NDArray[np.uint8], start: NDArray[np.int64], size: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Copy the spans ``buffer[start[i]:start[i] + size[i]]`` one after another; return (data, offsets)."""
    offsets = np.zeros(len(start) + 1, np.int64)
    np.cumsum(size, out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    _copy(buffer, start, offsets, data)
    return data, offsets


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy(buffer: Any, start: Any, offsets: Any, data: Any) -> None:
    for i in range(len(start)):
        size = offsets[i + 1] - offsets[i]
        data[offsets[i] : offsets[i + 1]] = buffer[start[i] : start[i] + size]
