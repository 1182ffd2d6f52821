"""The compact form of traces on disk: one Parquet file of header fields for many traces, exact to the byte.

Times are kept to 1 us (rounded, halves up); everything else comes back as it was, so what was read once is
written and read unchanged. Names, labels, conditions and notes stand as JSON in the file's metadata. A row
is a packet; columns hold the difference between a field and what ``benchmark.storage.prediction`` expects it to be.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from benchmark.errors import TraceError
from benchmark.storage.columns import COLUMNS
from benchmark.storage.description import describe, trace_of
from benchmark.storage.residuals import Table, check_table, microseconds_of, packets_of, table_of
from benchmark.trace import Trace

FORMAT = 1
_KEY = b"tracearena"
# Rows and left-over bytes of a row group: what a reader must hold at once.
_GROUP_ROWS, _GROUP_BYTES = 1 << 18, 1 << 28
# What a file of unknown origin may ask for: packets of a trace, packets of a file, bytes of a packet.
_TRACE_LIMIT, _FILE_LIMIT, _PACKET_LIMIT = 1 << 24, 1 << 26, 1 << 20
# Beyond this a time in ns leaves int64.
_LATEST = (1 << 63) // 1000 - 1

_TYPES = {8: pa.uint8(), 16: pa.uint16(), 32: pa.uint32()}
SCHEMA = pa.schema(
    [
        pa.field("time", pa.int64(), nullable=False),  # us since the packet before; a trace's first: since 0
        *(pa.field(name, _TYPES[bits], nullable=False) for name, bits in COLUMNS),
        pa.field("rest", pa.binary(), nullable=False),  # the bytes of a packet that no column holds
    ]
)


def write_traces(path: str | Path, traces: Sequence[Trace]) -> None:
    """Write traces to one Parquet file, aside and then renamed.

    Raises TraceError where a trace has more than 2^24 packets, a file more than 2^26, a packet more than 1
    MiB, a time is too far from 0 to be rounded, or notes hold what JSON can't.
    """
    path = Path(path)
    try:
        text = json.dumps({"format": FORMAT, "traces": [describe(trace) for trace in traces]})
    except (TypeError, RecursionError) as error:
        raise TraceError(f"notes that JSON can't hold ({error})", path) from error
    if sum(len(trace.packets) for trace in traces) > _FILE_LIMIT:
        raise TraceError(f"more than {_FILE_LIMIT} packets for one file", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with parquet.ParquetWriter(
            aside,
            SCHEMA,
            compression="zstd",
            compression_level=12,
            use_dictionary=True,
            write_statistics=False,
            store_schema=False,
            write_page_checksum=True,
        ) as writer:
            writer.add_key_value_metadata({_KEY: text})
            for group in _groups(path, traces):
                writer.write_table(group, row_group_size=_GROUP_ROWS)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def read_traces(path: str | Path) -> list[Trace]:
    """Read what ``write_traces`` wrote; raise TraceError on anything else, naming what is wrong."""
    return list(iterate_traces(path))


def iterate_traces(path: str | Path) -> Iterator[Trace]:
    """Yield the traces of a file one by one, holding no more than one trace and one row group of it."""
    try:
        yield from _iterate(Path(path))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise TraceError(f"not a readable Parquet file of traces ({reason})", path) from error


def _groups(path: Path, traces: Sequence[Trace]) -> Iterator[pa.Table]:
    """Yield row groups of whole traces, or of parts of a trace that is larger than a group."""
    held: list[pa.Table] = []
    rows = size = 0
    for trace in traces:
        for part in _parts(path, trace):
            if held and (rows + len(part) > _GROUP_ROWS or size + part.nbytes > _GROUP_BYTES):
                yield pa.concat_tables(held).combine_chunks()
                held, rows, size = [], 0, 0
            held.append(part)
            rows, size = rows + len(part), size + part.nbytes
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _parts(path: Path, trace: Trace) -> Iterator[pa.Table]:
    """Yield a trace as Arrow tables, each within the limits of a row group."""
    times = microseconds_of(trace.packets.ts)
    if len(times) > _TRACE_LIMIT:
        raise TraceError(f"trace '{trace.name}' has more than {_TRACE_LIMIT} packets", path)
    if len(times) and (np.abs(times).max() > _LATEST):
        raise TraceError(f"trace '{trace.name}' has a time beyond 292 years", path)
    if len(times) and trace.packets.captured.max() > _PACKET_LIMIT:
        raise TraceError(f"trace '{trace.name}' has a packet of more than {_PACKET_LIMIT} bytes", path)
    table = table_of(trace.packets)
    deltas = np.diff(times, prepend=0)
    first = 0
    while first < len(times):
        room = np.searchsorted(table.starts, table.starts[first] + _GROUP_BYTES // 2, side="right") - 1
        last = int(min(first + _GROUP_ROWS, max(room, first + 1), len(times)))
        yield _arrow(deltas, table, first, last)
        first = last


def _arrow(deltas: NDArray[np.int64], table: Table, first: int, last: int) -> pa.Table:
    columns = [pa.array(deltas[first:last])]
    for (_, bits), row in zip(COLUMNS, table.values, strict=True):
        columns.append(pa.array(row[first:last].astype(f"uint{bits}")))
    starts = table.starts[first : last + 1]
    rest = table.rest[starts[0] : starts[-1]]
    places = pa.py_buffer((starts - starts[0]).astype(np.int32))
    columns.append(pa.Array.from_buffers(pa.binary(), last - first, [None, places, pa.py_buffer(rest)]))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _iterate(path: Path) -> Iterator[Trace]:
    with parquet.ParquetFile(path) as footer:
        described, metadata = _described(path, footer), footer.metadata
    with parquet.ParquetFile(
        path, metadata=metadata, read_dictionary=["rest"], page_checksum_verification=True
    ) as file:
        groups = _read_groups(path, file)
        held = Table(np.zeros((len(COLUMNS), 0), np.uint32), np.zeros(0, np.uint8), np.zeros(1, np.int64))
        times = np.zeros(0, np.int64)
        total = 0
        for number, entry in enumerate(described):
            trace, count, link = trace_of(entry, f"trace {number}", path)
            total += count
            if count > _TRACE_LIMIT or total > _FILE_LIMIT:
                raise TraceError(f"trace '{trace.name}' has more packets than a file may hold", path)
            while len(times) < count:
                following = next(groups, None)
                if following is None:
                    raise TraceError(f"the packets of trace '{trace.name}' are missing", path)
                times = np.concatenate([times, following[0]])
                held = _join(held, following[1])
            part, since = _slice(held, 0, count), times[:count]
            held, times = _slice(held, count, len(times)), times[count:]
            yield _with_packets(path, trace, part, since, link)
        if len(times) or next(groups, None) is not None:
            raise TraceError("more packets than its traces should have", path)


def _with_packets(path: Path, trace: Trace, table: Table, deltas: NDArray[np.int64], link: int) -> Trace:
    fault = check_table(table)
    if fault:
        raise TraceError(f"trace '{trace.name}': {fault}", path)
    # A sum in int64 can wrap around unseen, so a rough sum in floating point goes first.
    rough = np.abs(np.cumsum(deltas.astype(np.float64))).max(initial=0.0)
    times = np.cumsum(deltas)
    if rough > 2.0 * _LATEST or np.abs(times).max(initial=0) > _LATEST:
        raise TraceError(f"trace '{trace.name}': column time leaves the range of nanoseconds", path)
    return Trace(trace.name, packets_of(table, times, link), trace.condition, trace.client, trace.notes)


def _described(path: Path, file: parquet.ParquetFile) -> list[dict[str, Any]]:
    """Return the entries of the file's metadata, after checking its columns and its size."""
    found, wanted = file.schema_arrow, SCHEMA
    for field in wanted:
        if field.name not in found.names:
            raise TraceError(f"column {field.name} is missing", path)
        kind = found.field(field.name).type
        if kind != field.type:
            raise TraceError(f"column {field.name} holds {kind}, not {field.type}", path)
    if len(found.names) != len(wanted.names):
        unknown = sorted(set(found.names) - set(wanted.names)) or ["(a name that stands twice)"]
        raise TraceError(f"unknown column {unknown[0]}", path)
    try:
        described = json.loads((file.metadata.metadata or {})[_KEY])
    except (KeyError, ValueError, RecursionError) as error:
        raise TraceError("the file's metadata has no description of traces", path) from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise TraceError(f"the format of the file isn't {FORMAT}", path)
    entries = described.get("traces")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TraceError("the description of traces isn't a list", path)
    return entries


