"""Internet checksums (RFC 1071) of IPv4, TCP and UDP, and the convention for payloads that were cut away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Packets
from benchmark.wire import SKIP_NONE, TCP, UDP, parse_fields


def internet_checksum(data: NDArray[np.uint8]) -> int:
    """Return the RFC 1071 checksum of the bytes, uint8 [n]; an odd last byte is padded with zero."""
    return int(_fold(_sum(np.ascontiguousarray(data, dtype=np.uint8), 0, len(data))) ^ 0xFFFF)


def ip_checksums(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Return what each IPv4 header checksum should be, uint16 [n]; 0 where there is no whole IPv4 header.

    data: uint8, the bytes of all packets. offsets: int64 [n + 1]. The checksum field itself isn't read.
    """
    sums = np.zeros(len(offsets) - 1, np.uint16)
    _ip_checksums(np.ascontiguousarray(data), offsets, sums)
    return sums


def l4_checksums(data: NDArray[np.uint8], offsets: NDArray[np.int64], length: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Return what each TCP or UDP checksum should be, uint16 [n]; 0 for every other packet.

    A packet captured whole (captured bytes >= ``length``) gets the checksum of its bytes. One that was cut
    gets that of the pseudo-header, the layer 4 header and a payload of zeros, whatever payload was kept.
    A computed UDP checksum of 0 is sent as 0xFFFF (RFC 768). Fragments after the first have none.

    data: uint8, the bytes of all packets. offsets: int64 [n + 1]. length: int32 [n], IP total length.
    The checksum field itself isn't read.
    """
    fields = parse_fields(data, offsets, length)
    sums = np.zeros(len(length), np.uint16)
    _l4_checksums(
        np.ascontiguousarray(data),
        offsets,
        length,
        fields.skip == SKIP_NONE,
        fields.version,
        fields.protocol,
        fields.ip_header,
        fields.l4_header,
        sums,
    )
    return sums


def convention_checksums(packets: Packets) -> Packets:
    """Return the packets with every TCP and UDP checksum as ``l4_checksums`` says; all other bytes stay."""
    fields = packets.fields
    sums = l4_checksums(packets.data, packets.offsets, packets.length)
    held = np.flatnonzero(fields.skip == SKIP_NONE)
    place = np.where(fields.protocol[held] == TCP, 16, 6)
    at = packets.offsets[held] + fields.ip_header[held] + place
    data = packets.data.copy()
    data[at] = sums[held] >> 8
    data[at + 1] = sums[held] & 0xFF
    return replace(packets, data=data)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum(data: Any, at: Any, end: Any) -> Any:
    """Add up big-endian 16-bit words of ``data[at:end]``."""
    total = np.int64(0)
    while at + 1 < end:
        total += (np.int64(data[at]) << 8) | np.int64(data[at + 1])
        at += 2
    if at < end:
        total += np.int64(data[at]) << 8
    return total


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold(total: Any) -> Any:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ip_checksums(data: Any, offsets: Any, sums: Any) -> None:
    for i in range(len(sums)):
        at, end = offsets[i], offsets[i + 1]
        if end - at < 20 or data[at] >> 4 != 4:
            continue
        header = np.int64(data[at] & 15) * 4
        if header < 20 or at + header > end:
            continue
        total = _sum(data, at, at + 10) + _sum(data, at + 12, at + header)
        sums[i] = _fold(total) ^ 0xFFFF


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _l4_checksums(
    data: Any,
    offsets: Any,
    length: Any,
    usable: Any,
    version: Any,
    protocol: Any,
    ip_header: Any,
    l4_header: Any,
    sums: Any,
) -> None:
    for i in range(len(sums)):
        if not usable[i]:
            continue
        at, end = offsets[i], offsets[i + 1]
        l4 = at + ip_header[i]
        sent = max(0, length[i] - ip_header[i])
        # Pseudo-headers: RFC 9293 §3.1 and RFC 8200 §8.1 add the same words, wherever they stand.
        if version[i] == 4:
            total = _sum(data, at + 12, at + 20)
        else:
            total = _sum(data, at + 8, at + 40)
        total += np.int64(protocol[i]) + (sent >> 16) + (sent & 0xFFFF)
        covered = l4 + min(np.int64(l4_header[i]), sent)
        if end - at >= length[i]:
            covered = l4 + sent
        covered = min(covered, end)
        field = l4 + (16 if protocol[i] == TCP else 6)
        total += _sum(data, l4, min(field, covered))
        if covered > field + 2:
            total += _sum(data, field + 2, covered)
        checksum = _fold(total) ^ 0xFFFF
        sums[i] = 0xFFFF if checksum == 0 and protocol[i] == UDP else checksum
