"""The feature machine: against its slow twin, by hand, and its symmetries."""

import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.quality.arithmetic import bit_length, elapsed, log2_eighths
from benchmark.quality.features import FEATURE_SETS, extract, extract_all, extract_flows, feature_names
from benchmark.quality.state import state_bytes
from benchmark.trace import Condition, Labels, Trace, join_packets
from tests.benchmark.feature_twin import eighths, twin_rows
from tests.benchmark.packet_making import packets_from

CLIENT, SERVER = bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1])
MS = 1_000_000


def packet(
    up=True,
    payload=0,
    protocol=6,
    port=50_000,
    seq=0,
    ack=0,
    flags=16,
    stamps=None,
    version=4,
    fragment=0,
    **_,
):
    """Captured bytes (headers only) and IP length of one packet between the client and port 443."""
    ports = struct.pack(">HH", *((port, 443) if up else (443, port)))
    if protocol == 6:
        options = b"" if stamps is None else struct.pack(">BBBBII", 1, 1, 8, 10, *stamps)
        size = (20 + len(options)) // 4 << 4
        l4 = ports + struct.pack(">IIBBHHH", seq, ack, size, flags, 1000, 0, 0) + options
    else:
        l4 = ports + struct.pack(">HH", (8 + payload) & 0xFFFF, 0)
    ends = (CLIENT, SERVER) if up else (SERVER, CLIENT)
    if version == 6:
        ends = [bytes(12) + end for end in ends]
        head = struct.pack(">IHBB", 6 << 28, (len(l4) + payload) & 0xFFFF, protocol, 64)
        return head + b"".join(ends) + l4, 40 + len(l4) + payload
    total = 20 + len(l4) + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, total & 0xFFFF, 0, fragment, 64, protocol, 0)
    return head + b"".join(ends) + l4, total


def make(rows, windows=3, window=10.0, client="10.0.0.2/32", name="made"):
    """A trace of packets given as dictionaries; ``at`` is the time in ns."""
    built = [packet(**row) for row in rows]
    packets = packets_from([data for data, _ in built], [size for _, size in built], [row["at"] for row in rows])
    return Trace(name, packets, Condition("made", windows * window, window, Labels.unknown(windows)), client)


def one(table, window, *names):
    return [int(table.values[window, table.names.index(name)]) for name in names]


ROW = st.fixed_dictionaries(
    {
        "step": st.sampled_from(
            [0, 1, 700, 40_000, 29 * MS, 30 * MS, 50 * MS, 51 * MS, 900 * MS, 6_000 * MS, 31_000 * MS]
        ),
        "back": st.sampled_from([0, 0, 0, 0, 1, 5 * MS, 12_000 * MS]),
        "up": st.booleans(),
        "payload": st.sampled_from([0, 0, 1, 46, 47, 59, 60, 64, 298, 299, 301, 304, 1000, 1002, 1448, 9000, 65_000]),
        "protocol": st.sampled_from([6, 6, 17, 1]),
        "port": st.sampled_from([50_000, 50_000, 50_001]),
        "seq": st.sampled_from([0, 1, 60, 1448, 2896, 2**31, 2**32 - 1448, 2**32 - 1]),
        "ack": st.sampled_from([0, 5, 2**32 - 1]),
        "flags": st.sampled_from([16, 24, 2, 18, 17, 4, 0]),
        "stamps": st.none() | st.tuples(st.sampled_from([0, 7, 8, 2**32 - 1]), st.sampled_from([0, 7, 8, 2**32 - 1])),
        "version": st.sampled_from([4, 4, 4, 6]),
        "fragment": st.sampled_from([0, 0, 0, 0, 100]),
    }
)


def timed(rows, start):
    now, built = start, []
    for row in rows:
        now += row["step"]
        built.append({**row, "at": now - row["back"]})
    return built


