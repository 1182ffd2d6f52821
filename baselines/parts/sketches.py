"""What every method reads off a sketch: the gaps between its packets, and the requests that open segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS

TRANSPORTS = ("tcp", "quic", "rtp")
# An up payload of as much is a request or part of one; QUIC's acknowledgements and HTTP/2's control frames stay below.
REQUEST_BYTES, TCP_REQUEST_BYTES = 60, 47
REQUEST_SPACING = 50_000_000  # ns; requests closer together belong to one segment (Bronzino et al., 2019)
SLICE = NANOSECONDS  # a call has no requests: each second of it stands for a segment


def gaps_of(sketch: Sketch) -> NDArray[np.int64]:
    """Return the time since the row before, ns, int64 [n]; the first row's since the flow began."""
    return np.diff(sketch.ts, prepend=0)


def request_bytes(transport: str) -> int:
    """Return the least payload of a request over ``transport``."""
    return TCP_REQUEST_BYTES if transport == "tcp" else REQUEST_BYTES


def find_openings(sketch: Sketch) -> NDArray[np.bool_]:
    """Tell which rows are requests that open a segment, bool [n]: large enough, and 50 ms after the last opening.

    The features count requests by the same rule. A call has none.
    """
    opens = np.zeros(len(sketch), np.bool_)
    if sketch.transport == "rtp":
        return opens
    last = -REQUEST_SPACING
    for k in np.flatnonzero(sketch.up & (sketch.payload >= request_bytes(sketch.transport))):
        if sketch.ts[k] - last >= REQUEST_SPACING:
            opens[k] = True
            last = sketch.ts[k]
    return opens
