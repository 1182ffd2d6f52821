"""The compiler: known answers for each protocol, scapy as a second reader, and sketches that come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP

from benchmark.errors import ConfigError
from benchmark.quality.features import extract
from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch, trace_of
from benchmark.synthesis.sketch import Endpoints, Sketch, empty_sketch, sketch_of
from benchmark.synthesis.tcp import compile_tcp
from benchmark.trace import Condition, Labels, Packets, Trace
from benchmark.wire import ACK, FIN, PSH, SYN

MS = 1_000_000


def make_sketch(transport: str, rows: list[tuple[float, int, int]], round_trip: int = 40 * MS) -> Sketch:
    """rows: (milliseconds, 1 for up, payload)."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Sketch(
        transport,
        (table[:, 0] * MS).astype(np.int64),
        table[:, 1] > 0,
        table[:, 2].astype(np.int32),
        round_trip,
    )


def condition(seconds: float = 60.0) -> Condition:
    return Condition("web", seconds, 10.0, Labels.unknown(6))


def trace(packets: Packets) -> Trace:
    return Trace("t", packets, condition(), CLIENT_PREFIX)


def relative(values: np.ndarray, first: int) -> list[int]:
    return ((values.astype(np.int64) - first) % 2**32).tolist()


REQUEST = make_sketch("tcp", [(100, 1, 100), (150, 0, 1448), (151, 0, 500), (152, 1, 0), (160, 0, 0)])


def test_tcp_flow_by_hand() -> None:
    packets = compile_sketch(REQUEST, 7)
    fields = packets.fields
    up = trace(packets).flows.up
    assert up.tolist() == [True, False, True, True, False, False, True, False, True, False, True]
    client, server = int(fields.seq[0]), int(fields.seq[1])
    assert relative(fields.seq[up], client) == [0, 1, 1, 101, 101, 102]
    assert relative(fields.seq[~up], server) == [0, 1, 1449, 1949, 1949]
    # The client acknowledges all that it has seen: nothing, the SYN, the data, the FIN.
    assert relative(fields.ack[up][1:], server) == [1, 1, 1949, 1949, 1950]
    assert relative(fields.ack[~up], client) == [1, 101, 101, 101, 102]
    assert fields.flags.tolist() == [
        *(SYN, SYN | ACK, ACK),
        *(ACK | PSH, ACK, ACK | PSH, ACK, ACK),
        *(FIN | ACK, FIN | ACK, ACK),
    ]
    assert packets.ts[:4].tolist() == [0, 40 * MS, 40 * MS + 30_000, 100 * MS]
    assert packets.length.tolist() == [60, 60, 52, 152, 1500, 552, 52, 52, 52, 52, 52]
    assert packets.captured.tolist() == [60, 60, *[52] * 9]
    assert fields.ack[0] == 0
    assert set(fields.fragment.tolist()) == {0x4000}


def test_timestamps_echo_what_the_acknowledgement_asked_for() -> None:
    fields = compile_sketch(REQUEST, 7).fields
    value, echo = fields.ts_value.astype(np.int64), fields.ts_echo.astype(np.int64)
    assert fields.has_ts.all()
    assert echo[:4].tolist() == [0, value[0], value[1], value[1]]
    # RFC 7323 §4.3: packets 4 and 5 come without an acknowledgement between them, so the first is echoed.
    assert echo[6] == value[4] != value[5]
    assert echo[4] == value[3]
    up = np.array([True, False, True, True, False, False, True, False, True, False, True])
    clock = (value[up] - value[0]) % 2**32
    assert clock.tolist() == [0, 40, 100, 152, 200, 240]


def test_server_tells_of_nothing_that_had_not_reached_it() -> None:
    """At a round trip of 40 ms, what passes at 120 ms left before the request of 100 ms came, and at 141 ms after."""
    rows = [(100, 1, 100), (120, 0, 1448), (130, 1, 50), (139, 0, 1448), (141, 0, 1448), (171, 0, 0)]
    fields = compile_sketch(make_sketch("tcp", rows), 7).fields
    value, echo = fields.ts_value, fields.ts_echo
    assert relative(fields.ack[[4, 6, 7, 8]], int(fields.seq[0])) == [1, 1, 101, 151]
    assert echo[[4, 6, 7, 8]].tolist() == [value[2], value[2], value[3], value[5]]


