"""Header fields: known packets, scapy's dissection of generated ones, truncation, public captures."""

import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.packet import Raw, bind_layers

from benchmark.capture.pcap import read_packets
from benchmark.wire import (
    ACK,
    CWR,
    ECE,
    FIN,
    PSH,
    RST,
    SKIP_FRAGMENT,
    SKIP_NAMES,
    SKIP_NONE,
    SKIP_NOT_IP,
    SKIP_PROTOCOL,
    SKIP_TRUNCATED,
    SYN,
    URG,
    parse_fields,
)
from tests.benchmark.capture_bytes import BUNDLE, ipv4, ipv6, udp

EXTENSIONS = {
    IPv6ExtHdrHopByHop: 0,
    IPv6ExtHdrRouting: 43,
    IPv6ExtHdrFragment: 44,
    AH: 51,
    IPv6ExtHdrDestOpt: 60,
}
# scapy knows an authentication header after IP alone, and nothing after one.
for kind, number in {**EXTENSIONS, TCP: 6, UDP: 17}.items():
    bind_layers(AH, kind, nh=number)
    if kind in EXTENSIONS:
        bind_layers(kind, AH, nh=51)
LAYER4 = ("sport", "dport", "seq", "ack", "flags", "tcp_window", "l4_header", "l4_checksum", "urgent")
LAYER4 += ("udp_length", "payload", "ts_value", "ts_echo", "has_ts")


def parse(packets, lengths=None):
    """Parse a list of packets given as bytes."""
    sizes = [len(packet) for packet in packets]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    data = np.frombuffer(b"".join(packets), np.uint8).copy()
    return parse_fields(data, offsets, np.array(lengths or sizes, np.int32))


def row(fields, i=0):
    """One packet's fields as plain numbers and addresses as bytes."""
    names = (name for name in fields.__dataclass_fields__ if name not in ("source", "destination"))
    values = {name: int(getattr(fields, name)[i]) for name in names}
    return values | {"source": fields.source[i].tobytes(), "destination": fields.destination[i].tobytes()}


def dissect(raw, length):
    """What scapy says about the fields of a packet, in our words."""
    version = raw[0] >> 4
    top = (IP if version == 4 else IPv6)(raw)
    want = {"version": version, "source": b"", "destination": b""} | dict.fromkeys(LAYER4, 0)
    layer = top.payload
    if version == 4:
        head = top.ihl * 4
        want |= {"tos": top.tos, "ttl": top.ttl, "protocol": top.proto, "identification": top.id}
        want |= {"fragment": int(top.flags) << 13 | top.frag, "ip_checksum": top.chksum}
        want |= {"source": raw[12:16] + bytes(12), "destination": raw[16:20] + bytes(12)}
        skip = SKIP_FRAGMENT if top.frag else SKIP_NONE
    else:
        head, protocol, skip = 40, top.nh, SKIP_NONE
        while isinstance(layer, tuple(EXTENSIONS)):
            protocol = layer.nh
            head += len(layer.original) - len(layer.payload.original)
            if isinstance(layer, IPv6ExtHdrFragment) and layer.offset:
                skip = SKIP_FRAGMENT
                break
            layer = layer.payload
        want |= {"tos": top.tc, "ttl": top.hlim, "protocol": protocol, "identification": 0, "fragment": 0}
        want |= {"ip_checksum": 0, "source": raw[8:24], "destination": raw[24:40]}
    want["ip_header"] = head
    if skip == SKIP_NONE and not isinstance(layer, TCP | UDP):
        skip = SKIP_PROTOCOL
    want["skip"] = skip
    if skip != SKIP_NONE:
        return want
    want |= {"sport": layer.sport, "dport": layer.dport, "l4_checksum": layer.chksum}
    if isinstance(layer, UDP):
        return want | {"l4_header": 8, "udp_length": layer.len, "payload": length - head - 8}
    want |= {"seq": layer.seq, "ack": layer.ack, "flags": int(layer.flags) & 255, "tcp_window": layer.window}
    want |= {
        "urgent": layer.urgptr,
        "l4_header": layer.dataofs * 4,
        "payload": length - head - layer.dataofs * 4,
    }
    for option in layer.options:
        if option[0] == "Timestamp":
            return want | {"ts_value": option[1][0], "ts_echo": option[1][1], "has_ts": 1}
    return want


words = st.integers(0, 2**32 - 1)
halves = st.integers(0, 2**16 - 1)
octets = st.integers(0, 255)
options = st.lists(
    st.one_of(
        st.just(("NOP", None)),
        st.just(("SAckOK", b"")),
        st.tuples(st.just("MSS"), halves),
        st.tuples(st.just("WScale"), octets),
        st.tuples(st.just("Timestamp"), st.tuples(words, words)),
    ),
    max_size=3,
)


