"""Writing pcap and pcapng: exact round trips, and other readers agree."""

import os
import struct

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader, RawPcapReader

from benchmark.capture.pcap import read_frames, read_packets, write_pcap, write_pcapng
from benchmark.errors import TraceError
from benchmark.trace import Packets
from tests.benchmark.capture_bytes import ipv4, ipv6, udp

WRITERS = {"pcap": write_pcap, "pcapng": write_pcapng}
EPOCH = 1_700_000_000_123_456_789


def packets_from(rows):
    """Build packets from (ts, bytes, captured) rows."""
    sizes = [captured for _, _, captured in rows]
    return Packets(
        np.array([ts for ts, _, _ in rows], np.int64),
        np.array([len(data) for _, data, _ in rows], np.int32),
        np.frombuffer(b"".join(data[:captured] for _, data, captured in rows), np.uint8),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )


@st.composite
def traces(draw):
    rows = []
    ts = 0
    for _ in range(draw(st.integers(0, 12))):
        payload = udp(bytes(draw(st.integers(0, 90))))
        data = draw(st.sampled_from([ipv4, ipv6]))(payload)
        rows.append((ts, data, draw(st.integers(8, len(data)))))
        ts += draw(st.one_of(st.just(0), st.integers(1, 10**10)))
    return packets_from(rows)


@pytest.mark.parametrize("kind", WRITERS)
@settings(deadline=None)  # the first example compiles
@given(packets=traces(), big=st.booleans(), link=st.sampled_from([1, 101]), epoch=st.integers(0, 4 * 10**18))
def test_round_trip_is_exact_in_nanoseconds(tmp_path_factory, kind, packets, big, link, epoch):
    path = tmp_path_factory.getbasetemp() / f"round.{kind}"
    WRITERS[kind](path, packets, big_endian=big, link=link, epoch_ns=epoch)
    assert read_packets(path).same_as(packets)
    if len(packets):
        (frames,) = read_frames(path)
        assert frames.link == link
        assert np.array_equal(frames.ts, packets.ts + epoch)


@pytest.mark.parametrize("kind", WRITERS)
@settings(deadline=None)  # the first example compiles
@given(packets=traces(), big=st.booleans())
def test_microseconds_round_down(tmp_path_factory, kind, packets, big):
    path = tmp_path_factory.getbasetemp() / f"micro.{kind}"
    WRITERS[kind](path, packets, nanoseconds=False, big_endian=big, epoch_ns=EPOCH)
    got = [int(ts) for frames in read_frames(path) for ts in frames.ts]
    assert got == [(int(ts) + EPOCH) // 1000 * 1000 for ts in packets.ts]


@pytest.fixture
def sample():
    rows = [(i * 1_234_567, make(udp(bytes(i * 7))), 28 + i * 3) for i, make in enumerate([ipv4, ipv6] * 10)]
    return packets_from(rows)


@pytest.mark.parametrize("nanoseconds", [False, True])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("link", [1, 101])
@pytest.mark.parametrize("kind", WRITERS)
def test_scapy_and_dpkt_read_what_we_write(tmp_path, sample, nanoseconds, big, link, kind):
    path = tmp_path / f"out.{kind}"
    WRITERS[kind](path, sample, nanoseconds=nanoseconds, big_endian=big, link=link, epoch_ns=EPOCH)
    ahead = 14 if link == 1 else 0
    unit = 1 if nanoseconds else 1000
    wanted = [(int(ts) + EPOCH) // unit for ts in sample.ts]
    bodies = [sample.data[a:b].tobytes() for a, b in zip(sample.offsets, sample.offsets[1:], strict=False)]

    with open(path, "rb") as file:
        read = dpkt.pcap.Reader(file) if kind == "pcap" else dpkt.pcapng.Reader(file)
        assert read.datalink() == link
        rows = list(read)
    assert [data[ahead:] for _, data in rows] == bodies
    assert [float(ts) for ts, _ in rows] == pytest.approx([value * unit / 1e9 for value in wanted], abs=1e-6)

    if kind == "pcap":
        with RawPcapReader(str(path)) as reader:
            raw = list(reader)
        per_second = 10**9 // unit
        assert [meta.sec * per_second + meta.usec for _, meta in raw] == wanted
        assert [data[ahead:] for data, _ in raw] == bodies
        assert [meta.wirelen - ahead for _, meta in raw] == sample.length.tolist()
        return
    with PcapNgReader(str(path)) as reader:
        packets = list(reader)
    assert [int(packet.time * (10**9 // unit)) for packet in packets] == wanted
    assert [packet.wirelen - ahead for packet in packets] == sample.length.tolist()
    if link == 1:
        assert [packet[Ether].type for packet in packets] == [0x0800, 0x86DD] * 10


def test_pcap_bytes_are_as_the_format_says(tmp_path):
    packet = ipv4(udp(b"abc"))
    path = tmp_path / "known.pcap"
    write_pcap(path, packets_from([(5, packet, 29)]), big_endian=True, link=1, epoch_ns=3 * 10**9)
    head = struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
    record = struct.pack(">IIII", 3, 5, 14 + 29, 14 + len(packet))
    assert path.read_bytes() == head + record + bytes.fromhex("0200000000020200000000010800") + packet[:29]


def test_times_that_do_not_fit_are_refused_and_nothing_is_left(tmp_path, sample):
    path = tmp_path / "out.pcap"
    with pytest.raises(TraceError, match="2106"):
        write_pcap(path, sample, epoch_ns=-1)
    with pytest.raises(TraceError, match="2106"):
        write_pcap(path, sample, epoch_ns=(1 << 32) * 10**9)
    with pytest.raises(TraceError, match="1970"):
        write_pcapng(path, sample, epoch_ns=-1)
    with pytest.raises(TraceError, match="link type 113"):
        write_pcap(path, sample, link=113)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, sample, monkeypatch):
    path = tmp_path / "out.pcap"
    write_pcap(path, sample)
    before = path.read_bytes()
    monkeypatch.setattr("benchmark.capture.writer._interleave", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_pcap(path, sample, link=1)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["out.pcap"]


def test_many_packets_cross_the_writers_blocks(tmp_path):
    count = 40_000
    data = np.tile(np.frombuffer(ipv4(udp(b"12345")), np.uint8), count)
    packets = Packets(
        np.arange(count, dtype=np.int64) * 1000,
        np.full(count, 33, np.int32),
        data,
        np.arange(count + 1, dtype=np.int64) * 33,
    )
    for kind, write in WRITERS.items():
        path = tmp_path / kind
        write(path, packets)
        assert read_packets(path).same_as(packets)
