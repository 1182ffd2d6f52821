"""The features of every set by name, in the order in which the machine writes them.

All are unsigned 32-bit integers of one flow and one window. Times are in ticks of 1.024 us (ns >> 10). Sizes
are layer 4 payload bytes as sent, of the packets that carry any; ``bytes`` alone counts whole IP packets.

Nothing counts since a flow began, and neither SYN, FIN nor RST is counted: either would tell a quality model
where in its trace a window lies, and the window's place is never a feature.
"""

from __future__ import annotations

FEATURE_SETS = ("F0", "F1", "F2", "F3", "F4", "F5")

SIZE_BINS = 8  # 0 B; 1-63, 64-127, 128-255, 256-511, 512-1023, 1024-2047, 2048 B and more
GAP_BINS = 10  # below 32 ticks; then four times as wide each; from 2^21 ticks (2.1 s)
SEGMENT_BINS = 12  # below 4 KiB; then twice as wide each; from 4 MiB
RING = 10  # the last segments of the window that F5 lists
MAP_BITS = 256  # of the linear counting of sizes (Whang et al., 1990)

_BOTH_WAYS = (
    ("packets", "bytes"),
    (
        *("data", "payload", "size_mean", "size_squares", "size_min", "size_max"),
        *(f"size_bin_{k}" for k in range(SIZE_BINS)),
    ),
    (
        *("gap_sum", "gap_mean", "gap_squares", "gap_min", "gap_max", "bursts"),
        *(f"gap_bin_{k}" for k in range(GAP_BINS)),
    ),
    (
        *("pushes", "repeated_acks", "retransmits", "holes"),
        *("rtt_samples", "rtt_mean", "rtt_min", "rtt_max"),
    ),
)
_ONCE = (
    (
        *("requests", "segments", "segment_bytes", "segment_mean", "segment_max", "segment_last"),
        *("segment_open", "segment_time", "segment_time_max", "segment_rate", "idle_time", "segment_quiet"),
        *(f"segment_bin_{k}" for k in range(SEGMENT_BINS)),
        *("frames", "frame_bytes", "frame_mean", "frame_max", "frame_gap_squares", "frame_gap_max"),
    ),
    (
        *("up_unique_sizes", "down_unique_sizes"),
        *(f"ring_bytes_{k}" for k in range(RING)),
        *(f"ring_gap_{k}" for k in range(RING)),
    ),
)
_BLOCKS = (
    *(tuple(f"{way}_{name}" for way in ("up", "down") for name in part) for part in _BOTH_WAYS),
    *_ONCE,
)


def feature_names(feature_set: str) -> tuple[str, ...]:
    """Return the names of a set's features; each set's names begin with those of the set before it."""
    return tuple(name for block in _BLOCKS[: FEATURE_SETS.index(feature_set) + 1] for name in block)
