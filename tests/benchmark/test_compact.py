"""The compact form: any packets come back to the byte; files that aren't what they should be are refused."""

import json
import random
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.capture.pcap import read_packets
from benchmark.errors import TraceError
from benchmark.storage import columns, compact
from benchmark.storage.compact import SCHEMA, read_traces, write_traces
from benchmark.storage.residuals import Table, check_table, microseconds_of, packets_of, table_of
from benchmark.trace import Labels, Packets
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


# Files of unknown origin.


@pytest.fixture
def sound(tmp_path):
    """A sound file, as its Arrow table and its description."""
    made = [
        header(bytes([0, 80, 0, 90, *bytes(8), 0x50, 16, *bytes(6)]), 6),
        header(bytes([0] * 4 + [0, 8, 0, 0]), 17),
    ]
    write_traces(tmp_path / "sound", [trace_from(packets_from([*made, b"raw"]))])
    file = parquet.ParquetFile(tmp_path / "sound")
    return file.read(), json.loads(file.metadata.metadata[b"tracearena"])


def refused(tmp_path, table, described, reason):
    path = tmp_path / "bad.parquet"
    with parquet.ParquetWriter(path, table.schema, store_schema=False) as writer:
        text = described if isinstance(described, str) else json.dumps(described)
        writer.add_key_value_metadata({"tracearena": text})
        writer.write_table(table)
    with pytest.raises(TraceError, match=reason) as caught:
        read_traces(path)
    assert str(path) in str(caught.value)


def changed(table, name, values, kind=None):
    index = table.schema.get_field_index(name)
    field = table.schema.field(name)
    array = pa.array(values, kind or field.type)
    return table.set_column(index, pa.field(name, array.type, field.nullable and None not in values), array)


def test_the_sound_file_is_read_and_only_its_change_is_refused(tmp_path, sound):
    table, described = sound
    path = tmp_path / "copy"
    with parquet.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.add_key_value_metadata({"tracearena": json.dumps(described)})
        writer.write_table(table)
    assert same_traces(read_traces(path), read_traces(tmp_path / "sound"))


@pytest.mark.parametrize("name", SCHEMA.names)
def test_a_missing_column_is_named(tmp_path, sound, name):
    refused(tmp_path, sound[0].drop_columns([name]), sound[1], f"column {name} is missing")


@pytest.mark.parametrize("name", ["time", "kind", "seq", "rest"])
def test_a_column_of_another_type_is_named(tmp_path, sound, name):
    table, described = sound
    refused(tmp_path, changed(table, name, ["a", "b", "c"], pa.string()), described, f"column {name} holds string")


def test_an_unknown_column_is_named(tmp_path, sound):
    table, described = sound
    refused(tmp_path, table.append_column("other", pa.array([1, 2, 3])), described, "unknown column other")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("kind", [1, 2, 3], "column kind"),
        ("forward", [1, 2, 0], "column forward"),
        ("flow", [0, 3, 0], "column flow"),
        ("layout", [9, 0, 0], "column layout"),
        ("layout", [27, 0, 0], "column layout"),
        ("layout", [0, 2, 0], "column layout"),
        ("layout", [18, 0, 0], "column rest is shorter"),
        ("time", [2**62, 2**62, 2**62], "column time"),
        ("time", [-(2**63), 0, 0], "column time"),
        ("time", [9_223_372_036_854_775, 1, 0], "column time"),
        ("rest", [b"", b"", bytes(2**20 + 1)], "column rest holds more"),
    ],
)
def test_values_that_no_writer_makes_are_refused(tmp_path, sound, name, values, reason):
    refused(tmp_path, changed(sound[0], name, values), sound[1], reason)


def test_empty_values_are_refused(tmp_path, sound):
    table, described = sound
    index = table.schema.get_field_index("seq")
    array = pa.array([1, None, 2], pa.uint32())
    refused(tmp_path, table.set_column(index, pa.field("seq", pa.uint32()), array), described, "empty values")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("packets", -1),
        ("packets", True),
        ("packets", 10**12),
        ("link", 1.5),
        ("client", "10.0.0.2/99"),
        ("application", None),
        ("duration", float("nan")),
        ("duration", 10**400),
        ("window", 0),
        ("window", "10"),
        ("labels", []),
        ("notes", "text"),
    ],
)
def test_a_wrong_description_is_named(tmp_path, sound, field, value):
    table, described = sound
    described["traces"][0][field] = value
    refused(tmp_path, table, described, field)
    del described["traces"][0][field]
    refused(tmp_path, table, described, field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rung", [200, 0]),
        ("rung", [None, 0]),
        ("rung", [0.5, 0]),
        ("rung", [0]),
        ("height", "tall"),
        ("stall", ["1", 2]),
        ("startup", "soon"),
        ("startup", 10**400),
    ],
)
def test_wrong_labels_are_named(tmp_path, sound, field, value):
    table, described = sound
    described["traces"][0]["labels"][field] = value
    refused(tmp_path, table, described, field if value != [0] else "numbers of windows")