def test_round_trips_of_compiled_data_are_the_paths() -> None:
    """Requests 200 ms apart amid data every 3 ms: each is echoed one round trip after it passed, or just past it."""
    waits = [0, *range(1, 190, 3)]
    rows = [(200 * k + wait, wait == 0, 300 if wait == 0 else 1448) for k in range(1, 30) for wait in waits]
    table = extract(trace(compile_sketch(make_sketch("tcp", rows), 7)))
    found = table.values[0, [table.names.index(f"down_rtt_{what}") for what in ("samples", "min", "max")]]
    assert found[0] == 29
    # In ticks of 1,024 ns.
    assert 40 * MS <= (found[1] + 1) * 1024 <= (found[2] + 1) * 1024 <= 43.1 * MS


def test_options_of_the_handshake_and_first_windows() -> None:
    packets = compile_sketch(REQUEST, 7)
    for number, window in ((0, 64_240), (1, 65_160)):
        parsed = IP(packet_bytes(packets, number))[TCP]
        assert dict(parsed.options)["MSS"] == 1460
        assert {name for name, _ in parsed.options} == {"MSS", "SAckOK", "Timestamp", "NOP", "WScale"}
        assert parsed.window == window


def packet_bytes(packets: Packets, number: int) -> bytes:
    return packets.data[packets.offsets[number] : packets.offsets[number + 1]].tobytes()


@pytest.mark.parametrize("transport", ["tcp", "quic", "rtp"])
def test_scapy_computes_the_same_checksums(transport: str) -> None:
    rows = [(100 + 3 * n, n % 3 == 0, 1200 if n < 3 else 10 + 131 * n % 1400) for n in range(40)]
    packets = compile_sketch(make_sketch(transport, rows), 3)
    for number in range(len(packets)):
        header = packet_bytes(packets, number)
        missing = int(packets.length[number]) - len(header)
        layer = TCP if transport == "tcp" else UDP
        if missing:
            # The convention for a cut payload: all of it counts as zeros.
            size = int(packets.fields.ip_header[number] + packets.fields.l4_header[number])
            header = header[:size] + bytes(len(header) - size + missing)
        parsed = IP(header)
        assert parsed.len == packets.length[number] == len(header)
        found = parsed.chksum, parsed[layer].chksum
        del parsed.chksum, parsed[layer].chksum
        again = IP(bytes(parsed))
        assert found == (again.chksum, again[layer].chksum)
        if layer is UDP:
            assert again[UDP].len == len(header) - 20


@st.composite
def sketches(draw: st.DrawFn, transport: str) -> Sketch:
    """Sketches that need no packet beside their rows."""
    low, high = {"tcp": (0, 1448), "quic": (21, 1472), "rtp": (12, 1472)}[transport]
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(low, high), st.integers(0, 3 * 10**9)), max_size=40))
    opening = [(True, 1200, 0)] if transport == "quic" else []
    table = np.array(opening + [(up, size, gap) for up, size, gap in rows], np.int64).reshape(-1, 3)
    ts = np.cumsum(table[:, 2])
    if transport != "tcp" and len(ts):
        ts = ts - ts[0]
    return Sketch(transport, ts, table[:, 0] > 0, table[:, 1].astype(np.int32))


def assert_same_rows(one: Sketch, other: Sketch) -> None:
    assert one.ts.tolist() == other.ts.tolist()
    assert one.up.tolist() == other.up.tolist()
    assert one.payload.tolist() == other.payload.tolist()


