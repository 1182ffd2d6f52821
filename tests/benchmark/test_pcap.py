"""Reading pcap: byte orders, clocks, link types, lengths, order, blocks."""

import itertools
import struct

import numpy as np
import pytest

from benchmark.capture.pcap import packets_of, read_frames, read_packets
from benchmark.errors import TraceError
from tests.benchmark.capture_bytes import ethernet, ipv4, ipv6, pcap, udp

PACKET = ipv4(udp(b"abc"))
PACKET6 = ipv6(udp(b"abcd"))


@pytest.fixture
def store(tmp_path):
    names = (tmp_path / f"{number}.pcap" for number in itertools.count())

    def write(content):
        path = next(names)
        path.write_bytes(content)
        return path

    return write


def bytes_of(packets, i):
    return packets.data[packets.offsets[i] : packets.offsets[i + 1]].tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_times_lengths_and_bytes(store, order, nanoseconds):
    path = store(pcap([ethernet(PACKET), ethernet(PACKET6, 0x86DD)], order, nanoseconds))
    packets = read_packets(path)
    assert packets.ts.tolist() == [0, 1_000_000_000 + (1 if nanoseconds else 1000)]
    assert packets.length.tolist() == [len(PACKET), len(PACKET6)]
    assert bytes_of(packets, 0) == PACKET
    assert bytes_of(packets, 1) == PACKET6
    assert packets.link == 1
    (frames,) = read_frames(path)
    assert frames.ts[0] == 1_700_000_000 * 10**9
    assert frames.wire.tolist() == [14 + len(PACKET), 14 + len(PACKET6)]
    assert packets_of(frames, int(frames.ts[0])).same_as(packets)


VLAN = struct.pack(">HH", 5, 0x0800)
STACK = struct.pack(">HHHH", 5, 0x8100, 6, 0x86DD)
PPPOE = bytes.fromhex("11000001") + struct.pack(">H", len(PACKET) + 2)
SLL = bytes(14)
LINKS = {
    "ethernet": (1, ethernet(PACKET), 14),
    "802.1q": (1, ethernet(VLAN + PACKET, 0x8100), 18),
    "802.1ad": (1, ethernet(STACK + PACKET6, 0x88A8), 22),
    "pppoe": (1, ethernet(PPPOE + b"\x00\x21" + PACKET, 0x8864), 22),
    "pppoe ipv6": (1, ethernet(PPPOE + b"\x00\x57" + PACKET6, 0x8864), 22),
    "pppoe in a vlan": (
        1,
        ethernet(struct.pack(">HH", 5, 0x8864) + PPPOE + b"\x00\x21" + PACKET, 0x8100),
        26,
    ),
    "raw": (101, PACKET, 0),
    "raw ipv6": (101, PACKET6, 0),
    "raw, bsd's number": (12, PACKET, 0),
    "raw, openbsd's number": (14, PACKET, 0),
    "ipv4": (228, PACKET, 0),
    "ipv6": (229, PACKET6, 0),
    "cooked": (113, SLL + b"\x08\x00" + PACKET, 16),
    "cooked ipv6": (113, SLL + b"\x86\xdd" + PACKET6, 16),
    "cooked vlan": (113, SLL + b"\x81\x00" + VLAN + PACKET, 20),
    "cooked 2": (276, b"\x08\x00" + bytes(18) + PACKET, 20),
    "cooked 2 ipv6": (276, b"\x86\xdd" + bytes(18) + PACKET6, 20),
    "null little": (0, struct.pack("<I", 2) + PACKET, 4),
    "null big": (0, struct.pack(">I", 2) + PACKET, 4),
    "null ipv6 macos": (0, struct.pack("<I", 30) + PACKET6, 4),
    "null ipv6 freebsd": (0, struct.pack("<I", 28) + PACKET6, 4),
    "loop": (108, struct.pack(">I", 24) + PACKET6, 4),
}


@pytest.mark.parametrize("name", LINKS)
def test_link_types(store, name):
    link, frame, position = LINKS[name]
    path = store(pcap([frame], link=link))
    (frames,) = read_frames(path)
    assert frames.ip.tolist() == [position]
    assert frames.link == link
    packets = read_packets(path)
    assert bytes_of(packets, 0) == frame[position:]
    # Cut anywhere, a frame has its IP header where it was, or none; nothing beyond it is read.
    cut = pcap([(frame[:size], len(frame)) for size in range(len(frame))], link=link)
    (frames,) = read_frames(store(cut))
    assert frames.ip.tolist() == [-1] * (position + 1) + [position] * (len(frame) - position - 1)