def test_descriptions_that_do_not_fit_the_packets_are_refused(tmp_path, sound):
    table, described = sound
    entry = described["traces"][0]
    refused(tmp_path, table, {"format": 1, "traces": [{**entry, "packets": 4}]}, "missing")
    refused(tmp_path, table, {"format": 1, "traces": [{**entry, "packets": 2}]}, "more packets")
    refused(tmp_path, table, {"format": 2, "traces": [entry]}, "format")
    refused(tmp_path, table, {"format": 1, "traces": {"0": entry}}, "list")
    refused(tmp_path, table, {"format": 1, "traces": ["one"]}, "list")
    refused(tmp_path, table, "[" * 100_000, "description")
    refused(tmp_path, table, "{", "description")
    refused(tmp_path, table, "[]", "format")


def test_a_few_bytes_that_unpack_to_gigabytes_are_refused(tmp_path, sound):
    described = {**sound[1], "traces": [{**sound[1]["traces"][0], "packets": 1 << 16}]}
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1 << 16, np.int32)), [bytes(1 << 20)])
    arrays = [pa.array(np.zeros(1 << 16, field.type.to_pandas_dtype())) for field in list(SCHEMA)[:-1]]
    table = pa.table([*arrays, long], names=SCHEMA.names)
    refused(tmp_path, table, described, "more bytes than packets can have")
    assert (tmp_path / "bad.parquet").stat().st_size < 1 << 21
    many = pa.table(
        [pa.array(np.zeros((1 << 18) + 1, field.type.to_pandas_dtype())) for field in list(SCHEMA)[:-1]]
        + [pa.array([b""] * ((1 << 18) + 1))],
        names=SCHEMA.names,
    )
    refused(tmp_path, many, described, "row group 0 is larger")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"x" * 1000])
def test_files_that_are_not_parquet_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(TraceError, match="file"):
        read_traces(tmp_path / "file")
    with pytest.raises(TraceError, match="missing"):
        read_traces(tmp_path / "missing")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_residuals_of_unknown_origin_stay_within_their_arrays(data):
    count = data.draw(st.integers(1, 12))
    values = np.zeros((len(columns.COLUMNS), count), np.uint32)
    drawn = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for row, (_, bits) in enumerate(columns.COLUMNS):
        values[row] = drawn.integers(0, 1 << bits, count) if drawn.random() < 0.7 else 0
    values[columns.KIND] = drawn.integers(0, 3, count)
    values[columns.FORWARD] %= 2
    values[columns.FLOW] %= count
    values[columns.LAYOUT] = np.where(values[columns.KIND] == columns.KIND_TCP, drawn.integers(0, 9, count), 0)
    sizes = drawn.integers(0, 50, count)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    table = Table(values, drawn.integers(0, 256, starts[-1]).astype(np.uint8), starts)
    assert check_table(table) == ""
    packets = packets_of(table, np.arange(count), 101)
    assert rebuilt(packets).same_as(packets)


def test_damaged_files_are_refused_or_read_as_they_were(tmp_path):
    draw = random.Random(7)
    packets = packets_from([header(draw.randbytes(30), 17, identification=i) for i in range(200)])
    traces = [trace_from(packets, "one"), trace_from(packets.take(slice(5)), "two")]
    write_traces(tmp_path / "good", traces)
    good = (tmp_path / "good").read_bytes()
    refusals = 0
    for _ in range(300):
        damaged = bytearray(good)
        if draw.random() < 0.3:
            del damaged[draw.randrange(len(good)) :]
        for _ in range(draw.randrange(1, 4)):
            if damaged:
                damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        (tmp_path / "bad").write_bytes(damaged)
        try:
            read = read_traces(tmp_path / "bad")
        except TraceError:
            refusals += 1
            continue
        assert all(
            np.array_equal(one.packets.data, other.packets.data) for one, other in zip(read, traces, strict=True)
        )
    assert refusals > 200


def test_labels_of_unknown_value_survive(tmp_path):
    trace = trace_from(packets_from([b"x"]), windows=3)
    unknown = Labels.unknown(3)
    write_traces(tmp_path / "traces", [trace_from(trace.packets, windows=3, **unknown.__dict__)])
    read = read_traces(tmp_path / "traces")[0].labels
    assert np.isnan(read.startup)
    assert np.isnan(read.stall).all()
    assert read.rung.tolist() == [-1, -1, -1]
