"""Packets written as pcap or pcapng, aside and then renamed."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.errors import TraceError
from benchmark.trace import NANOSECONDS, Packets

_ETHERNET, _RAW = 1, 101
_SNAPLEN = 262_144
_PACKETS_AT_A_TIME = 1 << 14
# Locally administered addresses (IEEE 802 §8.4), as IP packets have none of their own.
_ADDRESSES = bytes.fromhex("020000000002020000000001")

_Lay = Callable[[Packets, slice], NDArray[np.uint8]]


def write_pcap(
    path: str | Path,
    packets: Packets,
    *,
    nanoseconds: bool = True,
    big_endian: bool = False,
    link: int = 101,
    epoch_ns: int = 0,
) -> None:
    """Write packets as pcap; packet i is stamped ``epoch_ns + ts[i]``.

    link: 101 (raw IP) or 1 (Ethernet, with a header made up for each packet). Microseconds round down.
    The original length is the IP length plus the link header. Raises TraceError where a time, size or link
    doesn't fit.
    """
    order = ">" if big_endian else "<"
    seconds, rest = _times(path, packets, epoch_ns, link)
    if len(seconds) and (seconds.min() < 0 or seconds.max() >= 1 << 32):
        raise TraceError("a packet's time lies outside 1970 to 2106, all that pcap can hold", path)
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 1 if nanoseconds else 1000
    record = np.dtype([(name, order + "u4") for name in ("seconds", "fraction", "captured", "wire")])

    def lay(packets: Packets, rows: slice) -> NDArray[np.uint8]:
        ahead = _link_headers(packets, rows, link)
        head = np.zeros(len(ahead), record)
        head["seconds"], head["fraction"] = seconds[rows], rest[rows] // unit
        head["captured"] = packets.captured[rows] + ahead.shape[1]
        head["wire"] = _wire(packets, rows) + ahead.shape[1]
        return _interleave(packets, rows, np.hstack([_bytes(head), ahead]))

    opening = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, _SNAPLEN, link)
    _write(path, opening, packets, lay)


def write_pcapng(
    path: str | Path,
    packets: Packets,
    *,
    nanoseconds: bool = True,
    big_endian: bool = False,
    link: int = 101,
    epoch_ns: int = 0,
) -> None:
    """Write packets as pcapng, one section with one interface; all else is as for ``write_pcap``."""
    order = ">" if big_endian else "<"
    seconds, rest = _times(path, packets, epoch_ns, link)
    if len(seconds) and seconds.min() < 0:
        raise TraceError("a packet's time lies before 1970, which pcapng can't hold", path)
    per_second = NANOSECONDS if nanoseconds else 1_000_000
    unit = NANOSECONDS // per_second
    names = ("kind", "total", "interface", "high", "low", "captured", "wire")
    record = np.dtype([(name, order + "u4") for name in names])

    def lay(packets: Packets, rows: slice) -> NDArray[np.uint8]:
        ahead = _link_headers(packets, rows, link)
        captured = packets.captured[rows] + ahead.shape[1]
        clock = seconds[rows].astype(np.uint64) * np.uint64(per_second) + (rest[rows] // unit).astype(np.uint64)
        head = np.zeros(len(ahead), record)
        head["kind"], head["total"] = 6, 32 + (captured + 3) // 4 * 4
        head["high"], head["low"] = clock >> np.uint64(32), clock & np.uint64(0xFFFFFFFF)
        head["captured"], head["wire"] = captured, _wire(packets, rows) + ahead.shape[1]
        # Each block ends with its length again.
        behind = _bytes(np.ascontiguousarray(head["total"]))
        return _interleave(packets, rows, np.hstack([_bytes(head), ahead]), behind)

    section = struct.pack(order + "IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    resolution = struct.pack(order + "HHBxxxHH", 9, 1, 9 if nanoseconds else 6, 0, 0)
    interface = struct.pack(order + "IIHHI", 1, 32, link, 0, _SNAPLEN) + resolution + struct.pack(order + "I", 32)
    _write(path, section + interface, packets, lay)


def _times(path: str | Path, packets: Packets, epoch_ns: int, link: int) -> Any:
    """Check what both formats ask; return seconds and the rest in nanoseconds, int64 [n] each."""
    if link not in (_ETHERNET, _RAW):
        raise TraceError(f"link type {link} can't be written; {_RAW} (raw IP) and {_ETHERNET} (Ethernet) can", path)
    if len(packets) and packets.captured.max() > _SNAPLEN - 14:
        raise TraceError(f"a packet of {packets.captured.max()} captured bytes; {_SNAPLEN - 14} is the most", path)
    # The seconds are taken out first: a late epoch would overflow the sum.
    base, base_rest = divmod(epoch_ns, NANOSECONDS)
    seconds, rest = np.divmod(packets.ts, NANOSECONDS)
    carry, rest = np.divmod(rest + base_rest, NANOSECONDS)
    return seconds + base + carry, rest


def _link_headers(packets: Packets, rows: slice, link: int) -> NDArray[np.uint8]:
    """Link headers of the packets in ``rows``, uint8 [n, 0 or 14]."""
    if link == _RAW:
        return np.zeros((len(packets.ts[rows]), 0), np.uint8)
    start = packets.offsets[:-1][rows]
    first = np.zeros(len(start), np.uint8)
    whole = packets.captured[rows] > 0
    first[whole] = packets.data[start[whole]]
    ahead = np.zeros((len(start), 14), np.uint8)
    ahead[:, :12] = np.frombuffer(_ADDRESSES, np.uint8)
    ahead[:, 12:] = np.where((first >> 4 == 6)[:, None], (0x86, 0xDD), (0x08, 0x00))
    return ahead


def _wire(packets: Packets, rows: slice) -> NDArray[np.int64]:
    return np.maximum(packets.length[rows], packets.captured[rows])


def _bytes(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of each row, uint8 [n, itemsize]."""
    return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)


def _interleave(
    packets: Packets,
    rows: slice,
    ahead: NDArray[np.uint8],
    behind: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Lay header and packet of every packet one after another; before a trailer, padding to four bytes."""
    multiple = 1 if behind is None else 4
    trailer = np.zeros((len(ahead), 0), np.uint8) if behind is None else behind
    low, high, _ = rows.indices(len(packets))
    offsets = packets.offsets[low : high + 1]
    size = np.diff(offsets) + ahead.shape[1]
    body = size + -size % multiple
    ends = np.cumsum(body + trailer.shape[1])
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    _fill(out, ends, ahead, packets.data, offsets, trailer)
    return out


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(out: Any, ends: Any, ahead: Any, data: Any, offsets: Any, behind: Any) -> None:
    width, tail = ahead.shape[1], behind.shape[1]
    at = 0
    for i in range(len(ends)):
        out[at : at + width] = ahead[i]
        out[at + width : at + width + offsets[i + 1] - offsets[i]] = data[offsets[i] : offsets[i + 1]]
        out[ends[i] - tail : ends[i]] = behind[i]
        at = ends[i]


def _write(path: str | Path, opening: bytes, packets: Packets, lay: _Lay) -> None:
    """Write aside, a block of packets at a time, then rename."""
    target = Path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            file.write(opening)
            for rows in _blocks(len(packets)):
                file.write(lay(packets, rows).data)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _blocks(count: int) -> Iterator[slice]:
    for low in range(0, count, _PACKETS_AT_A_TIME):
        yield slice(low, min(count, low + _PACKETS_AT_A_TIME))