NOT_IP = {
    "arp": (1, ethernet(bytes(28), 0x0806)),
    "wrong version": (1, ethernet(PACKET6, 0x0800)),
    "llc": (1, ethernet(bytes(46), 46)),
    "pppoe lcp": (1, ethernet(PPPOE + b"\xc0\x21" + bytes(8), 0x8864)),
    "pppoe discovery": (1, ethernet(bytes(20), 0x8863)),
    "vlan without end": (1, ethernet(struct.pack(">HH", 1, 0x8100) * 20, 0x8100)),
    "raw nothing": (101, b""),
    "raw version 5": (101, b"\x55" + bytes(40)),
    "ipv4 only": (228, PACKET6),
    "ipv6 only": (229, PACKET),
    "null appletalk": (0, struct.pack("<I", 16) + PACKET),
    "cooked arp": (113, SLL + b"\x08\x06" + PACKET),
}


@pytest.mark.parametrize("name", NOT_IP)
def test_frames_without_ip_are_frames_but_no_packets(store, name):
    link, frame = NOT_IP[name]
    path = store(pcap([frame], link=link))
    (frames,) = read_frames(path)
    assert frames.ip.tolist() == [-1]
    assert frames.data.tobytes() == frame
    assert len(read_packets(path)) == 0


def test_lengths_follow_the_header_and_padding_is_dropped(store):
    short = ipv4(b"", protocol=6)
    frames = [
        ethernet(short + bytes(26)),  # padded to Ethernet's 60 bytes
        (ethernet(ipv4(bytes(80), total=0)), 14 + 3000),  # segmentation offload: the frame's length counts
        (ethernet(ipv6(bytes(80), length=0), 0x86DD), 14 + 4000),
        ethernet(ipv6(bytes(6), following=59, length=0), 0x86DD),  # no next header: nothing follows
        (ethernet(ipv4(bytes(80), total=1500)), 14 + 100),  # a lying capture length: the header's counts
        ethernet(PACKET[:3]),  # too short to tell its length
        ethernet(ipv4(bytes(40), total=12)),
    ]
    packets = read_packets(store(pcap(frames)))
    assert packets.length.tolist() == [20, 3000, 4000, 40, 1500, 3, 12]
    assert packets.captured.tolist() == [20, 100, 120, 40, 100, 3, 12]