def check_against_twin(trace):
    table = extract_flows(trace)
    expected = twin_rows(trace)
    found = dict(zip(zip(table.flow.tolist(), table.window.tolist(), strict=True), table.values.tolist(), strict=True))
    assert len(found) == len(table.flow)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        different = [(n, a, b) for n, a, b in zip(table.names, found[key], values, strict=True) if a != b]
        assert not different, (key, different)
    assert table.skipped == int((trace.flows.index < 0).sum())
    packets = sum(values[0] + values[2] for values in found.values())
    assert packets + table.skipped == len(trace.packets)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(ROW, max_size=60),
    st.sampled_from([0, 12_345, 2**42 - 1, 2**42 + 2**41 - 5 * MS, 2**60]),
    st.sampled_from([10.0, 1.0, 0.25]),
    st.sampled_from(["10.0.0.2/32", "", "10.0.0.0/30"]),
)
def test_the_machine_says_what_its_twin_says(rows, start, window, client):
    check_against_twin(make(timed(rows, start), window=window, client=client))


STEPS = [1_000, 20_000, 400_000, 2 * MS, 29_296 << 10, 29_297 << 10, 48_828 << 10, 48_829 << 10, 60 * MS, 1300 * MS]


@pytest.mark.parametrize("seed", range(8))
def test_long_traffic_agrees_with_the_twin(seed):
    random = np.random.default_rng(seed)

    def pick(choices, common=0.0):
        """The first choice with the given odds, else any."""
        return choices[0 if random.random() < common else random.integers(len(choices))]

    rows, seqs = [], [0, 0]
    for _ in range(1200):
        up = bool(random.random() < 0.3)
        sizes = [0, 46, 47, 59, 60, 100, 400] if up else [1448, 1000, 1002, 1003, 700, 299, 298, 0]
        payload = pick(sizes, 0.3)
        moved = pick([0, 0, 0, -1448, 1448])
        rows.append(
            {
                "step": pick(STEPS),
                "back": pick([0, 1, 3 * MS, 11_000 * MS], 0.9),
                "up": up,
                "payload": payload,
                "protocol": 17 if seed % 3 == 2 else 6,
                "port": pick([50_000, 50_001], 0.6),
                "seq": (2**32 - 9000 + seqs[up] + moved) % 2**32,
                "ack": pick([1, 2, 3]),
                "flags": pick([16, 24, 18, 17], 0.5),
                "stamps": (seqs[up] // 3000, max(0, seqs[not up] // 3000 - pick([0, 1]))),
                "version": 6 if seed % 4 == 3 else 4,
            }
        )
        seqs[up] += payload
    trace = make(timed(rows, 2**42 - 10**10), client="" if seed % 4 == 3 else "10.0.0.2/32")
    check_against_twin(trace)
    if seed % 3 != 2:
        assert extract(trace).values[:, feature_names("F5").index("segments")].any()


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, max_size=40), st.sampled_from(FEATURE_SETS))
def test_a_set_is_the_beginning_of_the_next(rows, chosen):
    trace = make(timed(rows, 0))
    small, large = extract_flows(trace, chosen), extract_flows(trace, "F5")
    assert large.names[: len(small.names)] == small.names
    assert np.array_equal(small.values, large.values[:, : len(small.names)])
    assert np.array_equal(small.window, large.window)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, max_size=40))
def test_directions_mirror_each_other(rows):
    rows = [{**row, "version": 4} for row in rows]  # the client's prefix is IPv4
    trace = make(timed(rows, 0))
    mirrored = make(timed([{**row, "up": not row["up"]} for row in rows], 0))
    one_way, other_way = extract_flows(trace, "F3"), extract_flows(mirrored, "F3")
    swap = {"up": "down", "down": "up"}
    order = [one_way.names.index("_".join([swap[way], *rest])) for way, *rest in (n.split("_") for n in one_way.names)]
    assert np.array_equal(one_way.values[:, order], other_way.values)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, max_size=40), st.integers(1, 5))