@st.composite
def layer4(draw):
    body = Raw(draw(st.binary(max_size=30)))
    kind = draw(st.sampled_from(["tcp", "tcp", "udp", "icmp", "other"]))
    ports = {"sport": draw(halves), "dport": draw(halves)}
    if kind == "tcp":
        numbers = {"seq": draw(words), "ack": draw(words), "window": draw(halves), "urgptr": draw(halves)}
        return TCP(**ports, **numbers, flags=draw(octets), options=draw(options)) / body, 6
    if kind == "udp":
        return UDP(**ports) / body, 17
    return (ICMP() / body, 1) if kind == "icmp" else (body, 132)


@st.composite
def packets(draw):
    upper, protocol = draw(layer4())
    if draw(st.booleans()):
        frag = draw(st.sampled_from([0, 0, 0, 0, 185]))
        flags = draw(st.sampled_from(["", "DF", "MF"]))
        extra = draw(st.sampled_from([[], [b"\x01" * 4], [b"\x94\x04\x00\x00"], [b"\x01" * 40]]))
        packet = IP(
            src=draw(st.integers(0, 2**32 - 1).map(lambda n: ".".join(str(b) for b in n.to_bytes(4, "big")))),
            dst="10.0.0.1",
            tos=draw(octets),
            ttl=draw(octets),
            id=draw(halves),
            proto=protocol,
            flags=flags,
            frag=frag,
            options=[IPOption(option) for option in extra],
        )
        return bytes(packet / upper)
    packet = IPv6(
        src="fd00::2",
        dst="2001:db8::1",
        tc=draw(octets),
        hlim=draw(octets),
        fl=draw(st.integers(0, 2**20 - 1)),
    )
    chain = []
    # Hop-by-hop options come first or not at all (RFC 8200 §4.1).
    hop_by_hop = [IPv6ExtHdrHopByHop] * draw(st.integers(0, 1))
    for kind in hop_by_hop + draw(st.lists(st.sampled_from(list(EXTENSIONS)[1:]), max_size=3)):
        if kind is AH:
            chain.append(AH(spi=1, seq=1, icv=b"\0" * 12, payloadlen=4))
        elif kind is IPv6ExtHdrFragment:
            chain.append(IPv6ExtHdrFragment(offset=draw(st.sampled_from([0, 0, 0, 185])), m=1))
        elif kind is IPv6ExtHdrRouting:
            chain.append(IPv6ExtHdrRouting(addresses=["::1"] * draw(st.integers(0, 2))))
        else:
            chain.append(kind(options=[PadN(optdata=b"\0" * draw(st.sampled_from([4, 12])))]))
    for extension in chain:
        packet = packet / extension
    # The next-header field is set by hand, so that a raw body follows as what it claims to be.
    packet.lastlayer().nh = protocol
    return bytes(packet / upper)


@settings(deadline=None, max_examples=200)
@given(raws=st.lists(packets(), min_size=1, max_size=4))
def test_generated_packets_as_scapy_dissects_them(raws):
    fields = parse(raws)
    for i, raw in enumerate(raws):
        assert row(fields, i) == dissect(raw, len(raw))


@settings(deadline=None)
@given(raw=packets(), data=st.data())
def test_a_cut_packet_never_takes_from_the_next(raw, data):
    size = data.draw(st.integers(0, len(raw)))
    cut = raw[:size]
    first = [row(parse([cut, follower], [len(raw), 60]), 0) for follower in (b"\0" * 200, b"\xff" * 200)]
    assert first[0] == first[1] == row(parse([cut], [len(raw)]))
    got, whole = first[0], row(parse([raw]))
    if got["skip"] == SKIP_NONE:
        # What was captured is told as in the whole packet, but for an option that was cut off.
        for name in whole:
            assert got[name] == whole[name] or (name in ("ts_value", "ts_echo", "has_ts") and got[name] == 0)
    elif got["skip"] != whole["skip"]:
        assert got["skip"] == (SKIP_TRUNCATED if size else SKIP_NOT_IP)
        assert all(got[name] == 0 for name in LAYER4)


