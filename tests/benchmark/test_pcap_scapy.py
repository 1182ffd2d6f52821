"""Our reader against scapy's, packet by packet, over every file kind and over public captures."""

import tarfile

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Raw
from scapy.utils import PcapNgReader, PcapNgWriter, PcapReader, PcapWriter

from benchmark.capture.pcap import read_frames, read_packets
from tests.benchmark.capture_bytes import BUNDLE, enhanced, interface, section

BODIES = [
    IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=4000, dport=443, flags="S", options=[("MSS", 1460)]),
    IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=443, dport=5000) / Raw(b"x" * 99),
    IPv6(src="fe80::1", dst="fe80::2") / TCP(sport=80, dport=81) / Raw(b"hello"),
    IPv6(src="fe80::1", dst="fe80::2") / IPv6ExtHdrHopByHop() / UDP(sport=1, dport=2) / Raw(b"hello"),
]


def _ether():
    # Addresses are given: for a default one scapy asks the network.
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


LINKS = {
    1: [
        *(_ether() / body for body in BODIES),
        _ether() / Dot1Q(vlan=5) / BODIES[0],
        _ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / BODIES[2],
        _ether() / PPPoE(sessionid=1) / PPP() / BODIES[1],
        _ether() / Dot1Q(vlan=7) / PPPoE(sessionid=1) / PPP() / BODIES[3],
        _ether() / ARP(pdst="10.0.0.9"),
    ],
    101: BODIES,
    113: [CookedLinux() / body for body in BODIES] + [CookedLinux() / ARP(pdst="10.0.0.9")],
    276: [CookedLinuxV2() / body for body in BODIES],
    0: [Loopback() / BODIES[0], Loopback() / BODIES[1], Loopback(type=10) / BODIES[2]],
}


def packet_bytes(packet):
    """The bytes of the outermost IP layer that scapy finds, cut at its length, and that length; else None."""
    layer = next((packet[kind] for kind in (IP, IPv6) if kind in packet), None)
    if layer is None:
        return None
    length = layer.len if layer.name == "IP" else 40 + layer.plen
    return bytes(layer.original)[:length], length


def check(path, reader):
    """Compare our reader with scapy's; return the number of IP packets."""
    with reader as packets:
        theirs = list(packets)
    blocks = list(read_frames(path))
    data = [
        frames.data[a:b].tobytes()
        for frames in blocks
        for a, b in zip(frames.offsets, frames.offsets[1:], strict=False)
    ]
    assert data == [packet.original for packet in theirs]
    ts = np.concatenate([frames.ts for frames in blocks])
    # scapy's EDecimal holds a pcap's fraction as a float sum; a microsecond is what it keeps.
    assert np.abs(ts - np.array([int(packet.time * 10**9) for packet in theirs])).max() <= 1
    wire = np.concatenate([frames.wire for frames in blocks])
    assert wire.tolist() == [packet.wirelen for packet in theirs]
    carrying = [(int(when), *found) for when, packet in zip(ts, theirs, strict=True) if (found := packet_bytes(packet))]
    carrying.sort(key=lambda row: row[0])
    ours = read_packets(path)
    spans = zip(ours.offsets, ours.offsets[1:], strict=False)
    assert [ours.data[a:b].tobytes() for a, b in spans] == [body for _, body, _ in carrying]
    assert ours.length.tolist() == [length for _, _, length in carrying]
    assert (ours.ts + (carrying[0][0] if carrying else 0)).tolist() == [when for when, _, _ in carrying]
    return len(ours)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_as_scapy_reads_it(tmp_path, link, order, nanoseconds):
    path = tmp_path / "made.pcap"
    with PcapWriter(str(path), linktype=link, endianness=order, nano=nanoseconds) as writer:
        for i, packet in enumerate(LINKS[link]):
            packet.time = 1_700_000_000 + i * 0.25
            writer.write(packet)
    assert check(path, PcapReader(str(path))) >= 3


def test_pcapng_as_scapy_reads_it(tmp_path):
    path = tmp_path / "made.pcapng"
    writer = PcapNgWriter(str(path))
    for i, packet in enumerate(LINKS[1]):
        packet.time = 1_700_000_000 + i * 0.25
        writer.write(packet)
    writer.close()
    assert check(path, PcapNgReader(str(path))) == len(LINKS[1]) - 1


@pytest.mark.parametrize("order", "<>")
def test_pcapng_of_several_interfaces_as_scapy_reads_it(tmp_path, order):
    path = tmp_path / "made.pcapng"
    content = section(order) + b"".join(interface(link, order, resolution=9) for link in LINKS)
    for i in range(12):
        number = i * 7 % len(LINKS)
        packets = LINKS[list(LINKS)[number]]
        content += enhanced(bytes(packets[i % len(packets)]), 1_700_000_000 * 10**9 + i, number, order)
    path.write_bytes(content)
    assert check(path, PcapNgReader(str(path))) >= 10


PUBLIC = [
    "ndpi/youtube/quic046.pcap",
    "ndpi/teams/teams.pcap",
    "ndpi/tor/tor.pcap",
    "ndpi/iot/nest_log_sink.pcap",
    "ndpi/snapchat/snapchat_call_v1.pcapng",
]


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    if not BUNDLE.exists():
        pytest.skip(f"public captures aren't there: {BUNDLE.name}")
    folder = tmp_path_factory.mktemp("public")
    with tarfile.open(BUNDLE) as bundle:
        for member in bundle:
            if member.name in PUBLIC:
                bundle.extract(member, folder, filter="data")
    return folder


@pytest.mark.parametrize("name", PUBLIC)
def test_public_captures_as_scapy_reads_them(public, name):
    path = public / name
    reader = PcapNgReader if path.suffix == ".pcapng" else PcapReader
    assert check(path, reader(str(path))) > 50
