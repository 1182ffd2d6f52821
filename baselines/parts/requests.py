"""The rows that open segments, and the payloads that requests have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.chains import Pools, learn_pools
from baselines.parts.classes import Example
from baselines.parts.sketches import SLICE, find_openings
from benchmark.synthesis.sketch import Sketch


def opening_rows(sketch: Sketch) -> NDArray[np.int64]:
    """Return the rows that open segments: the first, and every later request; of a call, every second's first."""
    if len(sketch) == 0:
        return np.zeros(0, np.int64)
    if sketch.transport == "rtp":
        second = sketch.ts // SLICE
        return np.unique(np.searchsorted(second, np.unique(second)))
    return np.union1d([0], np.flatnonzero(find_openings(sketch))).astype(np.int64)


def learn_requests(examples: Sequence[Example], applications: Sequence[str]) -> Pools:
    """Learn the payloads of the rows that open segments, by application, but for the first of all."""
    keys, values = [], []
    for example in examples:
        opening = opening_rows(example.sketch)
        opening = opening[1:] if len(opening) > 1 else opening
        keys.append(np.full(len(opening), applications.index(example.application)))
        values.append(example.sketch.payload[opening].astype(np.int64))
    return learn_pools(np.concatenate(keys), np.concatenate(values), len(applications))