@pytest.mark.parametrize("transport", ["tcp", "quic", "rtp"])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**40))
def test_sketch_comes_back(transport: str, data: st.DataObject, seed: int) -> None:
    sketch = data.draw(sketches(transport))
    packets = compile_sketch(sketch, seed)
    again = sketch_of(trace(packets))
    assert_same_rows(sketch, again)
    assert (np.diff(packets.ts) >= 0).all()
    if len(sketch):
        assert again.transport == transport
    if transport == "tcp" and len(sketch) and sketch.ts[0] >= sketch.round_trip:
        assert again.round_trip == sketch.round_trip


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_byte_overruns_the_announced_window(data: st.DataObject) -> None:
    """A second, plain reading of RFC 9293 §3.4 and RFC 7323 §2.3 over runs far above the first windows."""
    runs = data.draw(st.lists(st.tuples(st.booleans(), st.integers(1, 120)), max_size=8))
    rows = [(100.0, up, 1448) for up, count in runs for _ in range(count)]
    fields = compile_sketch(make_sketch("tcp", rows), 5).fields
    client = fields.sport[0]
    edge: dict[int, int] = {}
    for i in range(len(fields)):
        sender = int(fields.sport[i] == client)
        size = int(fields.payload[i]) + bool(fields.flags[i] & (SYN | FIN))
        if i > 1:
            assert (edge[sender] - int(fields.seq[i]) - size) % 2**32 < 2**31
        scale = 0 if fields.flags[i] & SYN else 10
        if fields.flags[i] & ACK:
            new = (int(fields.ack[i]) + (int(fields.tcp_window[i]) << scale)) % 2**32
            # Nor may the edge ever move back.
            assert 1 - sender not in edge or (new - edge[1 - sender]) % 2**32 < 2**31
            edge[1 - sender] = new


def test_server_acknowledges_before_its_first_window_is_full() -> None:
    sketch = make_sketch("tcp", [(100, 1, 1448)] * 100)
    again = sketch_of(trace(compile_sketch(sketch, 5)))
    assert again.payload[again.up].tolist() == sketch.payload.tolist()
    assert (~again.up).sum() == 1
    assert again.payload[~again.up].tolist() == [0]


@pytest.mark.parametrize(("transport", "largest"), [("tcp", 1448), ("quic", 1472), ("rtp", 1472)])
def test_large_payloads_are_split(transport: str, largest: int) -> None:
    sketch = make_sketch(transport, [(100, 1, 1200), (110, 0, 4000), (120, 0, largest)])
    again = sketch_of(trace(compile_sketch(sketch, 5)))
    assert again.payload.tolist() == [1200, largest, largest, 4000 - 2 * largest, largest]
    assert np.diff(again.ts).tolist() == [10 * MS, 0, 0, 10 * MS]


def test_handshake_is_squeezed_ahead_of_early_data() -> None:
    packets = compile_sketch(make_sketch("tcp", [(10, 1, 100), (20, 0, 100)]), 1)
    assert packets.ts[:5].tolist() == [0, 10 * MS, 10 * MS, 10 * MS, 20 * MS]
    assert (packets.fields.flags[:3] == [SYN, SYN | ACK, ACK]).all()


def test_empty_sketch_is_opened_and_closed() -> None:
    assert compile_sketch(empty_sketch("tcp"), 1).fields.flags.tolist() == [
        *(SYN, SYN | ACK, ACK),
        *(FIN | ACK, FIN | ACK, ACK),
    ]
    assert len(compile_sketch(empty_sketch("rtp"), 1)) == 0
    assert compile_sketch(empty_sketch("quic"), 1).length.tolist() == [1228]


def test_quic_opens_with_long_headers_and_goes_on_with_short_ones() -> None:
    rows = [(0, 1, 1250), (1, 1, 300), (40, 0, 1200), (41, 0, 800), (42, 1, 60), (80, 0, 1200), (81, 1, 30)]
    packets = compile_sketch(make_sketch("quic", rows), 2)
    first = packets.data[packets.offsets[:-1] + 28]
    # RFC 9000 §17.2: Initial 0, 0-RTT 1, Handshake 2 in the long header's type bits.
    assert (first[:5] >> 4).tolist() == [0xC, 0xD, 0xC, 0xE, 0xE]
    assert (first[5:] >> 6).tolist() == [1, 1]
    assert set(packets.captured.tolist()) == {29}


def test_quic_flow_that_lacks_an_initial_gets_one() -> None:
    packets = compile_sketch(make_sketch("quic", [(500, 0, 1200), (510, 1, 30)]), 2)
    again = sketch_of(trace(packets))
    assert again.up.tolist() == [True, False, True]
    assert again.payload.tolist() == [1200, 1200, 30]
    assert again.ts.tolist() == [0, 0, 10 * MS]


