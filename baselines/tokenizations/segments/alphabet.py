"""What tokens there are: their kinds, the bins of headers and round trips, and the columns that go with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import LINKS, LOSSES, RUNGS, STALLS
from baselines.parts.learnt_symbols import MOST_BLOCKS
from baselines.parts.sketches import TRANSPORTS

RTP = TRANSPORTS.index("rtp")
TRIPS = 28
TRIP_FLOOR = -12.0  # log2 of seconds; two bins an octave from 0.24 ms to 4 s
PER_OCTAVE = 4  # bins of size
RATE_PER_OCTAVE, RATES_SEEN = 16, 4  # bins of rate, of which a network sees so many as one
CYCLE_PER_OCTAVE = 32
SIZE_FLOOR, RATE_FLOOR, CYCLE_FLOOR = 4.0, 4.0, -6.0  # log2 of bytes, bytes/s, seconds
SIZES, RATES, CYCLES = 1 + 24 * PER_OCTAVE, 1 + 24 * RATE_PER_OCTAVE, 1 + 14 * CYCLE_PER_OCTAVE
USUAL_RATE = 2.0**18  # bytes/s, at which a gap in a segment is told as it is; see ``pacing.tell_gap``

# Bytes of a segment below which it is talk, as a handshake is: its packets are paced by who answers whom rather than by
# a rate, and are what they are to the byte, so that its header leads neither their times nor their end.
TALK = 8000.0

# What a token is; one bit each in the set of what may follow.
# SHORT: large enough for a request over TCP only.
END, TRANSPORT, TRIP, SIZE, RATE, CYCLE, QUIET, SHORT, REQUEST, DATA, OPEN_NOW, OPEN_LATER = range(12)

# Edges of the columns that tell the moment, and how far what came is behind the header's rate; seconds.
AGES = np.array([0.5, 1, 2, 4, 6, 8, 12, 16, 20, 25, 30, 40, 60, 120])
LAGS = np.array([-2.0, -0.8, -0.4, -0.2, -0.1, -0.05, -0.02, -0.007, 0.007, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 2.0])
LEFTS, RUNS = 49, 16
COLUMNS = (
    ("rung", RUNGS),
    ("size", SIZES),
    ("rate", 1 + (RATES - 1) // RATES_SEEN),
    ("left", LEFTS),
    ("lag", len(LAGS) + 1),
    ("kind", 3 * len(TRANSPORTS)),
    ("age", len(AGES) + 1),
    ("trip", TRIPS),
    ("run", RUNS),
    ("last run", RUNS),
    ("older run", RUNS),
    ("blocks", MOST_BLOCKS + 1),
    ("stall", STALLS),
    ("link", LINKS),
    ("loss", LOSSES),
)


def bin_of(value: NDArray[Any] | float, floor: float, per_octave: int, bins: int) -> NDArray[np.int64]:
    """Return the bin of each value, 0 for none; bin k spans log2 ``floor + (k - 1, k) / per_octave``."""
    logs = np.log2(np.maximum(value, 1e-9))
    place = 1 + np.floor((logs - floor) * per_octave)
    return np.asarray(np.where(np.asarray(value) > 0, np.clip(place, 1, bins - 1), 0), np.int64)


def trip_bin(seconds: float) -> int:
    """Return the bin of a round trip."""
    return int(np.clip((np.log2(seconds) - TRIP_FLOOR) * 2, 0, TRIPS - 1))


def trip_in(place: int) -> float:
    """Return the round trip in the middle of a bin, seconds."""
    return float(2.0 ** (TRIP_FLOOR + (place + 0.5) / 2))