def test_packets_come_in_time_order_and_ties_stay(store):
    content = pcap([ethernet(ipv4(udp(bytes([i])))) for i in range(5)])
    times = [7, 5, 9, 5, 6]
    records = bytearray(content[:24])
    for i, second in enumerate(times):
        at = 24 + i * (16 + 14 + 29)
        records += struct.pack("<II", second, 0) + content[at + 8 : at + 16 + 14 + 29]
    path = store(bytes(records))
    packets = read_packets(path)
    assert (packets.ts // 10**9).tolist() == [0, 0, 1, 2, 4]
    assert [bytes_of(packets, i)[-1] for i in range(5)] == [1, 3, 4, 0, 2]
    (frames,) = read_frames(path)
    assert (frames.ts // 10**9).tolist() == times


@pytest.mark.parametrize("block_bytes", [1, 70, 97, 128, 1 << 20])
def test_blocks_of_any_size_give_the_same(store, block_bytes):
    sizes = [0, 1, 400, 3, 65000, 10, 262_144 - 34, 5]
    path = store(pcap([ethernet(ipv4(bytes(size), total=min(65_535, 20 + size))) for size in sizes] * 3))
    whole = list(read_frames(path))
    parts = list(read_frames(path, block_bytes=block_bytes))
    assert np.array_equal(np.concatenate([part.data for part in parts]), np.concatenate([part.data for part in whole]))
    assert sum(len(part) for part in parts) == len(sizes) * 3
    assert read_packets(path, block_bytes=block_bytes).same_as(read_packets(path))


def test_limit_and_duration(store):
    path = store(pcap([ethernet(ipv4(udp(bytes(i)))) for i in range(10)]))
    whole = read_packets(path)
    assert read_packets(path, limit=4).same_as(whole.take(slice(4)))
    assert read_packets(path, limit=4, block_bytes=64).same_as(whole.take(slice(4)))
    for block_bytes in (64, 1 << 20):
        short = read_packets(path, duration=3.0, block_bytes=block_bytes)
        assert short.same_as(whole.take(slice(3)))  # the fourth comes 3 s and 3 us after the first


def test_snaplen_cuts_bytes_but_not_lengths(store):
    path = store(pcap([ethernet(ipv4(udp(bytes(i)))) for i in range(10)]))
    whole, cut = read_packets(path), read_packets(path, snaplen=30)
    assert cut.length.tolist() == whole.length.tolist()
    assert cut.captured.tolist() == [min(30, 28 + i) for i in range(10)]
    assert bytes_of(cut, 9) == bytes_of(whole, 9)[:30]


def test_no_packets_is_a_capture_still(store):
    path = store(pcap([]))
    assert len(read_packets(path)) == 0
    assert list(read_frames(path)) == []


def fault(path, **options):
    with pytest.raises(TraceError) as caught:
        list(read_frames(path, **options))
    assert str(path) in str(caught.value)
    with pytest.raises(TraceError) as again:
        read_packets(path, **options)
    assert str(again.value) == str(caught.value)
    return caught.value


WHOLE = pcap([ethernet(PACKET)] * 3)
RECORD = 16 + 14 + len(PACKET)


def damaged(at, value, width="<I"):
    content = bytearray(WHOLE)
    struct.pack_into(width, content, 24 + 2 * RECORD + at, value)
    return bytes(content)


FAULTS = {
    "header cut": (WHOLE[: 24 + 2 * RECORD + 9], "record header cut short: 9 of 16"),
    "record cut": (WHOLE[:-1], f"record cut short: {RECORD - 17} of {RECORD - 16}"),
    "huge": (damaged(8, 0xFFFFFFF0), "captured bytes"),
    "beyond libpcap's limit": (damaged(8, 262_145), "262145"),
    "more captured than sent": (damaged(12, 10), "for a frame of 10"),
    "sent beyond int32": (damaged(12, 1 << 31), "for a frame of 2147483648"),
    "fraction": (damaged(4, 1_000_000), "fraction of a second is 1000000"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_one_error_names_the_offset_and_what_came_before_can_be_kept(store, name, block_bytes):
    content, words = FAULTS[name]
    path = store(content)
    error = fault(path, block_bytes=block_bytes)
    assert words in str(error)
    assert error.offset == 24 + 2 * RECORD
    assert error.packets_read == 2
    kept = read_packets(path, keep_readable=True, block_bytes=block_bytes)
    assert kept.same_as(read_packets(store(WHOLE[: 24 + 2 * RECORD])))


HOPELESS = {
    "empty": (b"", 0, "empty file"),
    "one byte": (b"\xd4", 0, "neither pcap nor pcapng"),
    "header cut": (WHOLE[:20], 0, "file header cut short: 20 of 24"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), 0, "gzip"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), 0, "zstd"),
    "snoop": (b"snoop\0\0\0" + bytes(40), 0, "snoop"),
    "text": (b"time,bytes\n1,2\n", 0, "neither pcap nor pcapng"),
    "version": (WHOLE[:4] + b"\x03\x00\x00\x00" + WHOLE[8:], 4, "version 3.0"),
    "wireless": (pcap([bytes(60)], link=127), 20, "foreign link type 127 (IEEE 802.11 with radiotap header)"),
    "unheard of": (pcap([bytes(60)], link=9999), 20, "foreign link type 9999"),
}


@pytest.mark.parametrize("name", HOPELESS)
@pytest.mark.parametrize("keep_readable", [False, True])
def test_what_is_no_capture_raises_either_way(store, name, keep_readable):
    content, offset, words = HOPELESS[name]
    error = fault(store(content), keep_readable=keep_readable)
    assert words in str(error)
    assert (error.offset, error.packets_read) == (offset, 0)


def test_missing_file_and_folder(tmp_path):
    assert "No such file" in str(fault(tmp_path / "none.pcap"))
    assert "directory" in str(fault(tmp_path))


def test_lying_length_allocates_nothing(store):
    tracemalloc = pytest.importorskip("tracemalloc")
    content = bytearray(pcap([bytes(60)]))
    struct.pack_into("<II", content, 24 + 8, 262_000, 262_000)
    path = store(bytes(content))
    fault(path, block_bytes=4096)
    tracemalloc.start()
    fault(path, block_bytes=4096)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20
