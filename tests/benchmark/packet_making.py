"""Packets and traces made for tests: arbitrary bytes, and plausible headers with arbitrary fields."""

import math
import struct

import numpy as np
from hypothesis import strategies as st

from benchmark.trace import Condition, Labels, Packets, Trace

ADDRESSES = ["0a000002", "0a000001", "c0a80007"]


def packets_from(captured, lengths=None, ts=None):
    """Packets from a list of bytes; lengths default to the captured sizes, times to 1 ms steps."""
    sizes = [len(data) for data in captured]
    lengths = sizes if lengths is None else lengths
    ts = np.arange(len(captured)) * 1_000_000 if ts is None else ts
    return Packets(
        np.array(ts, np.int64),
        np.array(lengths, np.int32),
        np.frombuffer(b"".join(captured), np.uint8),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )


def trace_from(packets, name="one", windows=2, notes=None, **labels):
    known = {
        "rung": np.full(windows, -1, np.int8),
        "height": np.full(windows, 240, np.int16),
        "stall": np.full(windows, 0.1, np.float32),
        "fps": np.full(windows, np.nan, np.float32),
        "bitrate": np.full(windows, 1e6, np.float32),
        "startup": math.nan,
    }
    condition = Condition("video", 10.0 * windows, 10.0, Labels(**{**known, **labels}))
    return Trace(name, packets, condition, "10.0.0.2/32", notes or {})


def same_traces(one, other):
    """Tell whether both hold the same traces in every respect."""
    return len(one) == len(other) and all(
        a.name == b.name
        and a.client == b.client
        and dict(a.notes) == dict(b.notes)
        and a.packets.link == b.packets.link
        and a.packets.same_as(b.packets)
        and a.condition.application == b.condition.application
        and (a.condition.duration, a.condition.window) == (b.condition.duration, b.condition.window)
        and all(
            np.array_equal(getattr(a.labels, name), getattr(b.labels, name), equal_nan=name != "rung")
            and getattr(a.labels, name).dtype == getattr(b.labels, name).dtype
            for name in ("rung", "height", "stall", "fps", "bitrate")
        )
        and (a.labels.startup == b.labels.startup or math.isnan(a.labels.startup + b.labels.startup))
        for a, b in zip(one, other, strict=True)
    )


def header(rest, protocol, length=None, address=0, **fields):
    """An IPv4 header, its checksum zero unless given, before ``rest``."""
    ends = ADDRESSES[address % 3], ADDRESSES[(address + 1) % 3]
    ends = ends if address < 3 else ends[::-1]
    return (
        struct.pack(
            ">BBHHHBBH",
            fields.get("first", 0x45),
            fields.get("tos", 0),
            (20 + len(rest) if length is None else length) & 0xFFFF,
            fields.get("identification", 0),
            fields.get("fragment", 0x4000),
            fields.get("ttl", 64),
            protocol,
            fields.get("checksum", 0),
        )
        + bytes.fromhex("".join(ends))
        + rest
    )


WORD = st.integers(0, 0xFFFFFFFF)
SHORT = st.integers(0, 0xFFFF)
BYTE = st.integers(0, 0xFF)


@st.composite
def options(draw):
    """TCP options: the usual layouts, or arbitrary words."""
    stamps = draw(st.booleans())
    blocks = draw(st.integers(0, 3 if stamps else 4))
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4]))
    made = struct.pack(">IIII", 0x0101080A, draw(WORD), draw(WORD), 0)[:12] if stamps else b""
    if blocks:
        edges = draw(st.lists(WORD, min_size=2 * blocks, max_size=2 * blocks))
        made += struct.pack(f">I{2 * blocks}I", 0x01010502 + 8 * blocks, *edges)
    return made


@st.composite
def tcp_packet(draw):
    """A TCP packet with a captured payload prefix; its fields agree with each other."""
    extra = draw(options())
    offset = 5 + len(extra) // 4
    sent = draw(st.integers(0, 1448))
    kept = draw(st.binary(max_size=min(sent, 4)))
    ports = draw(st.sampled_from([(443, 5000), (5000, 443), (80, 80)]))
    head = struct.pack(
        ">HHIIBBHHH",
        *ports,
        draw(WORD),
        draw(WORD),
        offset << 4 | draw(st.integers(0, 15)),
        draw(BYTE),
        draw(SHORT),
        draw(SHORT),
        0,
    )
    length = 20 + 4 * offset + sent
    return header(head + extra + kept, 6, length, draw(st.integers(0, 5)), ttl=draw(BYTE), tos=draw(BYTE)), length


@st.composite
def udp_packet(draw):
    """A UDP packet: QUIC's port, or RTP or STUN elsewhere."""
    sent = draw(st.integers(0, 1200))
    kept = draw(st.binary(max_size=min(sent, 20)))
    if draw(st.booleans()) and len(kept) > 1:
        kept = bytes([0x80 | kept[0] & 0x3F]) + kept[1:]
    ports = draw(st.sampled_from([(443, 5000), (5000, 443), (40000, 50000)]))
    head = struct.pack(">HHHH", *ports, 8 + sent, draw(SHORT))
    return header(
        head + kept, 17, 28 + sent, draw(st.integers(0, 5)), identification=draw(SHORT), checksum=draw(SHORT)
    ), 28 + sent


@st.composite
def odd_packet(draw):
    """A packet with one thing unusual: IP options, a fragment, lengths that disagree, a cut header, noise."""
    data, length = draw(st.one_of(tcp_packet(), udp_packet()))
    data = bytearray(data)
    change = draw(st.integers(0, 5))
    if change == 0:
        data[0] = draw(BYTE)
    elif change == 1:
        data[6:8] = struct.pack(">H", draw(SHORT))
    elif change == 2:
        length = draw(st.integers(-(2**31), 2**31 - 1))
    elif change == 3:
        data = data[: draw(st.integers(0, len(data)))]
    elif change == 4:
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    else:
        data += draw(st.binary(min_size=1, max_size=30))
    return bytes(data), length


plain_packets = st.lists(st.one_of(tcp_packet(), udp_packet()), max_size=30)
any_packets = st.lists(
    st.one_of(
        tcp_packet(),
        udp_packet(),
        odd_packet(),
        st.tuples(st.binary(max_size=90), st.integers(-(2**31), 2**31 - 1)),
        st.binary(max_size=80).map(lambda data: (b"\x60" + data, 40 + len(data))),
    ),
    max_size=30,
)
microsecond_times = st.lists(
    st.one_of(st.integers(0, 10**8), st.integers(-(10**15), 10**15)), min_size=30, max_size=30
).map(lambda values: [value * 1000 for value in values])
