"""Captures built byte by byte, so that what the reader must find is known beforehand."""

import struct
from pathlib import Path

BUNDLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "public" / "ndpi.tar.xz"


def ipv4(payload=b"", protocol=17, source="10.0.0.2", destination="10.0.0.1", total=None, options=b""):
    size = 20 + len(options)
    total = size + len(payload) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, total, 7, 0, 64, protocol, 0)
    return head + _address(source) + _address(destination) + options + payload


def ipv6(payload=b"", following=17, length=None):
    length = len(payload) if length is None else length
    return struct.pack(">IHBB", 0x60000000, length, following, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload


def udp(payload=b"", source=5000, destination=443):
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0) + payload


def ethernet(packet, ethertype=0x0800):
    return bytes(12) + struct.pack(">H", ethertype) + packet


def pcap(frames, order="<", nanoseconds=False, link=1, start=1_700_000_000):
    """Lay out frames: bytes, or (bytes, wire length); frame i is stamped start + i s + i units."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for i, frame in enumerate(frames):
        data, wire = frame if isinstance(frame, tuple) else (frame, len(frame))
        out.append(struct.pack(order + "IIII", start + i, i, len(data), wire) + data)
    return b"".join(out)


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    total = len(body) + 12
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(link=1, order="<", resolution=None, offset=None, snaplen=0):
    options = option(2, b"eth0", order)
    if resolution is not None:
        options += option(9, bytes([resolution]), order)
    if offset is not None:
        options += option(14, struct.pack(order + "q", offset), order)
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options + bytes(4), order)


def enhanced(data, clock, number=0, order="<", wire=None):
    fixed = struct.pack(order + "IIIII", number, clock >> 32, clock & 0xFFFFFFFF, len(data), wire or len(data))
    return block(6, fixed + data + bytes(-len(data) % 4) + option(1, b"seen", order), order)


def obsolete(data, clock, number=0, order="<"):
    fixed = struct.pack(order + "HHIIII", number, 0, clock >> 32, clock & 0xFFFFFFFF, len(data), len(data))
    return block(2, fixed + data, order)


def simple(data, order="<", wire=None):
    return block(3, struct.pack(order + "I", wire or len(data)) + data, order)


def _address(text):
    return bytes(int(part) for part in text.split("."))
