"""Files of unknown origin that aren't what the compact form should be are refused."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import TraceError
from benchmark.storage import columns
from benchmark.storage.compact import SCHEMA, read_traces, write_traces
from benchmark.storage.residuals import Table, check_table, packets_of
from benchmark.trace import Labels
from tests.benchmark.packet_making import (
    header,
    packets_from,
    same_traces,
    trace_from,
)
from tests.benchmark.test_compact import rebuilt


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
