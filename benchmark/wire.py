"""Header fields of packets, parsed in one compiled pass. Offsets follow RFC 791, 8200, 9293 and 768."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

# Why a packet has no flow. The kernel program counts the same reasons.
SKIP_NONE, SKIP_NOT_IP, SKIP_TRUNCATED, SKIP_FRAGMENT, SKIP_PROTOCOL = range(5)
SKIP_NAMES = ("none", "not_ip", "truncated", "fragment", "protocol")

_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("skip", np.uint8),  # one of SKIP_; the fields of layer 4 are 0 where it isn't SKIP_NONE
    ("version", np.uint8),  # 4 or 6; 0 where the bytes aren't IP
    ("protocol", np.uint8),  # upper protocol, after IPv6 extension headers
    ("ttl", np.uint8),  # or hop limit
    ("tos", np.uint8),  # or traffic class
    ("identification", np.uint16),
    ("fragment", np.uint16),  # IPv4 flags and offset word, as on the wire
    ("ip_checksum", np.uint16),
    ("ip_header", np.int32),  # bytes up to layer 4, IPv6 extension headers included
    ("sport", np.uint16),
    ("dport", np.uint16),
    ("seq", np.uint32),
    ("ack", np.uint32),
    ("flags", np.uint8),
    ("tcp_window", np.uint16),
    ("l4_header", np.int32),  # bytes: TCP data offset, or 8
    ("l4_checksum", np.uint16),
    ("urgent", np.uint16),
    ("udp_length", np.uint16),
    ("payload", np.int32),  # layer 4 payload bytes as sent, by the IP length; never below 0
    ("ts_value", np.uint32),  # TCP timestamp option, where has_ts
    ("ts_echo", np.uint32),
    ("has_ts", np.uint8),
)


@dataclass(frozen=True, eq=False)
class Fields:
    """Columns [n] of header fields, in host byte order; ``source`` and ``destination`` are uint8 [n, 16].

    An IPv4 address fills the first four bytes and leaves zeros, so compare them together with ``version``.
    """

    skip: NDArray[np.uint8]
    version: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    tos: NDArray[np.uint8]
    identification: NDArray[np.uint16]
    fragment: NDArray[np.uint16]
    ip_checksum: NDArray[np.uint16]
    ip_header: NDArray[np.int32]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    seq: NDArray[np.uint32]
    ack: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    tcp_window: NDArray[np.uint16]
    l4_header: NDArray[np.int32]
    l4_checksum: NDArray[np.uint16]
    urgent: NDArray[np.uint16]
    udp_length: NDArray[np.uint16]
    payload: NDArray[np.int32]
    ts_value: NDArray[np.uint32]
    ts_echo: NDArray[np.uint32]
    has_ts: NDArray[np.uint8]
    source: NDArray[np.uint8]
    destination: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.skip)


def parse_fields(data: NDArray[np.uint8], offsets: NDArray[np.int64], length: NDArray[np.int32]) -> Fields:
    """Parse the headers of every packet.

    data: uint8, the bytes of all packets, each from its IP header on. offsets: int64 [n + 1].
    length: int32 [n], IP total length in bytes. Never reads past a packet's captured bytes.
    """
    count = len(length)
    table = np.zeros(count, dtype=np.dtype(list(_COLUMNS), align=True))
    source = np.zeros((count, 16), np.uint8)
    destination = np.zeros((count, 16), np.uint8)
    _parse(np.ascontiguousarray(data), offsets, length, table, source, destination)
    columns = {name: np.ascontiguousarray(table[name]) for name, _ in _COLUMNS}
    return Fields(**columns, source=source, destination=destination)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _u16(data: Any, at: Any) -> Any:
    return (np.int64(data[at]) << 8) | np.int64(data[at + 1])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _u32(data: Any, at: Any) -> Any:
    return (_u16(data, at) << 16) | _u16(data, at + 2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _skip_extensions(data: Any, at: Any, end: Any, protocol: Any) -> Any:
    """Walk IPv6 extension headers (RFC 8200 §4); return (offset, protocol, skip)."""
    for _ in range(8):
        if protocol not in (0, 43, 44, 51, 60):
            return at, protocol, SKIP_NONE
        if at + 8 > end:
            return at, protocol, SKIP_TRUNCATED
        following = np.int64(data[at])
        if protocol == 44:
            first = (_u16(data, at + 2) & 0xFFF8) == 0
            at += 8
            if not first:
                return at, following, SKIP_FRAGMENT
        elif protocol == 51:
            at += (np.int64(data[at + 1]) + 2) * 4
        else:
            at += (np.int64(data[at + 1]) + 1) * 8
        protocol = following
    return at, protocol, SKIP_PROTOCOL


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _timestamps(data: Any, at: Any, end: Any, row: Any) -> None:
    """Find the TCP timestamp option (RFC 7323 §3.2) between ``at`` and ``end``."""
    while at < end:
        kind = data[at]
        if kind == 0:
            return
        if kind == 1:
            at += 1
            continue
        if at + 1 >= end:
            return
        size = np.int64(data[at + 1])
        if size < 2 or at + size > end:
            return
        if kind == 8 and size == 10:
            row["ts_value"] = _u32(data, at + 2)
            row["ts_echo"] = _u32(data, at + 6)
            row["has_ts"] = 1
            return
        at += size


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _parse(data: Any, offsets: Any, length: Any, table: Any, source: Any, destination: Any) -> None:
    for i in range(len(length)):
        row = table[i]
        at = offsets[i]
        end = offsets[i + 1]
        row["skip"] = SKIP_NOT_IP
        if end - at < 1:
            continue
        version = data[at] >> 4
        if version == 4:
            header = np.int64(data[at] & 15) * 4
            if end - at < 20 or header < 20:
                row["skip"] = SKIP_TRUNCATED
                continue
            row["version"] = 4
            row["tos"] = data[at + 1]
            row["identification"] = _u16(data, at + 4)
            row["fragment"] = _u16(data, at + 6)
            row["ttl"] = data[at + 8]
            row["protocol"] = data[at + 9]
            row["ip_checksum"] = _u16(data, at + 10)
            row["ip_header"] = header
            source[i, :4] = data[at + 12 : at + 16]
            destination[i, :4] = data[at + 16 : at + 20]
            if _u16(data, at + 6) & 0x1FFF:
                row["skip"] = SKIP_FRAGMENT
                continue
            l4 = at + header
        elif version == 6:
            if end - at < 40:
                row["skip"] = SKIP_TRUNCATED
                continue
            row["version"] = 6
            row["tos"] = (_u16(data, at) >> 4) & 0xFF
            row["ttl"] = data[at + 7]
            source[i] = data[at + 8 : at + 24]
            destination[i] = data[at + 24 : at + 40]
            l4, protocol, skip = _skip_extensions(data, at + 40, end, np.int64(data[at + 6]))
            row["protocol"] = protocol
            row["ip_header"] = l4 - at
            if skip != SKIP_NONE:
                row["skip"] = skip
                continue
        else:
            continue

        protocol = row["protocol"]
        if protocol == UDP:
            if end - l4 < 8:
                row["skip"] = SKIP_TRUNCATED
                continue
            row["l4_header"] = 8
            row["udp_length"] = _u16(data, l4 + 4)
            row["l4_checksum"] = _u16(data, l4 + 6)
        elif protocol == TCP:
            if end - l4 < 20:
                row["skip"] = SKIP_TRUNCATED
                continue
            size = np.int64(data[l4 + 12] >> 4) * 4
            row["l4_header"] = size
            row["seq"] = _u32(data, l4 + 4)
            row["ack"] = _u32(data, l4 + 8)
            row["flags"] = data[l4 + 13]
            row["tcp_window"] = _u16(data, l4 + 14)
            row["l4_checksum"] = _u16(data, l4 + 16)
            row["urgent"] = _u16(data, l4 + 18)
            _timestamps(data, l4 + 20, min(l4 + size, end), row)
        else:
            row["skip"] = SKIP_PROTOCOL
            continue
        row["skip"] = SKIP_NONE
        row["sport"] = _u16(data, l4)
        row["dport"] = _u16(data, l4 + 2)
        row["payload"] = max(0, length[i] - (l4 - at) - row["l4_header"])
