"""Levels 0 and 1 against scapy: both agree on lengths and checksums of packets, whole and broken."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

from benchmark.validator import RULES, check
from tests.benchmark.test_validity import trace_of

LENGTHS_AND_CHECKSUMS = {
    "ip_version",
    "ip_header",
    "l4_header",
    "ip_length",
    "ip_checksum",
    "udp_length",
    "l4_checksum",
}


def scapy_agrees(packet: bytes) -> bool:
    """Tell whether scapy, asked to fill in lengths and checksums itself, writes the very same packet."""
    parsed = IP(packet)
    del parsed.len, parsed.chksum
    for layer in (TCP, UDP):
        if layer in parsed:
            del parsed[layer].chksum
    if UDP in parsed:
        del parsed[UDP].len
    return bytes(parsed) == packet


def found(packet: bytes) -> set[str]:
    trace = trace_of([packet])
    _, _, rule = check(trace, with_tshark=False).table()
    return {RULES[number].name for number in rule} & LENGTHS_AND_CHECKSUMS


addresses = st.tuples(st.integers(1, 126), st.integers(0, 255), st.integers(0, 255), st.integers(1, 254))
ports = st.integers(1, 65535)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    source, target = (".".join(map(str, draw(addresses))) for _ in range(2))
    ip = IP(src=source, dst=target, ttl=draw(st.integers(1, 255)), id=draw(st.integers(0, 65535)), flags="DF")
    payload = Raw(draw(st.binary(min_size=1, max_size=60)))
    if draw(st.booleans()):
        return bytes(ip / UDP(sport=draw(ports), dport=draw(ports)) / payload)
    options = [("Timestamp", (draw(st.integers(0, 2**32 - 1)), 7))] if draw(st.booleans()) else []
    return bytes(ip / TCP(sport=draw(ports), dport=draw(ports), flags="PA", options=options) / payload)


@settings(max_examples=150, deadline=None)
@given(packets())
def test_what_scapy_writes_is_legal(packet: bytes) -> None:
    assert scapy_agrees(packet)
    assert found(packet) == set()


@settings(max_examples=300, deadline=None)
@given(packets(), st.data())
def test_a_flipped_bit_is_seen_by_both(packet: bytes, data: st.DataObject) -> None:
    # Beyond the first 12 bytes, so that lengths, fragments and the protocol still mean the same to both.
    at = data.draw(st.integers(12, len(packet) - 1))
    header = 20
    offset, udp_length, udp_checksum = header + 12, (header + 4, header + 5), (header + 6, header + 7)
    tcp = packet[9] == 6
    if (tcp and at == offset) or (not tcp and at in udp_length + udp_checksum):
        return
    broken = bytearray(packet)
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    assert not scapy_agrees(bytes(broken))
    assert found(bytes(broken))


@settings(max_examples=60, deadline=None)
@given(packets(), st.integers(1, 65535))
def test_wrong_lengths_are_seen(packet: bytes, amount: int) -> None:
    broken = bytearray(packet)
    told = (int.from_bytes(packet[2:4], "big") + amount) % 65536
    broken[2:4] = told.to_bytes(2, "big")
    trace = trace_of([bytes(broken)])
    # The reader's length is the header's own; whatever follows beyond it, or lacks, shows.
    assert not check(trace, with_tshark=False).legal(1)[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_no_bytes_are_too_strange(blobs: list[bytes]) -> None:
    findings = check(trace_of(blobs), with_tshark=False)
    assert len(findings) == len(blobs)
    assert np.all(findings.legal(0) >= findings.legal(1))