def test_rtp_headers_by_hand() -> None:
    rows = [(0, 0, 1000), (2, 0, 1001), (3, 0, 100), (33, 0, 700), (40, 1, 80), (43, 0, 100), (50, 0, 12)]
    packets = compile_sketch(make_sketch("rtp", rows), 2)
    heads = [packet_bytes(packets, i)[28:] for i in range(len(rows))]
    assert [len(head) for head in heads] == [16, 16, 16, 16, 16, 16, 12]
    assert [head[0] for head in heads] == [0x90] * 6 + [0x80]
    # Two packets of one frame, the second with the marker; then a frame of one packet.
    assert [head[1] for head in heads] == [96, 128 + 96, 111, 128 + 96, 111, 111, 111]
    video, audio = (0, 1, 3), (2, 5, 6)
    for stream in (video, audio):
        numbers = [int.from_bytes(heads[i][2:4], "big") for i in stream]
        assert np.diff(numbers).tolist() == [1, 1]
        assert len({heads[i][8:12] for i in stream}) == 1
    assert len({head[8:12] for head in heads}) == 3
    stamps = [int.from_bytes(heads[i][4:8], "big") for i in video]
    assert (np.diff(stamps) % 2**32).tolist() == [0, 33 * 90]
    assert heads[0][12:16] == b"\xbe\xde\x00\x03"


def test_small_datagrams_are_padded() -> None:
    assert compile_sketch(make_sketch("rtp", [(0, 0, 3)]), 1).length.tolist() == [40]
    assert compile_sketch(make_sketch("quic", [(0, 1, 1200), (1, 0, 5)]), 1).length.tolist() == [1228, 49]


@pytest.mark.parametrize("transport", ["tcp", "quic", "rtp"])
def test_trace_keeps_within_its_duration(transport: str) -> None:
    rows = [(100 * n, n % 2 == 0, 1200) for n in range(100)]
    made = trace_of(make_sketch(transport, rows), condition(5.0), "synthetic-0000", 1)
    assert made.packets.ts[0] == 0
    assert 4_900 * MS <= made.packets.ts[-1] < 5_000 * MS
    assert made.client == CLIENT_PREFIX
    assert made.name == "synthetic-0000"
    assert made.flows.count == 1
    assert sketch_of(made).payload.tolist() == [1200] * 50


def test_teardown_fits_behind_the_last_moment() -> None:
    made = trace_of(make_sketch("tcp", [(100, 1, 50), (4_999.5, 0, 50)]), condition(5.0), "x", 1)
    assert made.packets.fields.flags[-3:].tolist() == [FIN | ACK, FIN | ACK, ACK]
    assert (np.diff(made.packets.ts) >= 0).all()
    assert made.packets.ts[-1] < 5_000 * MS
    assert len(sketch_of(made)) == 2


def test_seed_and_application_decide_the_endpoints_only() -> None:
    one, same = compile_sketch(REQUEST, 1, "a"), compile_sketch(REQUEST, 1, "a")
    assert one.same_as(same)
    ends = set()
    for seed in range(20):
        fields = compile_sketch(REQUEST, seed, "a").fields
        assert fields.source[0, :4].tolist() == [10, 0, 0, 2]
        assert fields.dport[0] == 443
        ends.add((fields.destination[0, :4].tobytes(), int(fields.sport[0])))
    assert len(ends) > 15
    other = compile_sketch(REQUEST, 1, "b")
    assert not one.same_as(other)
    assert np.array_equal(one.ts, other.ts)
    assert np.array_equal(one.length, other.length)


class Late:
    """Stands for a random generator whose numbers are all near the end of their range."""

    def integers(self, low: int, high: int, size: int, dtype: type) -> np.ndarray:
        return np.full(size, high - 1000, dtype)


def test_sequence_numbers_wrap() -> None:
    ends = Endpoints((10, 0, 0, 2), (192, 0, 2, 1), 40_000, 443)
    rows = make_sketch("tcp", [(100, 0, 1448)] * 3 + [(1500, 1, 0)])
    fields = compile_tcp(rows, ends, Late(), None).fields  # type: ignore[arg-type]
    down = fields.sport == 443
    assert fields.seq[down].tolist() == [2**32 - 1000, 2**32 - 999, 449, 1897, 3345]
    assert fields.ack[~down].tolist()[2:] == [3345, 3345, 3346]
    assert fields.ts_value[~down].tolist()[2] == 500


def test_unknown_transport_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'quic'"):
        compile_sketch(empty_sketch("quik"), 1)
