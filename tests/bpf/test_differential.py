"""Kernel against reference: the same windows, features and reasons for skipping, to the bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora.embedded import load
from benchmark.quality.names import FEATURE_SETS, feature_names
from benchmark.trace import Condition, Labels, Trace
from bpf.feed import frames_of, run_all
from tests.benchmark.packet_making import packets_from
from tests.benchmark.test_features import MS, packet
from tests.bpf.agreement import check, clocks, loaded, replay, table_of
from tests.bpf.hostile import CLIENT, Case, make

HOOKS = ("tc", "xdp", "socket")
BUFFER = 256  # bytes of a frame that the socket's program copies


def case_of(trace):
    return Case(frames_of(trace.packets), trace, 0)


def kept(hook):
    return BUFFER if hook == "socket" else None


@pytest.fixture(scope="module")
def corpus():
    return load({"name": "streaming", "limit": 1}, Path(__file__).parents[2])


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_real_traffic(feature_set, corpus):
    for hook in HOOKS if feature_set == "F5" else ("tc",):
        with loaded(features=feature_set, hook=hook, client=corpus.client) as probe:
            for trace in corpus.test:
                replayed = check(probe, case_of(trace))
                assert replayed.counters["seen"] == len(trace.packets)


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_hostile_frames(feature_set):
    with loaded(features=feature_set, client=CLIENT) as probe:
        check(probe, make(100 + FEATURE_SETS.index(feature_set)))
        check(probe, make(200 + FEATURE_SETS.index(feature_set), merged=True, links=False))


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("client", [CLIENT, "", "10.0.0.0/28", "::10.0.0.2/128", "::/96"])
def test_every_hook_and_prefix(hook, client):
    with loaded(features="F5", hook=hook, client=client) as probe:
        check(probe, make(7, 2000, client=client, captured=kept(hook), shortest=54 if hook == "tc" else 0))


def test_merged_packets_in_a_socket():
    with loaded(features="F5", hook="socket", client=CLIENT) as probe:
        check(probe, make(9, 2000, merged=True, links=False, captured=BUFFER))


def test_bpf_alone_loads_what_libbpf_does():
    case = make(3, 1000)
    found = []
    for loader in ("libbpf", "raw"):
        with loaded(features="F5", client=CLIENT, loader=loader) as probe:
            # The order in which flows are closed at the end is the map's own.
            found.append(sorted(one.tobytes() for one in check(probe, case).results["result"]))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_frames():
    """Every feature set through tc, merged packets too, in traces of ten thousand packets."""
    seen = 0
    for level, feature_set in enumerate(FEATURE_SETS):
        with loaded(features=feature_set, client=CLIENT) as probe:
            for number in range(13 if level < 4 else 26):
                seed = 1000 * (level + 1) + number
                case = make(seed, 10_000, merged=number % 13 == 12, links=number % 13 != 12, flows=40)
                check(probe, case)
                seen += len(case.frames)
    assert seen >= 1_000_000


def rows_of(steps, **more):
    """A trace of one flow from dictionaries that ``tests.benchmark.test_features.packet`` understands."""
    now, captured, lengths, times = 0, [], [], []
    for row in steps:
        now += row.get("step", MS)
        data, length = packet(**row)
        captured.append(data)
        lengths.append(length)
        times.append(now)
    trace = Trace(
        "made", packets_from(captured, lengths, times), Condition("made", 10.0, 10.0, Labels.unknown(1)), CLIENT
    )
    return replace(trace, **more)


def test_counters_stay_at_their_maximum_and_sums_wrap():
    rows = [{"payload": 65_000, "up": False, "flags": 24, "seq": 0, "step": 100} for _ in range(66_200)]
    trace = rows_of(rows)
    with loaded(features="F5", client=CLIENT) as probe:
        replayed = check(probe, case_of(trace))
    names = feature_names("F5")
    row = dict(zip(names, replayed.results["row"][0].tolist(), strict=False))
    assert row["down_pushes"] == row["down_retransmits"] == 0xFFFF
    assert row["down_bytes"] == 66_200 * 65_040 % 2**32 != 66_200 * 65_040


def test_the_number_of_requests_wraps():
    rows = [
        {"payload": 100 if way else 1000, "up": way, "protocol": 17, "step": 51 * MS if way else 0}
        for _ in range(65_700)
        for way in (True, False)
    ]
    with loaded(features="F4", client=CLIENT) as probe:
        check(probe, case_of(rows_of(rows)))


def test_more_flows_than_the_map_holds():
    random = np.random.default_rng(5)
    ports = random.permutation(60_000)[:3000] + 1
    rows = [{"port": int(port), "payload": 100, "up": True, "step": 10_000} for port in ports for _ in range(3)]
    case = case_of(rows_of(rows))
    with loaded(features="F2", client=CLIENT, flows=256) as probe:
        replayed = replay(probe, case)
        assert replayed.counters["seen"] == len(rows)
        assert replayed.unaccounted == 0
        assert replayed.counters["opened"] >= 3000
        assert len(replayed.results) <= 256
        # Those that weren't evicted have lost nothing.
        flows, _, found = table_of(case.trace, replayed, 4)
        assert len(set(flows.tolist())) == len(flows)
        assert (found[:, 0] == 3).sum() >= len(flows) - 1


def test_a_queue_that_nobody_reads_says_so():
    case = make(4, 2000, flows=4)
    with loaded(features="F0", client=CLIENT, results=16) as probe:
        for clock, chosen in clocks(case.trace, case.frames.times.astype(np.int64)):
            probe._clock.set(clock)
            run_all(probe.program.descriptor, case.frames, chosen, probe._clock)
        counters = probe.counters()
        assert counters["overwritten"] == counters["closed"] - 16 > 0
        assert len(probe._drain()) == 16


def test_up_and_down_are_alike():
    """With every packet's ends exchanged, what was up is down, and nothing else changes."""
    case = make(11, 3000, links=False, flips=False, cuts=False)
    trace = case.trace
    mirrored = replace(trace, packets=mirror(trace.packets))
    names = feature_names("F3")
    ups = [place for place, name in enumerate(names) if name.startswith("up_")]
    downs = [names.index("down_" + names[place][3:]) for place in ups]
    with loaded(features="F3", hook="xdp", client=CLIENT) as probe:
        one = table_of(trace, check(probe, case_of(trace)), len(names))
        other = table_of(mirrored, check(probe, case_of(mirrored)), len(names))
    told = np.array([decided(trace, flow) for flow in one[0].tolist()])
    assert 20 < told.sum() < len(told)
    assert np.array_equal(one[2][told][:, ups], other[2][told][:, downs])
    assert np.array_equal(one[2][told][:, downs], other[2][told][:, ups])
    assert np.array_equal(one[2][~told], other[2][~told])


def decided(trace, flow):
    """Whether exactly one end of a flow is the client's."""
    first = trace.flows.first[flow]
    fields = trace.packets.fields
    if fields.version[first] != 4:
        return False
    ends = [bytes(end[first][:4]) == bytes([10, 0, 0, 2]) for end in (fields.source, fields.destination)]
    return ends[0] != ends[1]


def mirror(packets):
    """The packets with addresses and ports exchanged."""
    data, fields, at = packets.data.copy(), packets.fields, packets.offsets[:-1]
    for number in np.flatnonzero(fields.skip == 0).tolist():
        start = at[number]
        first, size = (12, 4) if fields.version[number] == 4 else (8, 16)
        swap(data, start + first, size)
        swap(data, start + fields.ip_header[number], 2)
    return replace(packets, data=data)


def swap(data, at, size):
    one, other = data[at : at + size].copy(), data[at + size : at + 2 * size].copy()
    data[at : at + size], data[at + size : at + 2 * size] = other, one