def _read_groups(path: Path, file: parquet.ParquetFile) -> Iterator[tuple[NDArray[np.int64], Table]]:
    """Yield row groups as numbers; refuse one that is larger than any that is written."""
    for index in range(file.num_row_groups):
        size = file.metadata.row_group(index)
        if not (0 <= size.num_rows <= _GROUP_ROWS and 0 <= size.total_byte_size <= 4 * _GROUP_BYTES):
            raise TraceError(f"row group {index} is larger than {_GROUP_ROWS} rows or 1 GiB", path)
        group = file.read_row_group(index, use_threads=False)
        if any(column.null_count for column in group.columns):
            raise TraceError(f"row group {index} has empty values", path)
        values = np.empty((len(COLUMNS), len(group)), np.uint32)
        for row, (name, _) in enumerate(COLUMNS):
            values[row] = group.column(name).to_numpy()
        rest, starts = _rest(path, group.column("rest").combine_chunks())
        yield group.column("time").to_numpy(), Table(values, rest, starts)


def _rest(path: Path, array: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes and the starts of a binary column that was read by dictionary."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.unify_dictionaries().chunks)
    words, word_starts = _binary(array.dictionary)
    numbers = array.indices.to_numpy()
    sizes = np.diff(word_starts)[numbers]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    # A few bytes of file can repeat one long word a million times.
    if starts[-1] > 4 * _GROUP_BYTES or sizes.max(initial=0) > _PACKET_LIMIT:
        raise TraceError("column rest holds more bytes than packets can have", path)
    place = np.repeat(word_starts[:-1][numbers] - starts[:-1], sizes) + np.arange(starts[-1])
    return words[place], starts


def _binary(array: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    _, places, content = array.buffers()
    starts = np.frombuffer(places, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    held = np.frombuffer(content, np.uint8) if content is not None else np.zeros(0, np.uint8)
    return held, starts


def _slice(table: Table, first: int, last: int) -> Table:
    starts = table.starts[first : last + 1]
    rest = table.rest[starts[0] : starts[-1]]
    return Table(table.values[:, first:last], rest, starts - starts[0])


def _join(one: Table, other: Table) -> Table:
    return Table(
        np.concatenate([one.values, other.values], axis=1),
        np.concatenate([one.rest, other.rest]),
        np.concatenate([one.starts, other.starts[1:] + one.starts[-1]]),
    )
