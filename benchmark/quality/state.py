"""What the feature machine keeps of a flow, and what it reads of a packet: C structs as numpy record types.

A flow's state is two ``HALF`` records (0 is up, 1 is down), one ``REQUESTS`` and one ``SEGMENTS``. A half
is written only by packets of its own direction, ``REQUESTS`` only by up and ``SEGMENTS`` only by down
packets; the other side is only read, so that a program per direction needs neither atomics nor locks. All
fields are unsigned. Fields marked kept outlast a window; the others are cleared with it: to zero, and
minima to their type's maximum.
"""

from __future__ import annotations

import numpy as np

from benchmark.quality.names import GAP_BINS, MAP_BITS, RING, SEGMENT_BINS, SIZE_BINS

U8, U16, U32, U64 = np.uint8, np.uint16, np.uint32, np.uint64
NONE_16, NONE_32 = 0xFFFF, 0xFFFFFFFF  # minima of nothing

HALF_FIELDS = (
    (
        ("window_end", U64),  # ns, the first instant past the window; 0 until the first packet; kept
        ("window", U32),  # kept
        ("packets", U32),
        ("bytes", U32),  # IP total lengths
    ),
    (
        ("data", U32),  # packets with payload
        ("payload", U32),
        ("size_squares", U32),  # sum of (size * size) >> 10
        ("size_min", U16),
        ("size_max", U16),
        ("size_bins", U16, (SIZE_BINS,)),
    ),
    (
        ("last", U32),  # tick of the last packet; kept
        ("gap_sum", U32),
        ("gap_squares", U32),  # sum of (gap >> 10) squared
        ("gap_min", U32),
        ("gap_max", U32),
        ("bursts", U16),
        ("gap_bins", U16, (GAP_BINS,)),
    ),
    (
        ("pushes", U16),
        ("repeated_acks", U16),
        ("retransmits", U16),
        ("holes", U16),
        ("rtt_samples", U16),
        ("probe", U16),  # number of the TSval last noted; kept
        ("answered", U16),  # number of the other half's TSval last resolved; kept
        ("probe_value", U32),  # kept
        ("probe_tick", U32),  # kept
        ("next_seq", U32),  # kept
        ("last_ack", U32),  # kept
        ("rtt_sum", U32),
        ("rtt_min", U32),
        ("rtt_max", U32),
    ),
    (),
    (
        ("unique", U16),  # bits set in the map
        ("size_map", U32, (MAP_BITS // 32,)),
    ),
)
"""Fields of a half, by feature set F0 to F5."""

REQUEST_FIELDS = (
    ("tick", U32),  # of the last request; kept
    ("number", U16),  # of requests so far; kept
    ("requests", U16),
)
"""F4, written by up packets."""

SEGMENT_FIELDS = (
    (
        ("number", U16),  # of the request that opened the running segment; kept
        ("segments", U16),  # completed in the window, like all until ``bins``
        ("start", U32),  # tick of the request of the running segment; kept
        ("last", U32),  # tick of its last byte; kept
        ("open", U32),  # its bytes so far; kept
        ("size_last", U32),  # bytes of the last complete segment; kept
        ("bytes", U32),
        ("size_max", U32),
        ("time", U32),  # sum of ticks from request to last byte
        ("time_max", U32),
        ("rate_sum", U32),  # sum of 256 + log2_eighths(bytes) - log2_eighths(ticks)
        ("idle", U32),  # sum of ticks from last byte to next request
        ("bins", U8, (SEGMENT_BINS,)),
        ("frames", U16),  # begun in the window
        ("recent", U16, (3,)),  # sizes of the last video packets, newest first; kept
        ("frame_tick", U32),  # when the running frame began; kept
        ("frame_open", U32),  # its bytes so far; kept
        ("frame_bytes", U32),  # of all video packets
        ("frame_max", U32),  # largest frame completed
        (
            "frame_gap_squares",
            U32,
        ),  # sum of (gap >> 10) squared, from one frame's first packet to the next one's
        ("frame_gap_max", U32),
    ),
    (
        ("ring_next", U16),  # where the next segment is written
        ("ring_bytes", U32, (RING,)),
        ("ring_gap", U32, (RING,)),  # ticks from the request before
    ),
)
"""Written by down packets: F4, then F5."""

HALF = np.dtype([field for part in HALF_FIELDS for field in part], align=True)
REQUESTS = np.dtype(list(REQUEST_FIELDS), align=True)
SEGMENTS = np.dtype([field for part in SEGMENT_FIELDS for field in part], align=True)

PACKET = np.dtype(
    [
        ("ns", U64),
        ("length", U32),  # IP total length
        ("payload", U32),  # of layer 4, as sent
        ("seq", U32),
        ("ack", U32),
        ("ts_value", U32),
        ("ts_echo", U32),
        ("protocol", U8),
        ("flags", U8),
        ("has_ts", U8),
        ("up", U8),
    ],
    align=True,
)
"""What the machine reads of a packet, all in host byte order; fields of other protocols are 0."""

CLOCK = np.dtype([("epoch", U64), ("window", U64), ("index", U32), ("shift", U32), ("units", U32)], align=True)
"""Where windows count from: window number ``index`` begins at ``epoch`` ns, and each lasts ``window`` ns,
which is ``units`` << ``shift``. Good for 2^32 units; whoever hands it over hands a later one, whole windows
on, before then."""


def state_bytes(feature_set_number: int) -> int:
    """Bytes of state that one flow takes in the program for F0 (number 0) to F5 (number 5)."""
    half = np.dtype([f for part in HALF_FIELDS[: feature_set_number + 1] for f in part], align=True).itemsize
    if feature_set_number < 4:
        return 2 * half
    down = np.dtype([f for part in SEGMENT_FIELDS[: feature_set_number - 3] for f in part], align=True).itemsize
    return 2 * half + REQUESTS.itemsize + down
