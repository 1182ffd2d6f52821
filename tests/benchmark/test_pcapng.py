"""Reading pcapng: sections, interfaces, clocks, block kinds, faults."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.capture.pcap import read_frames, read_packets
from benchmark.capture.pcapng_walk import INTERFACE_ROW, clock_nanoseconds
from benchmark.errors import TraceError
from tests.benchmark.capture_bytes import (
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    obsolete,
    option,
    section,
    simple,
    udp,
)

PACKET = ipv4(udp(b"abc"))
FRAME = ethernet(PACKET)
SECOND = 10**9


def stored(tmp_path, content):
    path = tmp_path / "capture.pcapng"
    path.write_bytes(content)
    return path


def times(tmp_path, content):
    return [int(ts) for frames in read_frames(stored(tmp_path, content)) for ts in frames.ts]


@pytest.mark.parametrize("order", "<>")
def test_all_packet_blocks_in_both_byte_orders(tmp_path, order):
    content = (
        section(order)
        + interface(order=order)
        + enhanced(FRAME, 5_000_001, order=order)
        + obsolete(FRAME, 6_000_000, order=order)
        + simple(FRAME, order=order)
    )
    packets = read_packets(stored(tmp_path, content))
    assert packets.ts.tolist() == [0, 999_999_000, 999_999_000]
    assert packets.data.tobytes() == PACKET * 3


CLOCKS = {  # resolution byte, offset in seconds, clock reading: ns since the epoch
    "default": (None, None, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
    "nanoseconds": (9, None, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
    "seconds": (0, None, 12, 12 * SECOND),
    "milliseconds": (3, None, 12_345, 12_345_000_000),
    "picoseconds": (12, None, 1_999, 1),
    "10 to the -19": (19, None, 10_000_000_001, 1),
    "10 to the -20": (20, None, 199_999_999_999, 1),
    "10 to the -40": (40, None, 2**64 - 1, 0),
    "2 to the -1": (0x81, None, 3, 1_500_000_000),
    "2 to the -20": (0x94, None, (7 << 20) + (1 << 19), 7_500_000_000),
    "2 to the -32": (0xA0, None, (1_700_000_000 << 32) + (1 << 31), 1_700_000_000 * SECOND + SECOND // 2),
    "2 to the -40": (0xA8, None, (9 << 40) + (3 << 38), 9_750_000_000),
    "2 to the -63": (0xBF, None, (1 << 63) + (1 << 62), 1_500_000_000),
    "2 to the -64": (0xC0, None, 1 << 63, SECOND // 2),
    "2 to the -127": (0xFF, None, 2**64 - 1, 0),
    "ahead": (6, 1_700_000_000, 1, 1_700_000_000 * SECOND + 1000),
    "behind": (6, -5, 7_000_000, 2 * SECOND),
    "before 1970": (6, -5, 1, -5 * SECOND + 1000),
}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("order", "<>")
def test_clocks(tmp_path, name, order):
    resolution, offset, clock, wanted = CLOCKS[name]
    head = section(order) + interface(order=order, resolution=resolution, offset=offset)
    assert times(tmp_path, head + enhanced(FRAME, clock, order=order)) == [wanted]


@settings(deadline=None)
@given(clock=st.integers(0, 2**64 - 1), resolution=st.integers(0, 255), offset=st.integers(-(10**10), 10**10))
def test_any_clock_is_exact_or_refused(clock, resolution, offset):
    row = _interface(resolution, offset)
    held, moment = clock_nanoseconds(clock >> 32, clock & 0xFFFFFFFF, row)
    scale = 2 ** (resolution & 127) if resolution >> 7 else 10**resolution
    wanted = clock * SECOND // scale + offset * SECOND
    assert held == (abs(clock // scale + offset) <= 9_223_372_035)
    if held:
        assert moment == wanted


def _interface(resolution, offset):
    rows = np.zeros(1, INTERFACE_ROW)
    rows[0] = (1, 1, resolution >> 7, resolution & 127, offset, 0)
    return rows[0]


def test_interfaces_of_different_links_and_clocks(tmp_path):
    raw6 = ipv6(udp(b"xy"))
    content = (
        section()
        + interface(1)
        + interface(101, resolution=9)
        + enhanced(FRAME, 1_000_000, 0)
        + interface(276, resolution=0x80 | 10)
        + enhanced(raw6, 2_000_000_000, 1)
        + enhanced(b"\x08\x00" + bytes(18) + PACKET, 3 << 10, 2)
        + enhanced(FRAME, 4_000_000, 0)
    )
    path = stored(tmp_path, content)
    blocks = list(read_frames(path))
    assert [frames.link for frames in blocks] == [1, 101, 276, 1]
    assert [int(ip) for frames in blocks for ip in frames.ip] == [14, 0, 20, 14]
    packets = read_packets(path)
    assert (packets.ts // SECOND).tolist() == [0, 1, 2, 3]
    assert packets.data.tobytes() == PACKET + raw6 + PACKET + PACKET


def test_a_new_section_forgets_the_interfaces_and_may_turn_the_byte_order(tmp_path):
    first = section("<") + interface(1) + enhanced(FRAME, 1_000_000)
    second = section(">") + interface(101, ">") + enhanced(PACKET, 2_000_000, order=">")
    packets = read_packets(stored(tmp_path, first + second + first))
    assert packets.ts.tolist() == [0, 0, SECOND]
    orphan = first + section(">") + enhanced(PACKET, 2_000_000, order=">")
    with pytest.raises(TraceError, match="interface 0, where 0 are described") as caught:
        list(read_frames(stored(tmp_path, orphan)))
    assert caught.value.offset == len(first) + 28
    assert caught.value.packets_read == 1


@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 20])
def test_other_blocks_are_passed_over_whatever_their_size(tmp_path, block_bytes):
    statistics = block(5, bytes(12))
    names = block(4, bytes(4))
    vendor = block(0x0BAD, bytes(3 << 20))
    content = section() + statistics + interface() + vendor + enhanced(FRAME, 1) + names + enhanced(FRAME, 2)
    path = stored(tmp_path, content + vendor)
    assert read_packets(path, block_bytes=block_bytes).ts.tolist() == [0, 1000]


def test_simple_packets_end_at_the_snapshot_length(tmp_path):
    long = ethernet(ipv4(bytes(80)))
    content = section() + interface(snaplen=53) + simple(long[:53], wire=len(long))
    (frames,) = read_frames(stored(tmp_path, content))
    assert frames.data.tobytes() == long[:53]
    assert frames.wire.tolist() == [len(long)]


HEAD = section() + interface()
GOOD = enhanced(FRAME, 1_000_000)


def changed(content, at, value, width="<I"):
    content = bytearray(content)
    struct.pack_into(width, content, at, value)
    return bytes(content)


FAULTS = {
    "cut": (GOOD[:-5], "cut short"),
    "header cut": (GOOD[:6], "block header cut short: 6 of 8"),
    "unknown block cut": (block(77, bytes(40))[:-1], "cut short"),
    "unknown block's length": (changed(block(77, bytes(40)), 4, 0xFFFFFFF0), "cut short"),
    "unknown block of nothing": (changed(block(77, b""), 4, 8), "block of 8 bytes"),
    "unknown block's trailer": (changed(block(77, bytes(4)), 12, 20), "16 bytes at its start, 20 at its end"),
    "length": (changed(GOOD, 4, 0xFFFFFFF0), "block type 0x6"),
    "odd length": (changed(GOOD, 4, 61), "of 61 bytes"),
    "short length": (changed(GOOD, 4, 28), "of 28 bytes"),
    "trailer": (changed(GOOD, len(GOOD) - 4, 12), "at its end"),
    "captured": (changed(GOOD, 20, 4000), "4000 captured bytes in a block of"),
    "wire": (changed(GOOD, 24, 3), "for a frame of 3"),
    "interface": (enhanced(FRAME, 1, number=1), "interface 1, where 1 are described"),
    "time": (enhanced(FRAME, 2**64 - 1), "2262"),
    "simple": (changed(simple(FRAME), 8, 3), "simple packet of 3 bytes"),
    "description": (changed(interface(), 4, 1 << 24), "block type 0x1 of 16777216 bytes"),
    "description cut": (interface()[:-1], "cut short"),
    "description's option": (
        block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HH", 2, 99)),
        "option 2 of 99 bytes overruns",
    ),
    "description's clock": (interface(offset=2**62), "seconds off"),
    "section cut": (section()[:10], "section header cut short"),
    "section's order": (changed(section(), 8, 5), "byte-order magic 05 00 00 00"),
    "section's version": (changed(section(), 12, 2, "<H"), "version 2.0"),
    "foreign link": (
        interface(105) + enhanced(bytes(30), 1, number=1),
        "foreign link type 105 (IEEE 802.11)",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_one_error_and_what_came_before_can_be_kept(tmp_path, name, block_bytes):
    fault, words = FAULTS[name]
    path = stored(tmp_path, HEAD + GOOD + fault)
    with pytest.raises(TraceError) as caught:
        list(read_frames(path, block_bytes=block_bytes))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(HEAD + GOOD) <= caught.value.offset < len(HEAD + GOOD + fault)
    assert caught.value.packets_read == 1
    assert len(read_packets(path, keep_readable=True, block_bytes=block_bytes)) == 1


def test_a_foreign_interface_without_packets_does_no_harm(tmp_path):
    content = section() + interface(105) + interface(1) + enhanced(FRAME, 1, number=1)
    assert len(read_packets(stored(tmp_path, content))) == 1


def test_too_many_interfaces(tmp_path):
    content = section() + interface() * 4097
    with pytest.raises(TraceError, match="more than 4096 interfaces"):
        list(read_frames(stored(tmp_path, content)))


def test_options_after_the_end_are_not_read(tmp_path):
    body = struct.pack("<HHI", 1, 0, 0) + option(9, b"\x09") + bytes(4) + b"\xff" * 8
    assert times(tmp_path, section() + block(1, body) + enhanced(FRAME, 17)) == [17]