def test_a_trace_shows_the_flow_with_most_down_bytes(rows, windows):
    trace = make(timed(rows, 0), windows=windows)
    table, flows = extract(trace), extract_flows(trace)
    assert table.values.shape == (windows, len(feature_names("F5")))
    assert np.array_equal(table.window, np.arange(windows))
    for window in range(windows):
        rows_here = flows.values[flows.window == window].astype(np.int64)
        # Rows stand in order of flow, and argmax takes the first of equals.
        expected = rows_here[np.argmax(rows_here[:, 3])] if len(rows_here) else np.zeros(table.values.shape[1])
        assert np.array_equal(table.values[window], expected)


def test_known_answers():
    second = 1000 * MS
    rows = [
        {"at": 0, "payload": 100, "flags": 24, "seq": 10, "stamps": (5, 0)},
        {"at": 40 * MS, "up": False, "payload": 1000, "seq": 0, "stamps": (90, 5)},
        {"at": 45 * MS, "up": False, "payload": 1000, "seq": 1000, "stamps": (91, 5)},
        {"at": 46 * MS, "stamps": (6, 90), "ack": 2000},
        {"at": 47 * MS, "stamps": (6, 91), "ack": 2000},
        {"at": 49 * MS, "payload": 100, "seq": 110},  # too soon for a request
        {"at": 4 * second, "payload": 80, "seq": 210},
        {"at": 5 * second, "up": False, "payload": 5000, "seq": 2000},
        {"at": 6 * second, "up": False, "payload": 5000, "seq": 2000},
        {"at": 31 * second, "payload": 10, "seq": 400},
    ]
    table = extract(make(rows, windows=4))
    assert one(table, 0, "up_packets", "down_packets", "up_data", "down_data", "down_payload") == [
        5,
        4,
        3,
        4,
        12000,
    ]
    assert one(table, 0, "up_bytes", "up_size_min", "up_size_max", "up_size_mean") == [
        *(3 * 52 + 100 + 2 * 40 + 180, 80, 100, 93),
    ]
    assert one(table, 0, *(f"down_size_bin_{k}" for k in (5, 7))) == [2, 2]
    ticks = [0, 40 * MS, 45 * MS, 5 * second, 6 * second]
    ticks = [ns >> 10 for ns in ticks]
    down_gaps = [b - a for a, b in itertools.pairwise(ticks[1:])]
    assert one(table, 0, "down_gap_sum", "down_gap_min", "down_gap_max", "down_bursts") == [
        *(sum(down_gaps), min(down_gaps), max(down_gaps), 2)
    ]
    assert one(table, 0, "up_pushes", "up_repeated_acks", "down_retransmits", "up_holes") == [1, 1, 1, 0]
    # The client's TSval 5 comes back after 40 ms, the server's 90 after 6 ms.
    assert one(table, 0, "down_rtt_samples", "down_rtt_mean", "up_rtt_samples") == [1, (40 * MS) >> 10, 1]
    assert one(table, 0, "up_rtt_mean") == [((46 * MS) >> 10) - ((40 * MS) >> 10)]
    assert one(table, 0, "requests", "segments", "segment_bytes", "segment_open") == [2, 1, 2000, 10000]
    assert one(table, 0, "segment_time", "ring_bytes_0", "ring_gap_0") == [
        (45 * MS) >> 10,
        2000,
        4 * second >> 10,
    ]
    assert one(table, 0, "idle_time") == [(4 * second >> 10) - ((45 * MS) >> 10)]
    assert one(table, 0, "segment_quiet") == [(10 * second >> 10) - (6 * second >> 10)]
    assert one(table, 0, "segment_rate") == [256 + eighths(2000) - eighths((45 * MS) >> 10)]
    assert not table.values[1].any()
    assert not table.values[2].any()
    assert one(table, 3, "up_packets", "down_packets", "up_holes", "up_gap_max") == [
        *(1, 0, 1, (31 * second >> 10) - (4 * second >> 10))
    ]


