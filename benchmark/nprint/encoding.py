"""nPrint: packets as a matrix of header bits, bit for bit as the real tool prints them.

One row for each IPv4 or IPv6 packet that carries TCP, UDP or ICMP right behind its IP header; values are
1, 0 and -1 where a header is absent, shorter than its block, or beyond the capture. The blocks and their
order are in ``benchmark.nprint.columns``, the way back to bytes in ``benchmark.nprint.decoding``.

It differs from the tool only where the tool is wrong: cut captures give -1 (the tool prints whatever its
buffer held), VLAN-tagged packets have rows (the tool drops them), and the payload of IPv6 TCP starts right
behind the header.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.capture.frames import ETHERNET, Frames
from benchmark.nprint.columns import Representation, column_names, parse_options
from benchmark.nprint.decoding import decode
from benchmark.trace import Packets
from benchmark.wire import ICMP, TCP, UDP

__all__ = [
    "Representation",
    "column_names",
    "decode",
    "eligible_frames",
    "encode_frames",
    "encode_packets",
    "parse_options",
]

# Eight int8 columns hold one byte, so a byte is written as one 64-bit word.
_WORDS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int8).view(np.int64)[:, 0]


def encode_frames(
    frames: Frames, options: Representation | None = None, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return the matrix, int8 [rows, columns], and the number of each row's frame, int64 [rows], from 0.

    rows: encode these frames only, as ``eligible_frames`` numbers them, so that a caller can bound memory.
    """
    options = options or Representation()
    chosen = eligible_frames(frames) if rows is None else rows
    ethernet = frames.link == ETHERNET
    return _encode(frames.data, frames.offsets, frames.ip, chosen, ethernet, options), chosen


def eligible_frames(frames: Frames) -> NDArray[np.int64]:
    """Numbers of the frames that have a row, int64 [rows], from 0."""
    return np.flatnonzero(_eligible(np.ascontiguousarray(frames.data), frames.offsets, frames.ip))


def encode_packets(
    packets: Packets, options: Representation | None = None
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return the matrix, int8 [rows, columns], and the number of each row's packet, int64 [rows], from 0.

    An Ethernet block is all -1, since packets start at their IP header.
    """
    starts = np.zeros(len(packets), np.int64)
    chosen = np.flatnonzero(_eligible(np.ascontiguousarray(packets.data), packets.offsets, starts))
    matrix = _encode(packets.data, packets.offsets, starts, chosen, False, options or Representation())
    return matrix, chosen


def _encode(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    ip: NDArray[np.int64],
    chosen: NDArray[np.int64],
    ethernet: bool,
    options: Representation,
) -> NDArray[np.int8]:
    words = np.full((len(chosen), options.bytes), -1, np.int64)
    blocks = options.blocks()
    names = ("eth", "ipv4", "ipv6", "tcp", "udp", "icmp")
    # A block that isn't shown stands at -1.
    places = np.array([blocks[name][0] if name in blocks else -1 for name in names], np.int64)
    if not ethernet:
        places[0] = -1
    _write(
        np.ascontiguousarray(data),
        offsets,
        np.asarray(ip, np.int64),
        np.asarray(chosen, np.int64),
        places,
        options.payload,
        _WORDS,
        words,
    )
    return words.view(np.int8).reshape(len(chosen), options.columns)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _eligible(data: Any, offsets: Any, ip: Any) -> Any:
    """Tell which frames carry TCP, UDP or ICMP, as far as their captured bytes say so."""
    found = np.zeros(len(ip), np.bool_)
    for i in range(len(ip)):
        at = offsets[i] + ip[i]
        size = offsets[i + 1] - at
        if ip[i] < 0 or size < 7:
            continue
        version = data[at] >> 4
        if version == 4 and size >= 10 and (data[at] & 15) >= 5:
            protocol = data[at + 9]
        elif version == 6:
            protocol = data[at + 6]
        else:
            continue
        found[i] = protocol in (TCP, UDP, ICMP)
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _put(data: Any, at: int, size: int, end: int, words: Any, row: Any, place: int) -> None:
    """Write up to ``size`` bytes from ``at``, none from ``end`` on, as words from column ``place``."""
    if place < 0:
        return
    for k in range(min(size, end - at)):
        row[place + k] = words[data[at + k]]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(data: Any, offsets: Any, ip: Any, chosen: Any, places: Any, payload: int, words: Any, out: Any) -> None:
    for r in range(len(chosen)):
        i = chosen[r]
        row = out[r]
        start, end = offsets[i], offsets[i + 1]
        at = start + ip[i]
        _put(data, start, 14, end, words, row, places[0])
        if data[at] >> 4 == 4:
            header = np.int64(data[at] & 15) * 4
            protocol = data[at + 9]
            total = (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3])
            _put(data, at, header, end, words, row, places[1])
        else:
            header = np.int64(40)
            protocol = data[at + 6]
            total = (np.int64(data[at + 4]) << 8) | np.int64(data[at + 5])
            if total:
                total += 40
            _put(data, at, header, end, words, row, places[2])
        l4 = at + header
        if protocol == TCP:
            # Without the byte of the data offset, all that was captured is header.
            size = int(data[l4 + 12] >> 4) * 4 if end - l4 > 12 else 60
            _put(data, l4, size, end, words, row, places[3])
        else:
            size = 8
            _put(data, l4, size, end, words, row, places[4] if protocol == UDP else places[5])
        # Segmentation offload leaves a length of 0: the payload then ends with the capture.
        last = min(end, at + total) if total else end
        start_payload = l4 + size
        if payload and last > start_payload:
            _put(data, start_payload, payload, last, words, row, len(row) - payload)
