"""Checksums: the RFC's example, known headers, scapy's on whole packets, the convention on cut ones."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from benchmark.checksum import convention_checksums, internet_checksum, ip_checksums, l4_checksums
from tests.benchmark.packet_making import any_packets, header, packets_from


def test_the_worked_example_of_rfc_1071():
    words = np.array([0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7], np.uint8)
    assert internet_checksum(words) == 0xFFFF - 0xDDF2
    assert internet_checksum(words[:7]) == 0xFFFF - (0xDDF2 - 0xF7)


def test_a_known_ip_header():
    known = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")
    packets = packets_from([known, known[:19], b"\x46" + known[1:], b"\x60" + known[1:] + bytes(20)])
    assert ip_checksums(packets.data, packets.offsets).tolist() == [0xB861, 0, 0, 0]


@pytest.mark.parametrize("size", [0, 1, 2, 33])
@pytest.mark.parametrize("layer", [TCP(sport=1, dport=2, seq=77, options=[("MSS", 1460)]), UDP(sport=1, dport=2)])
@pytest.mark.parametrize("network", [IP(src="10.1.2.3", dst="10.3.2.1"), IPv6(src="fe80::1", dst="fe80::2")])
def test_whole_packets_get_the_checksums_that_scapy_gives(network, layer, size):
    whole = bytes(network / layer / Raw(bytes(range(7, 7 + size))))
    parsed = type(network)(whole)
    packets = packets_from([whole])
    assert l4_checksums(packets.data, packets.offsets, packets.length).tolist() == [parsed[type(layer)].chksum]
    if isinstance(network, IP):
        assert ip_checksums(packets.data, packets.offsets).tolist() == [parsed.chksum]
    # One flipped bit of payload or header changes it.
    flipped = packets_from([whole[:-1] + bytes([whole[-1] ^ 0x10])])
    wrong = l4_checksums(flipped.data, flipped.offsets, flipped.length)
    place = 16 if isinstance(layer, TCP) else 6
    last_is_checksum = isinstance(layer, UDP) and size == 0
    assert (wrong[0] == parsed[type(layer)].chksum) == last_is_checksum, place


@pytest.mark.parametrize("kept", [0, 1, 16])
def test_cut_packets_get_the_checksum_of_a_payload_of_zeros(kept):
    zeros = bytes(IP(src="10.1.2.3", dst="10.3.2.1") / UDP(sport=5, dport=6) / Raw(bytes(100)))
    payload = zeros[:28] + bytes(range(1, 101))
    cut = packets_from([payload[: 28 + kept]], [128])
    assert l4_checksums(cut.data, cut.offsets, cut.length).tolist() == [IP(zeros)[UDP].chksum]
    whole = packets_from([payload], [128])
    assert l4_checksums(whole.data, whole.offsets, whole.length)[0] != IP(zeros)[UDP].chksum


def test_a_udp_checksum_of_zero_is_sent_as_ones():
    head = struct.pack(">HHHH", 5, 6, 10, 0)
    first = packets_from([header(head + b"\0\0", 17)])
    missing = int(l4_checksums(first.data, first.offsets, first.length)[0])
    # With the missing sum as payload all words add up to 0xFFFF, whose complement is 0.
    packets = packets_from([header(head + struct.pack(">H", missing), 17)])
    assert l4_checksums(packets.data, packets.offsets, packets.length).tolist() == [0xFFFF]


def test_other_protocols_and_later_fragments_have_none():
    packets = packets_from([header(bytes(30), 1), header(bytes(30), 17, fragment=0x2001), b"", bytes(60)])
    assert l4_checksums(packets.data, packets.offsets, packets.length).tolist() == [0, 0, 0, 0]
    assert convention_checksums(packets).same_as(packets)


@settings(max_examples=150, deadline=None)
@given(any_packets)
def test_the_convention_changes_two_bytes_at_most_and_is_a_fixed_point(made):
    packets = packets_from([data for data, _ in made], [length for _, length in made])
    once = convention_checksums(packets)
    assert convention_checksums(once).same_as(once)
    changed = np.add.reduceat(np.append(once.data != packets.data, 0), packets.offsets[:-1]) if made else 0
    changed = np.where(packets.captured > 0, changed, 0)
    assert np.max(changed, initial=0) <= 2
    assert np.array_equal(packets.length, once.length)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_a_buffer_with_its_own_checksum_sums_to_zero(data):
    data += bytes(len(data) % 2)
    checksum = internet_checksum(np.frombuffer(data, np.uint8))
    closed = data + struct.pack(">H", checksum)
    assert internet_checksum(np.frombuffer(closed, np.uint8)) == 0
