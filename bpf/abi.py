"""The layouts of ``programs/abi.h`` as numpy record types, in this machine's byte order.

Objects carry the same in their BTF (``Bundle.types``), in their own byte order; tests hold both against each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.quality.state import HALF_FIELDS, REQUESTS, SEGMENT_FIELDS, U8, U16, U32, U64
from bpf.models.blob import CAPACITY

SKIP_REASONS = ("none", "not_ip", "truncated", "fragment", "protocol", "no_room", "clash")
"""Names of the places of ``counters.skipped``; the first five are ``benchmark.wire.SKIP_NAMES``."""

ROW = 256
BIG = np.dtype(">u4")

KEY = np.dtype(
    [
        *(("client", BIG, (4,)), ("server", BIG, (4,)), ("ports", ">u2", (2,))),
        *(("protocol", U8), ("version", U8), ("padding", U16)),
    ]
)
SHORT_KEY = np.dtype(
    [
        *(("client", BIG), ("server", BIG), ("ports", ">u2", (2,))),
        *(("protocol", U16), ("version", U16)),
    ]
)
"""A key of the flow map; for IPv6, ``client`` and ``server`` are what addresses fold to."""
ENDS = np.dtype([("client", BIG, (4,)), ("server", BIG, (4,))])
CLOCK = np.dtype(
    [
        *(("epoch", U64), ("window", U64), ("index", U32), ("shift", U32), ("units", U32), ("padding", U32)),
        *(("now", U64), ("step", U64)),
    ]
)
CONFIG = np.dtype(
    [
        *(("client_4", BIG), ("mask_4", BIG), ("client_6", BIG, (4,)), ("mask_6", BIG, (4,))),
        *(("replay", U8), ("no_ethernet", U8), ("padding", U8, (2,)), ("capacity", CAPACITY)),
    ]
)
COUNTERS = np.dtype(
    [
        *(("seen", U64), ("accounted", U64), ("skipped", U64, (8,)), ("opened", U64), ("closed", U64)),
        *(("overwritten", U64), ("unpublished", U64)),
    ]
)
RESULT = np.dtype(
    [
        *(("key", KEY), ("window", U32), ("down_bytes", U32), ("score", np.int32)),
        *(("label", U8), ("kind", U8), ("slot", U8), ("padding", U8)),
    ]
)
RECORD = np.dtype([("result", RESULT), ("row", U32, (ROW,))])


def flow_layout(level: int) -> np.dtype[Any]:
    """The state of a flow in the program for F0 (level 0) to F5 (level 5)."""
    half = np.dtype([field for part in HALF_FIELDS[: level + 1] for field in part], align=True)
    fields: list[Any] = [("up", half), ("down", half)]
    if level >= 4:
        segments = np.dtype([field for part in SEGMENT_FIELDS[: level - 3] for field in part], align=True)
        fields += [("requests", REQUESTS), ("segments", segments)]
    return np.dtype([*fields, ("ends", ENDS), ("turned", U32), ("padding", U32)], align=True)