def test_skip_reasons():
    cases = {
        b"": SKIP_NOT_IP,
        b"\x50" + bytes(60): SKIP_NOT_IP,
        ipv4()[:19]: SKIP_TRUNCATED,
        b"\x44" + ipv4(udp())[1:]: SKIP_TRUNCATED,  # a header of 16 bytes can't be
        ipv4(udp()[:7]): SKIP_TRUNCATED,
        ipv4(bytes(19), protocol=6): SKIP_TRUNCATED,
        ipv6(udp())[:39]: SKIP_TRUNCATED,
        ipv6(b"\x11\x00", following=0): SKIP_TRUNCATED,
        ipv6(b"\x11\xff" + bytes(6) + udp(), following=0): SKIP_TRUNCATED,  # an extension beyond the end
        ipv4(bytes(8), protocol=1): SKIP_PROTOCOL,
        ipv6(b"", following=59): SKIP_PROTOCOL,
        ipv6(bytes(8) * 40, following=0): SKIP_PROTOCOL,  # extensions without end
        ipv4(udp())[:6] + b"\x20\x01" + ipv4(udp())[8:]: SKIP_FRAGMENT,
        ipv6(b"\x11\x00\x00\x08" + bytes(4) + udp(), following=44): SKIP_FRAGMENT,
        ipv6(b"\x11\x00\x00\x01" + bytes(4) + udp(), following=44): SKIP_NONE,  # the first of its fragments
        ipv4(udp())[:6] + b"\x20\x00" + ipv4(udp())[8:]: SKIP_NONE,
    }
    names = [SKIP_NAMES[skip] for skip in parse(list(cases)).skip]
    assert names == [SKIP_NAMES[skip] for skip in cases.values()]


def test_payload_counts_by_the_ip_length():
    padded = ipv4(udp(b"abc")) + bytes(15)
    fields = parse([padded, ipv4(udp(b"abc"))[:28], ipv4(udp())], [31, 1500, 20])
    assert fields.payload.tolist() == [3, 1472, 0]


def test_flags_are_the_bits_of_rfc_9293():
    head = bytes(12) + b"\x50"
    fields = parse([ipv4(head + bytes([1 << bit]) + bytes(6), protocol=6) for bit in range(8)])
    assert fields.flags.tolist() == [FIN, SYN, RST, PSH, ACK, URG, ECE, CWR]


def test_timestamp_options_that_lie():
    def tcp(option):
        option += bytes(-len(option) % 4)
        return ipv4(bytes(12) + bytes([(20 + len(option)) // 4 << 4]) + bytes(7) + option, protocol=6)

    stamp = b"\x08\x0a" + b"\x00\x00\x00\x07\x00\x00\x00\x08"
    options = [
        b"\x01\x01" + stamp,
        b"\x00\x01" + stamp,  # after the end of options
        b"\x08\x09" + stamp[2:],  # a wrong length
        b"\x05\x00" + stamp,  # a length of nothing
        b"\x05\xff" + stamp,  # a length beyond the header
        b"\x05\x02" + stamp,
        stamp + b"\x08\x0a" + bytes(8),  # the first counts
        b"\x01\x01\x01\x08",
    ]
    fields = parse([tcp(option) for option in options])
    assert fields.has_ts.tolist() == [1, 0, 0, 0, 0, 1, 1, 0]
    assert fields.ts_value.tolist() == [7, 0, 0, 0, 0, 7, 7, 0]
    assert fields.ts_echo.tolist() == [8, 0, 0, 0, 0, 8, 8, 0]


def test_no_packets():
    assert len(parse_fields(np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(0, np.int32))) == 0


@settings(deadline=None)
@given(raws=st.lists(st.binary(max_size=80), max_size=6), lengths=st.lists(st.integers(0, 2**31 - 1), min_size=6))
def test_noise_is_parsed_without_harm(raws, lengths):
    fields = parse(raws, lengths[: len(raws)]) if raws else None
    if fields is not None:
        assert (fields.payload >= 0).all()


PUBLIC = ["ndpi/youtube/quic046.pcap", "ndpi/teams/teams.pcap", "ndpi/amazon/alexa-app.pcapng"]


def test_public_captures_as_scapy_dissects_them(tmp_path):
    if not BUNDLE.exists():
        pytest.skip(f"public captures aren't there: {BUNDLE.name}")
    with tarfile.open(BUNDLE) as bundle:
        for member in bundle:
            if member.name in PUBLIC:
                bundle.extract(member, tmp_path, filter="data")
    seen = 0
    for name in PUBLIC:
        packets = read_packets(tmp_path / name)
        for i in range(0, len(packets), 4):
            raw = packets.data[packets.offsets[i] : packets.offsets[i + 1]].tobytes()
            if len(raw) < packets.length[i]:
                continue
            assert row(packets.fields, i) == dissect(raw, len(raw))
            seen += 1
    assert seen > 1000
