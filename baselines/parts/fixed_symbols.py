"""Joint packet symbols of fixed bins, for chains: direction, payload size and the gap to the packet before.

About a thousand states, the same for every corpus, so that a chain sees each often enough; ``learnt_symbols`` cuts
finer where packets are common, for networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.chains import Pools, draw_from, learn_pools
from baselines.parts.classes import Example
from baselines.parts.sketches import REQUEST_BYTES, TCP_REQUEST_BYTES, gaps_of, request_bytes
from benchmark.synthesis.sketch import Sketch

SIZE_EDGES = np.array(
    [0, 1, 24, 40, TCP_REQUEST_BYTES, REQUEST_BYTES, 112, 200, 320, 512, 900, 1100, 1300, 1400, 1448, 1449]
)
SIZES = len(SIZE_EDGES) + 1
LIKE = SIZES - 1  # the size class of an RTP packet like the last large one of its direction: the same frame
LARGE, LIKENESS = 200, 2  # bytes
PER_DECADE = 4
FIRST_DECADE, DECADES = 2, 9  # gaps from 100 ns to 100 s
GAPS = PER_DECADE * DECADES + 1  # bin 0: anything shorter
SYMBOLS = 2 * SIZES * GAPS


def first_request(transport: str) -> int:
    """Return the first kind that is a request over ``transport``; all above it are, too."""
    return SIZES + int(np.searchsorted(SIZE_EDGES, request_bytes(transport)))


def bin_gaps(gap: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bin of each gap in ns: quarter decades."""
    logs = np.log10(np.maximum(gap, 1)) - FIRST_DECADE
    return np.clip(np.floor(logs * PER_DECADE).astype(np.int64) + 1, 0, GAPS - 1)


def kinds_of(sketch: Sketch) -> NDArray[np.int64]:
    """Return the direction and size class of each row, int64 [n]: ``up * SIZES + size class``."""
    size = np.searchsorted(SIZE_EDGES, sketch.payload, "right") - 1
    if sketch.transport == "rtp":
        for way in (False, True):
            rows = np.flatnonzero((sketch.up == way) & (sketch.payload >= LARGE))
            alike = np.abs(np.diff(sketch.payload[rows])) <= LIKENESS
            size[rows[1:][alike]] = LIKE
    return sketch.up * SIZES + size


def symbols_of(sketch: Sketch) -> NDArray[np.int64]:
    """Return the joint symbol of each row, int64 [n]."""
    return kinds_of(sketch) * GAPS + bin_gaps(gaps_of(sketch))


def learn_payloads(examples: Sequence[Example], applications: Sequence[str]) -> Pools:
    """Learn which payloads occur, by application and kind: pool ``application * 2 * SIZES + kind``."""
    keys, values = [], []
    for example in examples:
        application = applications.index(example.application)
        keys.append(application * 2 * SIZES + kinds_of(example.sketch))
        values.append(example.sketch.payload.astype(np.int64))
    return learn_pools(np.concatenate(keys), np.concatenate(values), len(applications) * 2 * SIZES)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw_gap(place: int, random: Any) -> int:
    """Draw a gap in ns, log-uniform within its bin."""
    if place == 0:
        return int(random.random() * 10.0**FIRST_DECADE)
    return int(10.0 ** (FIRST_DECADE + (place - 1 + random.random()) / PER_DECADE))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw_payload(kind: int, application: int, pools: Any, last: Any, random: Any) -> int:
    """Draw a payload of a kind as the application has them; last: int64 [2], the last large one each way."""
    way = kind // SIZES
    if kind % SIZES == LIKE and last[way] > 0:
        return last[way]
    payload = draw_from(pools, application * 2 * SIZES + kind, random)
    if payload >= LARGE:
        last[way] = payload
    return payload
