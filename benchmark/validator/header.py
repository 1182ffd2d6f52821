"""Levels 0 and 1: does a packet parse, and are its lengths, checksums and fields legal by themselves?"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.trace import Packets
from benchmark.validator.checksums import add_words, compare_sum, judge_checksum, word_at
from benchmark.validator.findings import (
    IP_CHECKSUM,
    IP_FRAGMENT,
    IP_HEADER,
    IP_LENGTH,
    IP_OPTIONS,
    IP_VERSION,
    L4_CHECKSUM,
    L4_HEADER,
    MARTIAN,
    PORT_ZERO,
    TCP_FLAGS,
    TCP_OFFSET,
    TCP_OPTION_PLACE,
    TCP_OPTIONS,
    TCP_RESERVED,
    TCP_URGENT,
    TTL_ZERO,
    UDP_LENGTH,
    Marks,
    mark,
)
from benchmark.wire import (
    ACK,
    FIN,
    ICMP,
    RST,
    SKIP_FRAGMENT,
    SKIP_NONE,
    SKIP_PROTOCOL,
    SKIP_TRUNCATED,
    SYN,
    TCP,
    UDP,
    URG,
)


def judge_headers(packets: Packets, marks: Marks) -> None:
    """Write the findings of levels 0 and 1. A packet that doesn't parse gets no level 1 finding."""
    fields = packets.fields
    data = np.ascontiguousarray(packets.data)
    _judge(
        data,
        packets.offsets,
        packets.length,
        fields.skip,
        fields.protocol,
        fields.ip_header,
        fields.l4_header,
        marks,
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge(
    data: Any, offsets: Any, length: Any, skip: Any, protocol: Any, ip_header: Any, l4_header: Any, marks: Any
) -> None:
    for i in range(len(length)):
        at, end = offsets[i], offsets[i + 1]
        readable = min(end - at, np.int64(length[i]))
        if end <= at:
            mark(marks, i, IP_VERSION, -1, 0)
            continue
        version = data[at] >> 4
        if version not in (4, 6):
            mark(marks, i, IP_VERSION, version, 0)
            continue
        size = np.int64(data[at] & 15) * 4 if version == 4 else np.int64(40)
        if (version == 4 and size < 20) or size > readable:
            mark(marks, i, IP_HEADER, size, readable)
            continue
        l4 = np.int64(ip_header[i])
        if skip[i] == SKIP_TRUNCATED or (skip[i] == SKIP_NONE and l4 + max(8, l4_header[i]) > readable):
            mark(marks, i, L4_HEADER, l4_header[i], max(0, readable - l4))
            continue
        if version == 4:
            whole = _judge_ipv4(data, at, size, length[i], end - at, protocol[i], marks, i)
        else:
            whole = _judge_ipv6(data, at, length[i], end - at, protocol[i], marks, i)
            whole = whole and skip[i] != SKIP_FRAGMENT
        if skip[i] == SKIP_PROTOCOL and version == 4 and protocol[i] == ICMP and whole:
            _judge_icmp(data, at + l4, end, length[i] - l4, marks, i)
        if skip[i] != SKIP_NONE:
            continue
        if word_at(data, at + l4) == 0 or word_at(data, at + l4 + 2) == 0:
            mark(marks, i, PORT_ZERO, 0, 0)
        sent = np.int64(length[i]) - l4
        if protocol[i] == TCP:
            _judge_tcp(data, at + l4, sent, marks, i)
        elif whole:
            told = word_at(data, at + l4 + 4)
            if told != sent:
                mark(marks, i, UDP_LENGTH, told, sent)
        if whole and l4_header[i] >= 8:
            judge_checksum(data, at, end, l4, sent, protocol[i], l4_header[i], version, marks, i)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_ipv4(data: Any, at: int, size: int, length: int, captured: int, protocol: int, marks: Any, i: int) -> bool:
    """Judge an IPv4 header of ``size`` bytes; tell whether the packet is a datagram, not a fragment."""
    told = word_at(data, at + 2)
    if told != length or told < size:
        mark(marks, i, IP_LENGTH, told, length)
    elif captured > told:
        mark(marks, i, IP_LENGTH, told, captured)
    compare_sum(add_words(data, at, at + size), word_at(data, at + 10), IP_CHECKSUM, marks, i)
    word = word_at(data, at + 6)
    place, more = word & 0x1FFF, (word & 0x2000) != 0
    torn = place != 0 or more
    if word & 0x8000 or (torn and word & 0x4000) or (more and (length - size) % 8) or place * 8 + length - size > 65535:
        mark(marks, i, IP_FRAGMENT, word, 0)
    if data[at + 8] == 0:
        mark(marks, i, TTL_ZERO, 0, 1)
    _judge_ip_options(data, at + 20, at + size, marks, i)
    source, target = data[at + 12], data[at + 16]
    same = True
    for k in range(4):
        same = same and data[at + 12 + k] == data[at + 16 + k]
    nobody = data[at + 12] == 0 and data[at + 13] == 0 and data[at + 14] == 0 and data[at + 15] == 0
    # 0.0.0.0 may ask for an address (DHCP, IGMP); the rest of 0/8 is nobody's.
    if source >= 224 or (source == 0 and (not nobody or protocol == TCP)):
        mark(marks, i, MARTIAN, source, 0)
    elif target == 0 or (target >= 224 and protocol == TCP) or (target >= 240 and not _broadcast(data, at + 16)):
        mark(marks, i, MARTIAN, target, 0)
    elif (source == 127) != (target == 127) or (same and source != 127 and not nobody):
        mark(marks, i, MARTIAN, source, 0)
    return not torn


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _broadcast(data: Any, at: int) -> bool:
    return bool(word_at(data, at) == 0xFFFF and word_at(data, at + 2) == 0xFFFF)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_ip_options(data: Any, at: Any, end: int, marks: Any, i: int) -> None:
    while at < end and data[at] != 0:
        if data[at] == 1:
            at += 1
            continue
        size = np.int64(data[at + 1]) if at + 1 < end else np.int64(0)
        if size < 2 or at + size > end:
            mark(marks, i, IP_OPTIONS, data[at], end - at)
            return
        at += size


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_ipv6(data: Any, at: int, length: int, captured: int, protocol: int, marks: Any, i: int) -> bool:
    """Judge an IPv6 header; tell whether layer 4 follows whole (no fragment header with more to come)."""
    told = word_at(data, at + 4) + 40
    if told != length:
        mark(marks, i, IP_LENGTH, told, length)
    elif captured > told:
        mark(marks, i, IP_LENGTH, told, captured)
    if data[at + 7] == 0:
        mark(marks, i, TTL_ZERO, 0, 1)
    somebody, target = False, False
    for k in range(16):
        somebody = somebody or data[at + 8 + k] != 0
        target = target or data[at + 24 + k] != 0
    if data[at + 8] == 255 or (not somebody and protocol in (TCP, UDP)):
        mark(marks, i, MARTIAN, data[at + 8], 0)
    elif not target or (data[at + 24] == 255 and protocol == TCP):
        mark(marks, i, MARTIAN, data[at + 24], 0)
    # A fragment header right after the fixed one is the common place (RFC 8200 §4.1).
    return not (data[at + 6] == 44 and captured >= 48 and word_at(data, at + 42) & 0xFFF9)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_icmp(data: Any, at: int, end: int, sent: int, marks: Any, i: int) -> None:
    if end - at < 8 or end - at < sent:
        return
    compare_sum(add_words(data, at, at + sent), word_at(data, at + 2), L4_CHECKSUM, marks, i)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_tcp(data: Any, at: int, sent: int, marks: Any, i: int) -> None:
    """Judge a TCP header at ``at`` by itself; ``sent`` is the layer 4 length."""
    size = np.int64(data[at + 12] >> 4) * 4
    if size < 20 or size > sent:
        mark(marks, i, TCP_OFFSET, size, min(60, sent))
        return
    # The lowest of the four is AE of Accurate ECN (RFC 9768), judged with the other ECN bits.
    if data[at + 12] & 0x0E:
        mark(marks, i, TCP_RESERVED, data[at + 12] & 0x0E, 0)
    flags = np.int64(data[at + 13])
    if (
        (flags & SYN and flags & (FIN | RST))
        or (flags & FIN and flags & RST)
        or not flags & (ACK | SYN | RST)
        or (flags & SYN and flags & URG)
    ):
        mark(marks, i, TCP_FLAGS, flags, 0)
    pointer = word_at(data, at + 18)
    if (pointer != 0) != ((flags & URG) != 0):
        mark(marks, i, TCP_URGENT, pointer, 0)
    _judge_tcp_options(data, at + 20, at + size, flags, marks, i)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_tcp_options(data: Any, at: Any, end: int, flags: int, marks: Any, i: int) -> None:
    seen = np.int64(0)
    while at < end:
        kind = np.int64(data[at])
        if kind == 0:
            for k in range(at, end):
                if data[k] != 0:
                    mark(marks, i, TCP_OPTIONS, data[k], end - k)
                    return
            return
        if kind == 1:
            at += 1
            continue
        size = np.int64(data[at + 1]) if at + 1 < end else np.int64(0)
        known = kind in (2, 3, 4, 5, 8)
        twice = kind < 9 and (seen >> kind) & 1
        fits = (
            (kind == 2 and size == 4 and word_at(data, at + 2) > 0)
            or (kind == 3 and size == 3 and data[at + 2] <= 14)
            or (kind == 4 and size == 2)
            or (kind == 5 and size in (10, 18, 26, 34))
            or (kind == 8 and size == 10)
        )
        if size < 2 or at + size > end or twice or (known and not fits):
            mark(marks, i, TCP_OPTIONS, kind, end - at)
            return
        if kind in (2, 3, 4) and not flags & SYN:
            mark(marks, i, TCP_OPTION_PLACE, kind, 0)
        if kind == 5 and flags & SYN:
            mark(marks, i, TCP_OPTIONS, kind, end - at)
        seen |= np.int64(1) << min(kind, np.int64(60))
        at += size
