"""The encoder against the real tool's output, and the decoder as its inverse."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.capture.pcap import read_frames
from benchmark.errors import ConfigError
from benchmark.nprint.encoding import (
    Representation,
    column_names,
    decode,
    eligible_frames,
    encode_frames,
    encode_packets,
    parse_options,
)
from tests.benchmark.nprint_captures import ethernet_frames, packet, packets_from, slow_bits

SHARED = Path(__file__).parents[3] / "shared" / "data"
GOLDEN = SHARED / "nprint_golden.npz"
CAPTURES = SHARED / "public" / "ndpi.tar.xz"

every_option = st.builds(
    Representation,
    eth=st.just(False),
    ipv4=st.booleans(),
    ipv6=st.booleans(),
    tcp=st.booleans(),
    udp=st.booleans(),
    icmp=st.booleans(),
    payload=st.integers(0, 20),
).filter(lambda options: options.columns > 0)

any_packet = st.builds(
    packet,
    protocol=st.sampled_from([6, 17, 1]),
    version=st.sampled_from([4, 6]),
    payload=st.binary(max_size=24),
    ip_options=st.integers(0, 10).map(lambda words: b"\x01\x02\x03\x04" * words),
    tcp_options=st.integers(0, 10).map(lambda words: b"\x01\x08\x00\xff" * words),
)


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    if not (GOLDEN.exists() and CAPTURES.exists()):
        pytest.skip("the real tool's output and the public captures (shared/data) aren't beside this checkout")
    folder = tmp_path_factory.mktemp("captures")
    with np.load(GOLDEN) as goldens, tarfile.open(CAPTURES) as archive:
        wanted = {name.partition("#")[0] for name in goldens.files}
        for member in archive:
            if member.name in wanted:
                archive.extract(member, folder, filter="data")
    return folder


def test_equals_the_real_tool_on_every_golden(captures):
    with np.load(GOLDEN) as goldens:
        assert len(goldens.files) == 19
        for name in goldens.files:
            path, _, switches = name.partition("#")
            options = parse_options(switches or "-4 -t -u -i")
            parts = [encode_frames(frames, options)[0] for frames in read_frames(captures / path)]
            matrix = np.concatenate(parts)
            assert matrix.dtype == np.int8
            assert np.array_equal(matrix, goldens[name]), name
            inner = matrix[:, 112:] if options.eth else matrix
            inside = Representation(**{**vars(options), "eth": False})
            assert np.array_equal(encode_packets(decode(inner, inside), inside)[0], inner), name


def test_known_answer_of_each_block():
    options = parse_options("-e -4 -6 -t -u -i -p 3")
    parts = [packet(6, tcp_options=b"\x01" * 4), packet(17, 6, b"ab"), packet(1, ip_options=b"\x01" * 8)]
    matrix, index = encode_frames(ethernet_frames(parts), options)
    assert index.tolist() == [0, 1, 2]
    mac = bytes(range(12))
    tcp, udp, icmp = parts
    wanted = [
        [mac + b"\x08\x00", tcp[:20], b"", tcp[20:44], b"", b"", b"pay"],
        [mac + b"\x86\xdd", b"", udp[:40], b"", udp[40:48], b"", b"ab"],
        [mac + b"\x08\x00", icmp[:28], b"", b"", b"", icmp[28:36], b"pay"],
    ]
    sizes = (14, 60, 40, 60, 8, 8, 3)
    for row, blocks in zip(matrix, wanted, strict=True):
        slow = [bit for part, size in zip(blocks, sizes, strict=True) for bit in slow_bits(part, size)]
        assert row.tolist() == slow


def test_rows_are_tcp_udp_and_icmp_alone_and_the_index_names_them():
    parts = [
        packet(6),
        packet(2),
        packet(17),
        packet(58, 6),
        b"",
        b"\x45" + bytes(8),
        packet(1),
        b"\x44" * 40,
    ]
    _, index = encode_packets(packets_from(parts))
    assert index.tolist() == [0, 2, 6]
    frames = ethernet_frames(parts)
    frames.ip[2] = -1
    assert eligible_frames(frames).tolist() == [0, 6]


def test_vlan_frames_have_rows():
    plain, _ = encode_frames(ethernet_frames([packet(6)]))
    tagged, index = encode_frames(ethernet_frames([packet(6)], tag=b"\x81\x00\x00\x05"))
    assert index.tolist() == [0]
    assert np.array_equal(plain, tagged)


@given(any_packet, st.data())
@settings(max_examples=80, deadline=None)
def test_a_cut_packet_has_its_captured_bits_and_no_more(part, data):
    options = parse_options("-4 -6 -t -u -i -p 24")
    kept = data.draw(st.integers(10, len(part)))
    # What follows in the buffer is another packet: none of its bits may show.
    whole, _ = encode_packets(packets_from([part]), options)
    cut, _ = encode_packets(packets_from([part[:kept], packet(17)]), options)
    shown = int((cut[0] >= 0).sum())
    assert np.all((cut[0] == whole[0]) | (cut[0] == -1))
    # Everything but unknown header sizes is shown: each captured byte is eight bits.
    assert shown == 8 * kept


def test_ethernet_padding_is_no_payload():
    part = packet(6, payload=b"")
    options = parse_options("-t -p 6")
    padded, _ = encode_packets(packets_from([part + bytes(6)]), options)
    assert np.all(padded[0, -48:] == -1)


def test_offloaded_packet_of_length_zero_shows_its_payload():
    part = bytearray(packet(6, payload=b"data"))
    part[2:4] = b"\0\0"
    matrix, _ = encode_packets(packets_from([bytes(part)]), parse_options("-p 4"))
    assert matrix[0].tolist() == slow_bits(b"data", 4)


@given(st.lists(any_packet, max_size=5), every_option)
@settings(max_examples=150, deadline=None)
def test_encoding_what_was_decoded_gives_the_same_matrix(parts, options):
    matrix, _ = encode_packets(packets_from(parts), options)
    again, index = encode_packets(decode(matrix, options), options)
    assert np.array_equal(again, matrix)
    assert index.tolist() == list(range(len(parts)))


@given(any_packet, st.integers(0, 15), st.integers(0, 20), every_option, st.data())
@settings(max_examples=150, deadline=None)
def test_the_same_holds_for_cut_packets_and_lying_data_offsets(part, offset, payload, options, data):
    part = bytearray(part)
    l4 = (part[0] & 15) * 4 if part[0] >> 4 == 4 else 40
    protocol = part[9] if part[0] >> 4 == 4 else part[6]
    if protocol == 6:
        part[l4 + 12] = offset << 4
    kept = data.draw(st.integers(10, len(part)))
    matrix, _ = encode_packets(packets_from([bytes(part[:kept])]), options)
    again, _ = encode_packets(decode(matrix, options), options)
    assert np.array_equal(again, matrix)


@given(st.lists(any_packet, min_size=1, max_size=5))
@settings(max_examples=80, deadline=None)
def test_decoding_gives_the_very_bytes(parts):
    options = parse_options("-4 -6 -t -u -i -p 64")
    packets = packets_from(parts)
    decoded = decode(encode_packets(packets, options)[0], options, packets.ts)
    assert decoded.same_as(packets)


@given(every_option, st.integers(0, 4), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_decoding_takes_any_nonsense(options, rows, seed):
    noise = np.random.default_rng(seed).integers(-1, 2, (rows, options.columns)).astype(np.int8)
    packets = decode(noise, options)
    assert len(packets) == rows
    assert np.all(packets.captured <= options.bytes + 100)
    assert np.all(packets.length >= packets.captured)
    assert len(packets.fields) == rows


def test_decoding_survives_every_constant_matrix():
    for options in (Representation(), parse_options("-p 5"), parse_options("-e -4 -6 -t -u -i -p 9")):
        for value in (-1, 0, 1, -128, 127):
            assert len(decode(np.full((2, options.columns), value, np.int8), options)) == 2


def test_one_absent_bit_stays_local():
    part = packet(6)
    matrix, _ = encode_packets(packets_from([part]))
    matrix[0, 3] = -1
    decoded = decode(matrix)
    assert decoded.data.tobytes() == part[:40]


def test_decoding_refuses_other_shapes():
    with pytest.raises(ValueError, match="1088 columns"):
        decode(np.zeros((2, 1087), np.int8))


def test_column_names_are_the_tools():
    names = column_names(parse_options("-e -4 -6 -t -u -i -p 2"))
    assert len(names) == 112 + 480 + 320 + 480 + 64 + 64 + 16
    assert len(set(names)) == len(names)
    assert names[0] == "eth_dhost_0"
    assert names[112 + 64] == "ipv4_ttl_0"
    assert names[-1] == "payload_bit_15"
    default = column_names(Representation())
    assert default[480 + 103 : 480 + 113] == [
        f"tcp_{name}_0" for name in ("ns", "cwr", "ece", "urg", "ackf", "psh", "rst", "syn", "fin", "wsize")
    ]


@pytest.mark.parametrize("text", ["-4 -z", "", "-p", "-p -3", "-p 65536", "-p x", "'-4", "-4 tcp", "-p 99999999999"])
def test_wrong_options_are_named(text):
    with pytest.raises(ConfigError, match="nprint options"):
        parse_options(text)


def test_options_round_trip_as_arguments():
    options = parse_options("--tcp -p16 -4 --payload=7 -e")
    assert options.arguments() == ["-e", "-4", "-t", "-p", "7"]
    assert parse_options(" ".join(options.arguments())) == options
