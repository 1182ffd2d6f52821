"""Packets are selected, joined and compared byte for byte; windows count from the first packet."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmark.trace import NANOSECONDS, Condition, Labels, Packets, Trace, join_packets


def packets_of(blobs: list[bytes], ts: list[int] | None = None) -> Packets:
    return Packets(
        np.array(range(len(blobs)) if ts is None else ts, np.int64),
        np.array([len(blob) + 7 for blob in blobs], np.int32),
        np.frombuffer(b"".join(blobs), np.uint8),
        np.concatenate([[0], np.cumsum([len(blob) for blob in blobs])]).astype(np.int64),
    )


def blobs_of(packets: Packets) -> list[bytes]:
    return [packets.data[a:b].tobytes() for a, b in zip(packets.offsets, packets.offsets[1:], strict=False)]


blobs = st.lists(st.binary(max_size=40), max_size=12)


@given(blobs, st.data())
def test_take_selects_as_a_list_would(parts: list[bytes], data: st.DataObject) -> None:
    packets = packets_of(parts)
    chosen = data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=20)) if parts else []
    taken = packets.take(np.array(chosen, np.int64))
    assert blobs_of(taken) == [parts[number] for number in chosen]
    assert taken.ts.tolist() == chosen
    assert taken.length.tolist() == [len(parts[number]) + 7 for number in chosen]
    mask = np.array([number % 2 == 0 for number in range(len(parts))], bool)
    assert blobs_of(packets.take(mask)) == parts[::2]
    assert blobs_of(packets.take(slice(1, None))) == parts[1:]
    assert packets.take(slice(None)).same_as(packets)


@given(blobs, st.integers(0, 12))
def test_join_undoes_a_split(parts: list[bytes], place: int) -> None:
    packets = packets_of(parts)
    assert join_packets([packets.take(slice(0, place)), packets.take(slice(place, None))]).same_as(packets)


@given(blobs, st.integers(0, 12))
def test_join_reads_parts_that_are_views_into_a_larger_buffer(parts: list[bytes], place: int) -> None:
    packets = packets_of(parts)
    view = Packets(packets.ts[place:], packets.length[place:], packets.data, packets.offsets[place:])
    if place <= len(parts):
        assert blobs_of(join_packets([view])) == parts[place:]


def test_nothing_joined_is_empty() -> None:
    nothing = join_packets([])
    assert len(nothing) == 0
    assert nothing.captured.tolist() == []
    assert len(nothing.fields) == 0


@given(st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=6), st.data())
def test_same_as_sees_every_difference(parts: list[bytes], data: st.DataObject) -> None:
    packets = packets_of(parts)
    assert packets.same_as(packets_of(parts))
    assert not packets.same_as(packets.shifted(1))
    assert packets.shifted(5).shifted(-5).same_as(packets)
    assert not packets.same_as(packets.take(slice(1, None)))
    changed = packets.data.copy()
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1
    assert not packets.same_as(Packets(packets.ts, packets.length, changed, packets.offsets))
    assert not packets.same_as(Packets(packets.ts, packets.length + 1, packets.data, packets.offsets))


@given(
    st.lists(st.integers(0, 60 * NANOSECONDS), max_size=30),
    st.sampled_from([0.5, 1.0, 10.0]),
    st.integers(0, 10**15),
)
def test_windows_count_from_the_first_packet(gaps: list[int], window: float, start: int) -> None:
    ts = (start + np.cumsum([0, *gaps])).tolist()
    trace = Trace("t", packets_of([b"x"] * len(ts), ts), Condition("", 60, window, Labels.unknown(6)))
    expected = [(one - ts[0]) // int(window * NANOSECONDS) for one in ts]
    assert trace.windows().tolist() == expected


def test_an_empty_trace_has_no_windows_and_no_flows() -> None:
    trace = Trace("t", packets_of([]), Condition("", 60, 10, Labels.unknown(6)))
    assert trace.windows().tolist() == []
    assert trace.flows.count == 0
    assert len(trace.labels) == 6
