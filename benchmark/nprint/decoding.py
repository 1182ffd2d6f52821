"""From an nPrint matrix back to header bytes: exact for what was encoded, and an answer for any nonsense.

The real tool's way back reads the cells one after another and lets one misplaced -1 shift all that follows.
Here every block stays in its place. A block's length is the one that disagrees with the fewest bytes about
which of them are there, and a bit that is missing within it is 0, so a generator's noise stays local.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.nprint.columns import Representation
from benchmark.trace import Packets
from benchmark.wire import ICMP, TCP, UDP

# What a made-up header may add to a row's own bytes: an IPv6 header and a TCP header.
_SPARE = 60


def decode(
    matrix: NDArray[np.int8],
    options: Representation | None = None,
    ts: NDArray[np.int64] | None = None,
) -> Packets:
    """Return one packet a row, each from its IP header on.

    matrix: int8 [rows, columns], any values: 1 and above are a set bit, 0 a clear one, below 0 absent.
    ts: int64 [rows] in ns; zeros where None, since a matrix has no times. ``length`` is the IP header's total
    length as it was decoded, at least the bytes decoded, or just these where the header doesn't say.

    Where ``options`` show no header for the IP or transport layer, zeros take its place, so that
    ``encode(decode(encode(x))) == encode(x)`` for all options. Layer 2 isn't rebuilt. A row without anything
    present, where both IP versions have a block, gives an empty packet.
    """
    options = options or Representation()
    if matrix.ndim != 2 or matrix.shape[1] != options.columns:
        raise ValueError(f"a matrix of {matrix.shape} cells, where {options} has {options.columns} columns")
    rows = len(matrix)
    blocks = options.blocks()
    names = ("eth", "ipv4", "ipv6", "tcp", "udp", "icmp", "payload")
    places = np.array([blocks.get(name, (-1, 0)) for name in names], np.int64)
    data = np.zeros((rows, options.bytes + 2 * _SPARE), np.uint8)
    sizes = np.zeros(rows, np.int64)
    length = np.zeros(rows, np.int32)
    _decode(np.ascontiguousarray(matrix), places, data, sizes, length)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    kept = data[np.arange(data.shape[1]) < sizes[:, None]]
    times = np.zeros(rows, np.int64) if ts is None else np.asarray(ts, np.int64)
    return Packets(times, length, kept, offsets)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extent(row: Any, place: int, size: int) -> int:
    """Return the bytes of a block that are there: the prefix that disagrees with the fewest bytes."""
    if place < 0:
        return 0
    best, extent, score = 0, 0, 0
    for k in range(size):
        present = 0
        for bit in range(8):
            if row[8 * (place + k) + bit] >= 0:
                present += 1
        score += 1 if present >= 4 else -1
        if score > best:
            best, extent = score, k + 1
    return extent


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy(row: Any, place: int, size: int, out: Any, at: int) -> int:
    """Write ``size`` bytes of a block at ``at`` and return the place behind them."""
    for k in range(size):
        value = 0
        for bit in range(8):
            value = value * 2 + (1 if row[8 * (place + k) + bit] > 0 else 0)
        out[at + k] = value
    return at + size


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decode(matrix: Any, places: Any, data: Any, sizes: Any, length: Any) -> None:
    extents = np.zeros(len(places), np.int64)
    for r in range(len(matrix)):
        row, out = matrix[r], data[r]
        for b in range(1, len(places)):
            extents[b] = _extent(row, places[b, 0], places[b, 1])
        payload = extents[6]

        # The transport whose fixed header is most complete; 0 where no block has any byte.
        transport = 0
        most = 0.0
        for b, fixed in ((3, 20), (4, 8), (5, 8)):
            share = min(1.0, extents[b] / fixed)
            if share > most:
                most, transport = share, b

        at = 0
        version = 0
        if extents[1] * 2 >= extents[2] and extents[1] > 0:
            version = 4
            at = _copy(row, places[1, 0], extents[1], out, 0)
        elif extents[2] > 0:
            version = 6
            at = _copy(row, places[2, 0], extents[2], out, 0)
        elif transport == 0 and payload == 0 and places[1, 0] >= 0 and places[2, 0] >= 0:
            continue
        made_up = version == 0
        if made_up:
            # A packet whose IP header isn't shown: of the version that has no block, IPv4 if neither has.
            version = 6 if places[1, 0] >= 0 and places[2, 0] < 0 else 4
            at = 20 if version == 4 else 40
            out[0] = 0x45 if version == 4 else 0x60
        protocol_at = 9 if version == 4 else 6
        if made_up:
            out[protocol_at] = _protocol(transport, places)
        protocol = out[protocol_at]

        if transport:
            begin = at
            at = _copy(row, places[transport, 0], extents[transport], out, at)
            if transport == 3 and payload:
                at = _short_tcp(row, places, extents, out, begin, at)
            elif payload:
                at = _copy(row, places[6, 0], payload, out, at)
        elif payload:
            if protocol == TCP and places[3, 0] < 0:
                out[at + 12] = 0x50
                at += 20
            elif (protocol == UDP and places[4, 0] < 0) or (protocol == ICMP and places[5, 0] < 0):
                at += 8
            if protocol == TCP and places[3, 0] >= 0:
                at = _short_tcp(row, places, extents, out, at, at)
            else:
                at = _copy(row, places[6, 0], payload, out, at)
        sizes[r] = at
        length[r] = _total(out, at, version, made_up)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _protocol(transport: int, places: Any) -> int:
    """Return the protocol that a made-up IP header names: the transport seen, else one that has no block."""
    if transport == 3:
        return TCP
    if transport == 4:
        return UDP
    if transport == 5:
        return ICMP
    if places[4, 0] < 0:
        return UDP
    if places[5, 0] < 0:
        return ICMP
    return TCP


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _short_tcp(row: Any, places: Any, extents: Any, out: Any, begin: int, at: int) -> int:
    """Write a TCP packet's payload; where the header ends ahead of its data offset, put that in its place."""
    header = at - begin
    at = _copy(row, places[6, 0], extents[6], out, at)
    if header < 13 and at - begin < 13:
        out[begin + 12] = (header // 4) << 4
        return begin + 13
    return at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _total(out: Any, size: int, version: int, made_up: bool) -> Any:
    """Return the IP total length, written first into a header that was made up."""
    if made_up:
        written = size if version == 4 else size - 40
        if written > 65535:
            written = 0
        place = 2 if version == 4 else 4
        out[place] = written >> 8
        out[place + 1] = written & 255
        return size
    place = 2 if version == 4 else 4
    if size < place + 2:
        return size
    told = (np.int64(out[place]) << 8) | np.int64(out[place + 1])
    return max(size, told if version == 4 else told + 40)
