"""Damaged captures: nothing but one TraceError may come out, in bounded memory."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.capture.pcap import read_frames, read_packets
from benchmark.errors import TraceError
from benchmark.flow import assign_flows
from tests.benchmark.capture_bytes import (
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    obsolete,
    pcap,
    section,
    simple,
    udp,
)

FRAMES = [
    ethernet(ipv4(udp(b"abc"))),
    ethernet(bytes(28), 0x0806),
    ethernet(ipv6(udp(b"abcd")), 0x86DD),
    ethernet(b"\x00\x05\x08\x00" + ipv4(bytes(24), protocol=6), 0x8100),
]
RAW = [
    ipv4(udp(b"abc")),
    ipv6(b"\x11\x00\x01\x04" + bytes(4) + udp(), following=0),
    ipv4(bytes(20), protocol=6),
]
SEEDS = [
    pcap(FRAMES),
    pcap(FRAMES, ">", nanoseconds=True),
    pcap(RAW, link=101),
    pcap([bytes(14) + b"\x08\x00" + packet for packet in RAW], link=113),
    section() + interface() + b"".join(enhanced(frame, i) for i, frame in enumerate(FRAMES)) + block(5, bytes(8)),
    section(">")
    + interface(101, ">", resolution=9, offset=5)
    + obsolete(RAW[0], 5, order=">")
    + simple(RAW[1], ">")
    + section()
    + interface(resolution=0x8A)
    + enhanced(FRAMES[0], 77),
]


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "damaged"


def outcome(read):
    """What a reading gives: (value, None) or (None, the one error that may come out)."""
    try:
        return read(), None
    except TraceError as error:
        return None, error


def attempt(path, content, block_bytes=1 << 16):
    """Read damaged bytes with and without keeping what is readable; return how many frames were read."""
    path.write_bytes(content)
    count, error = outcome(lambda: sum(len(part) for part in read_frames(path, block_bytes=block_bytes)))
    packets, kept_error = outcome(lambda: read_packets(path, True, block_bytes=block_bytes))
    if error is not None:
        assert error.path == str(path)
        assert 0 <= error.offset <= len(content)
        count = error.packets_read
    if packets is None:
        assert error is not None
        assert kept_error.packets_read == count == 0
        return 0
    assert len(packets) <= count
    assert packets.offsets[-1] == len(packets.data) <= len(content)
    assert (packets.captured >= 0).all()
    assert (packets.length >= 0).all()
    assert (packets.ts >= 0).all()
    assign_flows(packets.fields)
    return count


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_truncation(target, seed):
    content = SEEDS[seed]
    kept = [attempt(target, content[:size], 64) for size in range(len(content) + 1)]
    assert kept == sorted(kept)
    assert kept[-1] == attempt(target, content) > 0


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_byte_changed(target, seed):
    content = SEEDS[seed]
    for at, byte in enumerate(content):
        attempt(target, content[:at] + bytes([0 if byte == 0xFF else 0xFF]) + content[at + 1 :])


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=9), st.integers(0, 9)), max_size=6),
    block_bytes=st.sampled_from([64, 200, 1 << 16]),
)
def test_edited_captures(target, seed, edits, block_bytes):
    content = bytearray(seed)
    for at, fresh, removed in edits:
        content[at : at + removed] = fresh
    attempt(target, bytes(content), block_bytes)


@settings(deadline=None, max_examples=200)
@given(
    head=st.sampled_from([b"", SEEDS[0][:24], SEEDS[2][:24], section(), section() + interface()]),
    rest=st.binary(max_size=400),
)
def test_noise(target, head, rest):
    attempt(target, head + rest)


def test_many_random_flips(target):
    draw = random.Random(7)
    long = pcap(FRAMES * 50)
    for _ in range(300):
        content = bytearray(long)
        for _ in range(draw.randint(1, 20)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        attempt(target, bytes(content))


def test_memory_stays_within_the_block(target):
    tracemalloc = pytest.importorskip("tracemalloc")
    target.write_bytes(pcap([ethernet(ipv4(udp(bytes(1400))))] * 20_000))
    tracemalloc.start()
    total = sum(len(frames) for frames in read_frames(target, block_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 20_000
    assert peak < 12 << 20 < target.stat().st_size
