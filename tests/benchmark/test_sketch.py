"""Sketches of real-looking traces: which packets are rows, and which flow is sketched."""

from __future__ import annotations

import numpy as np

from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch
from benchmark.synthesis.sketch import ROUND_TRIP, Sketch, empty_sketch, measure_round_trip, rows_of_tcp, sketch_of
from benchmark.trace import Condition, Labels, Packets, Trace, join_packets
from benchmark.wire import ACK, FIN, PSH, RST, SYN

CONDITION = Condition("web", 10.0, 10.0, Labels.unknown(1))


def trace(packets: Packets, client: str = CLIENT_PREFIX) -> Trace:
    return Trace("t", packets, CONDITION, client)


def flow(count: int, payload: int, start: int = 0) -> Sketch:
    ts = np.arange(count, dtype=np.int64) * 1_000_000 + 100_000_000 + start
    return Sketch("tcp", ts, np.arange(count) % 3 == 0, np.full(count, payload, np.int32))


def rows(flags: list[int], up: list[int], payload: list[int]) -> list[int]:
    kept = rows_of_tcp(np.array(flags, np.uint8), np.array(up, bool), np.array(payload, np.int32))
    return np.flatnonzero(kept).tolist()


def test_handshake_and_teardown_are_not_rows() -> None:
    flags = [SYN, SYN | ACK, ACK, ACK | PSH, ACK, FIN | ACK, FIN | ACK, ACK]
    assert rows(flags, [1, 0, 1, 1, 0, 1, 0, 1], [0, 0, 0, 10, 0, 0, 0, 0]) == [3, 4]


def test_repeated_syn_and_resets_are_not_rows() -> None:
    flags = [SYN, SYN, SYN | ACK, ACK, ACK | PSH, RST, RST]
    assert rows(flags, [1, 1, 0, 1, 1, 1, 1], [0, 0, 0, 0, 10, 0, 0]) == [4]


def test_control_packets_with_payload_are_rows() -> None:
    flags = [SYN, SYN | ACK, ACK | PSH, FIN | ACK | PSH, ACK, FIN | ACK, ACK]
    assert rows(flags, [1, 0, 1, 0, 1, 1, 0], [0, 0, 5, 7, 0, 0, 0]) == [2, 3, 4]


def test_half_closed_flow_goes_on() -> None:
    flags = [SYN, SYN | ACK, ACK, FIN | ACK, ACK | PSH, ACK]
    assert rows(flags, [1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 9, 0]) == [4, 5]


def test_flow_cut_at_its_start_keeps_every_packet() -> None:
    assert rows([ACK, ACK | PSH, ACK], [1, 0, 1], [0, 9, 0]) == [0, 1, 2]


def test_round_trip_is_measured_between_the_syns() -> None:
    ts = np.array([0, 10, 30, 31], np.int64)
    flags = np.array([SYN, SYN, SYN | ACK, ACK], np.uint8)
    up = np.array([True, True, False, True])
    assert measure_round_trip(ts, flags, up) == 30
    assert measure_round_trip(ts, flags, ~up) == ROUND_TRIP
    assert measure_round_trip(ts, flags & ~np.uint8(SYN), up) == ROUND_TRIP


def test_flow_with_most_down_bytes_is_sketched() -> None:
    small, large = compile_sketch(flow(30, 20), 1), compile_sketch(flow(9, 1400, 7), 2)
    both = join_packets([small, large])
    merged = both.take(np.argsort(both.ts, kind="stable"))
    sketch = sketch_of(trace(merged))
    assert sketch.payload.tolist() == [1400] * 9
    assert sketch.ts.tolist() == flow(9, 1400, 7).ts.tolist()


def test_trace_without_flows_is_an_empty_sketch() -> None:
    assert len(sketch_of(trace(join_packets([])))) == 0
    assert len(sketch_of(trace(compile_sketch(empty_sketch("tcp"), 1)))) == 0
