"""Made-up packets for the nPrint tests: valid, cut and odd ones, each from its IP header on."""

from __future__ import annotations

import struct

import numpy as np

from benchmark.capture.frames import Frames
from benchmark.trace import Packets


def ipv4_header(protocol: int, total: int, options: bytes = b"") -> bytes:
    first = 0x40 | (5 + len(options) // 4)
    return (
        struct.pack(">BBHHHBBH", first, 0, total, 7, 0x4000, 64, protocol, 0xABCD)
        + bytes([10, 0, 0, 1, 10, 0, 0, 2])
        + options
    )


def ipv6_header(protocol: int, payload: int) -> bytes:
    return struct.pack(">IHBB", 0x60000001, payload, protocol, 64) + bytes(range(32))


def transport_header(protocol: int, options: bytes = b"", data_offset: int | None = None) -> bytes:
    if protocol == 6:
        offset = 5 + len(options) // 4 if data_offset is None else data_offset
        return struct.pack(">HHIIBBHHH", 443, 5000, 1, 2, offset << 4, 0x18, 500, 0x1234, 0) + options
    if protocol == 17:
        return struct.pack(">HHHH", 443, 5000, 30, 0x4321)
    return bytes([8, 0, 1, 2, 3, 4, 5, 6])


def packet(
    protocol: int = 6,
    version: int = 4,
    payload: bytes = b"payload!",
    ip_options: bytes = b"",
    tcp_options: bytes = b"",
    data_offset: int | None = None,
) -> bytes:
    body = transport_header(protocol, tcp_options, data_offset) + payload
    if version == 4:
        return ipv4_header(protocol, 20 + len(ip_options) + len(body), ip_options) + body
    return ipv6_header(protocol, len(body)) + body


def packets_from(parts: list[bytes]) -> Packets:
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    length = np.array([len(part) for part in parts], np.int32)
    data = np.frombuffer(b"".join(parts), np.uint8)
    return Packets(np.arange(len(parts), dtype=np.int64), length, data, offsets)


def ethernet_frames(parts: list[bytes], wire: list[int] | None = None, tag: bytes = b"") -> Frames:
    kinds = [b"\x86\xdd" if part[:1] and part[0] >> 4 == 6 else b"\x08\x00" for part in parts]
    frames = [bytes(range(12)) + tag + kind + part for kind, part in zip(kinds, parts, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(frame) for frame in frames])]).astype(np.int64)
    captured = [len(frame) for frame in frames]
    return Frames(
        ts=np.arange(len(frames), dtype=np.int64) * 1000,
        wire=np.array(wire or captured, np.int32),
        data=np.frombuffer(b"".join(frames), np.uint8),
        offsets=offsets,
        link=1,
        ip=np.full(len(frames), 14 + len(tag), np.int64),
    )


def slow_bits(part: bytes, size: int) -> list[int]:
    """Bits of a block of ``size`` bytes, highest first, -1 where the part is shorter."""
    bits = [(byte >> (7 - bit)) & 1 for byte in part[:size] for bit in range(8)]
    return bits + [-1] * (8 * size - len(bits))
