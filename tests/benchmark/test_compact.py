"""The compact form: any packets come back to the byte."""

import random
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings

from benchmark.capture.pcap import read_packets
from benchmark.errors import TraceError
from benchmark.storage import columns, compact
from benchmark.storage.compact import read_traces, write_traces
from benchmark.storage.residuals import check_table, microseconds_of, packets_of, table_of
from benchmark.trace import Packets
from tests.benchmark.capture_bytes import BUNDLE
from tests.benchmark.packet_making import (
    any_packets,
    header,
    microsecond_times,
    packets_from,
    plain_packets,
    same_traces,
    trace_from,
)

PUBLIC = ["ndpi/youtube/quic046.pcap", "ndpi/teams/teams.pcap", "ndpi/amazon/alexa-app.pcapng"]


def rebuilt(packets):
    table = table_of(packets)
    assert check_table(table) == ""
    return packets_of(table, microseconds_of(packets.ts), packets.link)


@settings(max_examples=150, deadline=None)
@given(any_packets, microsecond_times)
def test_any_packets_come_back_to_the_byte(made, ts):
    packets = packets_from([data for data, _ in made], [length for _, length in made], ts[: len(made)])
    assert rebuilt(packets).same_as(packets)


@settings(max_examples=80, deadline=None)
@given(plain_packets)
def test_headers_that_agree_with_themselves_need_no_raw_bytes(made):
    packets = packets_from([data for data, _ in made], [length for _, length in made])
    table = table_of(packets)
    assert (table.values[columns.KIND] != columns.KIND_RAW).all()
    assert rebuilt(packets).same_as(packets)


def test_a_steady_stream_leaves_only_zeros():
    def segment(i):
        head = (443).to_bytes(2) + (5000).to_bytes(2) + (1000 + 1448 * i).to_bytes(4) + bytes(4)
        return header(head + b"\x50\x10\x00\xff" + bytes(4), 6, 1488, identification=i)

    packets = packets_from([segment(i) for i in range(10)], [1488] * 10)
    values = table_of(packets).values[:, 1:]
    direct = ["kind", "length", "forward", "flags", "ip_checksum", "l4_checksum"]
    for row, (name, _) in zip(values, columns.COLUMNS, strict=True):
        if name not in direct:
            assert not row.any(), name


def test_a_file_keeps_everything_of_a_trace(tmp_path):
    labels = {
        "rung": np.array([-1, 5], np.int8),
        "height": np.array([-1, 1080], np.int16),
        "stall": np.array([np.nan, 0.1], np.float32),
        "bitrate": np.array([np.inf, 1e-3], np.float32),
        "startup": 1.25,
    }
    notes = {"link": {"down": [[0, 2.42]], "loss": None}, "ünïcode": "\ud800", "deep": [True, 1, -0.5]}
    packets = packets_from([header(bytes(8), 17), b"", b"garbage"])
    traces = [
        trace_from(packets, "first", notes=notes, **labels),
        trace_from(packets_from([]), "", windows=0),
        trace_from(Packets(packets.ts, packets.length, packets.data, packets.offsets, link=1), "last"),
    ]
    path = tmp_path / "deep" / "traces.parquet"
    write_traces(path, traces)
    assert same_traces(read_traces(path), traces)
    assert [file.name for file in path.parent.iterdir()] == ["traces.parquet"]
    write_traces(path, [])
    assert read_traces(path) == []


def test_times_round_to_the_nearest_microsecond_and_then_stay(tmp_path):
    ts = [-1_500, -501, -500, 499, 500, 1_499, 10**15 + 501]
    packets = packets_from([b"x"] * len(ts), ts=ts)
    write_traces(tmp_path / "once", [trace_from(packets)])
    read = read_traces(tmp_path / "once")
    assert read[0].packets.ts.tolist() == [-1000, -1000, 0, 0, 1000, 1000, 10**15 + 1000]
    write_traces(tmp_path / "twice", read)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()


def test_packets_may_start_anywhere_in_their_buffer():
    packets = packets_from([b"ahead", header(bytes(8), 17), b"after"])
    later = Packets(packets.ts[1:], packets.length[1:], packets.data, packets.offsets[1:])
    assert rebuilt(later).same_as(packets.take(slice(1, None)))


@pytest.mark.parametrize(("rows", "size"), [(7, 1 << 28), (1 << 18, 600), (50, 1000)])
def test_traces_spread_over_row_groups(tmp_path, monkeypatch, rows, size):
    monkeypatch.setattr(compact, "_GROUP_ROWS", rows)
    monkeypatch.setattr(compact, "_GROUP_BYTES", size)
    draw = random.Random(0)
    traces = [
        trace_from(packets_from([draw.randbytes(draw.randrange(60)) for _ in range(count)]), f"{count}")
        for count in (3, 0, 40, 1, 25)
    ]
    write_traces(tmp_path / "traces", traces)
    assert parquet.ParquetFile(tmp_path / "traces").num_row_groups > 1
    assert same_traces(read_traces(tmp_path / "traces"), traces)


def test_public_captures_come_back_to_the_byte(tmp_path):
    if not BUNDLE.exists():
        pytest.skip("the public captures (shared/data/public/ndpi.tar.xz) aren't beside this checkout")
    with tarfile.open(BUNDLE, "r|xz") as bundle:
        for member in bundle:
            if member.name in PUBLIC:
                bundle.extract(member, tmp_path, filter="data")
    traces = [trace_from(read_packets(tmp_path / name), name) for name in PUBLIC]
    assert sum(len(trace.packets) for trace in traces) > 1000
    write_traces(tmp_path / "traces", traces)
    for trace, stored in zip(traces, read_traces(tmp_path / "traces"), strict=True):
        rounded = replace(trace.packets, ts=microseconds_of(trace.packets.ts) * 1000)
        assert stored.packets.same_as(rounded), trace.name


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "traces"
    good = trace_from(packets_from([b"x"]))
    write_traces(path, [good])
    before = path.read_bytes()
    late = 2**63 - 1
    for bad, reason in [
        (trace_from(packets_from([b"x"], ts=[late])), "time"),
        (trace_from(packets_from([bytes(2**20 + 1)])), "more than 1048576 bytes"),
        (trace_from(packets_from([b"x"]), notes={"x": object()}), "notes"),
    ]:
        with pytest.raises(TraceError, match=reason):
            write_traces(path, [good, bad])
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
