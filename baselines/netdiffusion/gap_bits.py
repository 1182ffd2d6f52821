"""The time since the packet before, as pixels: eight bits of a logarithmic scale, in Gray code.

A step is 8.5 % wide, and ``read_gaps`` draws a place in it. In Gray code (US patent 2632058, 1953) neighbouring steps
differ in one pixel, so that doubt between them is doubt about one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 8
SHORTEST = 100.0  # ns: what is below is 0
OCTAVES = 30.0  # up to 107 s
_STEPS = 1 << BITS
_PLACES = np.arange(BITS)[::-1]


def write_gaps(gaps: NDArray[np.int64]) -> NDArray[np.int8]:
    """Write gaps in ns, int64 [n], as bits, int8 [n, 8]; those beyond the scale's ends stand at its ends."""
    octave = np.log2(np.maximum(gaps, SHORTEST) / SHORTEST)
    step = np.minimum((octave * (_STEPS / OCTAVES)).astype(np.int64), _STEPS - 1)
    step = np.where(gaps < SHORTEST, 0, np.maximum(step, 1))
    code = step ^ (step >> 1)
    bits: NDArray[np.int8] = ((code[:, None] >> _PLACES) & 1).astype(np.int8)
    return bits


def read_gaps(bits: NDArray[np.int8], random: np.random.Generator) -> NDArray[np.int64]:
    """Return gaps in ns, int64 [n], each drawn from its step; step 0 is 0."""
    step = ((np.cumsum(bits == 1, axis=1) & 1) << _PLACES).sum(axis=1)
    octave = (step + random.random(len(step))) * (OCTAVES / _STEPS)
    return np.where(step == 0, 0, SHORTEST * 2**octave).astype(np.int64)
