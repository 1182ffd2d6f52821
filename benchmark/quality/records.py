"""The machine's records as numba knows them, for signatures."""

from __future__ import annotations

from numba import from_dtype

from benchmark.quality.state import CLOCK, HALF, PACKET, REQUESTS, SEGMENTS

HALF_TYPE, HALVES_TYPE, CLOCK_TYPE = from_dtype(HALF), from_dtype(HALF)[::1], from_dtype(CLOCK)
REQUESTS_TYPE, SEGMENTS_TYPE, PACKET_TYPE = from_dtype(REQUESTS), from_dtype(SEGMENTS), from_dtype(PACKET)