def test_frames_by_size():
    sizes = [1000, 1001, 1002, 700, 1000, 1003, 400, 900, 298]
    rows = [{"at": k * 10 * MS, "up": False, "payload": size, "protocol": 17} for k, size in enumerate(sizes)]
    table = extract(make(rows))
    # New frames: the first, 700, 400 and 900; 1000 after 700 still looks back to 1002; 298 isn't video.
    assert one(table, 0, "frames", "frame_bytes", "frame_max") == [4, sum(sizes[:-1]), 3003]
    assert one(table, 0, "frame_gap_max", "down_unique_sizes") == [(60 * MS >> 10) - (30 * MS >> 10), 8]
    tcp = extract(make([{**row, "protocol": 6} for row in rows]))
    assert one(tcp, 0, "frames") == [0]


def test_the_ring_lists_the_windows_last_segments_only():
    rows = []
    for k in range(13):
        rows.append({"at": k * 600 * MS, "payload": 100})
        rows.append({"at": k * 600 * MS + 20 * MS, "up": False, "payload": 1000 + k})
    rows += [{"at": 12_000 * MS, "payload": 100}, {"at": 12_001 * MS, "up": False, "payload": 9}]
    table = extract(make(rows))
    assert one(table, 0, "segments", *(f"ring_bytes_{k}" for k in (0, 9))) == [12, 1011, 1002]
    assert one(table, 1, "segments", "ring_bytes_0", "ring_bytes_1") == [1, 1012, 0]


def test_windows_on_their_edges():
    rows = [{"at": at, "up": up} for at in (0, 10_000 * MS - 1, 10_000 * MS, 30_000 * MS - 1) for up in (True, False)]
    table = extract(make(rows))
    assert table.values[:, table.names.index("up_packets")].tolist() == [2, 1, 1]
    assert table.values[:, table.names.index("down_packets")].tolist() == [2, 1, 1]


def test_no_packets_and_none_with_a_flow():
    assert not extract(make([])).values.any()
    fragments = make([{"at": k, "fragment": 100} for k in range(3)])
    assert extract(fragments).skipped == 3
    assert len(extract_flows(fragments).flow) == 0
    assert len(extract_all([fragments, make([])])) == 2


def test_counters_stay_at_their_maximum():
    few = make([{"at": 0, "up": False}, {"at": 1}])
    trace = replace(few, packets=join_packets([few.packets] * 70_000))
    table = extract(trace)
    assert one(table, 0, "down_packets", "down_size_bin_0", "down_gap_bin_0") == [70_000, 65_535, 65_535]


def test_a_long_trace_keeps_counting():
    # Past 2^32 ticks (73 minutes) and past what 32 bits of a tenth of a second's units hold.
    hours = [3600_000 * MS * hour for hour in range(5)]
    trace = make([{"at": at + k} for at in hours for k in (0, 1)], windows=5 * 36_000, window=0.1)
    filled = np.flatnonzero(extract(trace, "F0").values[:, 0])
    assert filled.tolist() == [36_000 * hour for hour in range(5)]


def test_what_cannot_be_asked():
    with pytest.raises(ConfigError, match="did you mean 'F4'"):
        extract(make([{"at": 0}]), "f4")
    with pytest.raises(ConfigError, match="32 bits"):
        extract(make([{"at": 0}], window=3600.0 * 24))
    with pytest.raises(ConfigError, match="32 bits"):
        extract(make([{"at": 0}], window=0.0))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_arithmetic(a, b):
    assert bit_length(a) == a.bit_length()
    assert log2_eighths(a) == eighths(a)
    assert elapsed((a + b % 2**31) % 2**32, a) == b % 2**31


def test_names_are_distinct_and_state_is_small():
    names = feature_names("F5")
    assert len(set(names)) == len(names)
    assert not [name for name in names if "index" in name or "syn" in name]
    sizes = [state_bytes(number) for number in range(6)]
    assert sizes == sorted(sizes)
    assert sizes[4] <= 384  # 4,096 flows with keys and the kernel's own overhead stay below 2 MiB
