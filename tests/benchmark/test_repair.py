"""The repair keeps what valid traces say, mends broken ones, and survives anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.checksum import ip_checksums, l4_checksums
from benchmark.synthesis.compiler import CLIENT_PREFIX, trace_of
from benchmark.synthesis.repair import guess_directions, read_sketch, repair
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import Condition, Labels, Packets, Trace
from benchmark.wire import ACK, FIN, SYN

CONDITION = Condition("web", 10.0, 10.0, Labels.unknown(1))


def example(transport: str, count: int = 60) -> Trace:
    random = np.random.default_rng(4)
    ts = 100_000_000 + np.cumsum(random.integers(0, 90_000_000, count)).astype(np.int64)
    payload = random.integers(21, 1448, count).astype(np.int32)
    up = random.random(count) < 0.4
    up[0], payload[0] = True, 1250
    if transport == "tcp":
        payload[::5] = 0
    return trace_of(Sketch(transport, ts, up, payload), CONDITION, "t", 3)


def spoil(trace: Trace, at: int, values: int | np.ndarray, client: str = CLIENT_PREFIX) -> Trace:
    """Overwrite the byte ``at`` of every packet."""
    packets = trace.packets
    data = packets.data.copy()
    data[packets.offsets[:-1] + at] = values
    return Trace("t", Packets(packets.ts, packets.length, data, packets.offsets), CONDITION, client)


def assert_same_sketch(one: Sketch, other: Sketch) -> None:
    assert one.transport == other.transport
    assert one.ts.tolist() == other.ts.tolist()
    assert one.up.tolist() == other.up.tolist()
    assert one.payload.tolist() == other.payload.tolist()


def assert_sound(trace: Trace) -> None:
    """Whatever went in: lengths, checksums, order, one flow, the handshake and the teardown."""
    packets, fields = trace.packets, trace.packets.fields
    assert trace.client == CLIENT_PREFIX
    assert (np.diff(packets.ts) >= 0).all()
    assert trace.flows.count <= 1
    assert np.array_equal(fields.ip_checksum, ip_checksums(packets.data, packets.offsets))
    assert np.array_equal(fields.l4_checksum, l4_checksums(packets.data, packets.offsets, packets.length))
    if len(packets) and (fields.protocol == 6).all():
        assert fields.flags[:3].tolist() == [SYN, SYN | ACK, ACK]
        assert fields.flags[-3:].tolist() == [FIN | ACK, FIN | ACK, ACK]


@pytest.mark.parametrize("transport", ["tcp", "quic", "rtp"])
def test_valid_trace_keeps_its_rows(transport: str) -> None:
    trace = example(transport)
    once = repair(trace, 5)
    assert_same_sketch(sketch_of(trace), sketch_of(once))
    assert sketch_of(once).round_trip == sketch_of(trace).round_trip
    assert_same_sketch(sketch_of(once), sketch_of(repair(once, 6)))
    assert once.condition is trace.condition
    assert once.notes["repaired"]
    assert_sound(once)


@pytest.mark.parametrize("transport", ["tcp", "quic", "rtp"])
@pytest.mark.parametrize("at", [8, 10, 24, 25, 1, 6])
def test_broken_fields_are_mended(transport: str, at: int) -> None:
    """TTL, checksum, sequence number or UDP length, TOS and fragment bits say nothing that a sketch needs."""
    trace = example(transport)
    spoilt = spoil(trace, at, np.arange(len(trace.packets)) % 32)
    if at != 6:
        assert_same_sketch(sketch_of(trace), read_sketch(spoilt))
    assert_sound(repair(spoilt, 1))


def test_wrong_flags_cost_no_packet() -> None:
    trace = example("tcp")
    flags = trace.packets.fields.flags.copy()
    flags[10:40] |= SYN | FIN
    spoilt = spoil(trace, 33, flags)
    assert_same_sketch(sketch_of(trace), read_sketch(spoilt))


def test_minority_of_foreign_protocols_is_outvoted() -> None:
    trace = example("tcp")
    protocol = np.full(len(trace.packets), 6)
    protocol[5:20] = 17
    assert read_sketch(spoil(trace, 9, protocol)).transport == "tcp"
    assert_sound(repair(spoil(trace, 9, protocol), 1))


def test_impossible_length_falls_back_to_the_captured_bytes() -> None:
    trace = example("rtp")
    packets = trace.packets
    length = packets.length.copy()
    length[7] = 3
    sketch = read_sketch(Trace("t", Packets(packets.ts, length, packets.data, packets.offsets), CONDITION))
    assert sketch.payload[7] == 16
    assert sketch.payload[8] == sketch_of(trace).payload[8]


def test_times_never_step_back() -> None:
    trace = example("tcp")
    packets = trace.packets
    ts = packets.ts.copy()
    ts[20] = 0
    mended = repair(Trace("t", Packets(ts, packets.length, packets.data, packets.offsets), CONDITION), 1)
    assert_sound(mended)


def test_directions_without_a_prefix() -> None:
    trace = example("rtp")
    up = trace.flows.up
    unnamed = Trace("t", trace.packets, CONDITION, "")
    guess = guess_directions(unnamed)
    # The first sender is taken for the client.
    assert guess.tolist() == (up == up[0]).tolist()
    # A client address with wrong bits is still nearer to the client than the server's is.
    near = spoil(trace, 15, np.where(up, 3, trace.packets.data[trace.packets.offsets[:-1] + 15]), "")
    assert guess_directions(near).tolist() == (up == up[0]).tolist()


def test_server_port_tells_the_direction_where_addresses_do_not() -> None:
    trace = example("tcp")
    lost = spoil(spoil(trace, 12, 1), 16, 1)
    assert guess_directions(lost).tolist() == trace.flows.up.tolist()


@settings(max_examples=120, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=90), max_size=25),
    ts=st.lists(st.integers(-(2**62), 2**62), min_size=25, max_size=25),
    lengths=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=25, max_size=25),
    version=st.sampled_from([None, 0x45, 0x60, 0x4F]),
    client=st.sampled_from(["", CLIENT_PREFIX, "fd00::/64"]),
)
def test_garbage_is_survived(
    parts: list[bytes], ts: list[int], lengths: list[int], version: int | None, client: str
) -> None:
    if version is not None:
        parts = [bytes([version]) + part for part in parts]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    count = len(parts)
    packets = Packets(
        np.array(ts[:count], np.int64),
        np.array(lengths[:count], np.int32),
        np.frombuffer(b"".join(parts), np.uint8),
        offsets,
    )
    mended = repair(Trace("t", packets, CONDITION, client), 1)
    assert_sound(mended)
    # One packet in is at most one out, beside handshake, teardown and what flow control needs.
    assert len(mended.packets) <= count + 6 + count // 20 + 1
    assert len(mended.packets) == 0 or mended.packets.ts[-1] < 10_000_000_000
