"""The board as data: Parquet and JSON of every record, and the table in Markdown, the same bytes for the same records.

``records.parquet``: a row a cell and metric. ``records.json``: every record less its values by trace and its traceback.
``board.json``: arenas, rows, ranks and reasons. ``table.md``: the table. ``data/cells/CELL.json``: a record, whole.
``data/arenas/SLUG/``: ``cells.parquet`` (a row a cell), ``traces.parquet`` (a row a cell, metric and test trace). A
file below ``data/`` changes only where a record that it is made of does, or its row's standing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.record import Record
from leaderboard.board import Arena, Board, Row
from leaderboard.records import state_of
from leaderboard.table import render

AXES = ("generator", "tokenization", "context", "conditioning", "probe", "router", "dataset", "budget")
# Nothing of when or where a file was written is in it.
_PARQUET: dict[str, Any] = {"compression": "zstd", "version": "2.6"}
_WORD = pa.dictionary(pa.int32(), pa.string())
SCORES = pa.schema(
    [("arena", _WORD), ("row", _WORD), ("cell", _WORD), ("method", _WORD), ("seed", pa.int64()),
     *((axis, _WORD) for axis in AXES), ("metric", _WORD), ("value", pa.float64()), ("low", pa.float64()),
     ("high", pa.float64()), ("real", pa.float64()), ("reason", pa.string())]
)  # fmt: skip
TRACES = pa.schema([("cell", _WORD), ("metric", _WORD), ("trace", _WORD), ("value", pa.float64())])
CELLS = pa.schema(
    [("cell", pa.string()), ("row", pa.string()), ("method", pa.string()), ("seed", pa.int64()),
     *((axis, pa.string()) for axis in AXES), ("status", pa.string()), ("reason", pa.string()),
     ("started", pa.string()), ("ended", pa.string()), ("ranked", pa.bool_()), ("unranked_reason", pa.string()),
     ("code", pa.string()), ("corpus", pa.string()), ("machine", pa.string()), ("config", pa.string()),
     ("metric_versions", pa.string())]
)  # fmt: skip


def write_data(board: Board, folder: Path) -> None:
    """Write all of it below ``folder``."""
    cells = folder / "data" / "cells"
    cells.mkdir(parents=True)
    for record in board.records:
        (cells / f"{record.cell}.json").write_bytes(record_bytes(record))
    for arena in board.arenas:
        own = folder / "data" / "arenas" / arena.slug
        own.mkdir(parents=True)
        pq.write_table(_traces(arena), own / "traces.parquet", **_PARQUET)
        _write_table(own / "cells.parquet", CELLS, _cells(arena))
    index = {"arenas": [arena_facts(arena) for arena in board.arenas], "left_out": list(board.faults)}
    (folder / "board.json").write_bytes(_json(index))
    _write_table(folder / "records.parquet", SCORES, _scores(board.arenas))
    lines = b",\n".join(map(_light_bytes, sorted(board.records, key=lambda record: record.cell)))
    (folder / "records.json").write_bytes(b"[" + lines + b"]\n")
    (folder / "table.md").write_text(_page(board), encoding="utf-8")


def record_bytes(record: Record) -> bytes:
    """A record as compact JSON, keys sorted."""
    return json.dumps(record.__dict__, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _light_bytes(record: Record) -> bytes:
    light = {name: value for name, value in record.__dict__.items() if name not in ("per_trace", "traceback")}
    return json.dumps(light, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def arena_facts(arena: Arena) -> dict[str, Any]:
    """Everything of an arena but its records: what a page or a script needs to show the table."""
    return {
        "slug": arena.slug, "title": arena.title, "dataset": arena.dataset, "budget": arena.budget,
        "corpus_digest": arena.digest, "metric_versions": dict(arena.versions), "current": arena.current,
        "apart": [{"slug": other.slug, "why": other.sentence} for other in arena.apart],
        "figures": [
            {"metric": figure.metric, "heading": figure.heading, "meaning": figure.meaning,
             "direction": figure.direction, "of_record": figure.of_record}
            for figure in arena.figures
        ],
        "floors": {figure.metric: arena.floors.get(figure.metric) for figure in arena.figures},
        "resolvable": dict(arena.resolvable),
        "rows": [_row_facts(row) for row in arena.rows],
    }  # fmt: skip


def _row_facts(row: Row) -> dict[str, Any]:
    return {
        "name": row.name, "slug": row.slug, "part": row.part, "axes": dict(row.axes), "states": list(row.states),
        "cells": {record.cell: record.seed for record in row.records}, "ranked": row.ranked,
        "unranked_reason": row.unranked_reason, "verified": row.verified, "notes": list(row.notes),
        "intervals": {metric: list(interval) for metric, interval in row.intervals.items()},
        "ranks": {metric: list(rank) for metric, rank in row.ranks.items()},
        "imputed": row.imputed, "imputed_by_metric": dict(row.imputed_by_metric),
    }  # fmt: skip


def _pairs(arena: Arena) -> list[tuple[Row, Record]]:
    pairs = [(row, record) for row in arena.rows for record in row.records]
    return sorted(pairs, key=lambda pair: pair[1].cell)


def _scores(arenas: Iterable[Arena]) -> Iterable[Sequence[Any]]:
    for arena in arenas:
        for row, record in _pairs(arena):
            axes = [record.choices.get(axis) for axis in AXES]
            for metric in sorted(record.scores):
                score = record.scores[metric]
                low, high = score["interval"] or (None, None)
                found = (score["value"], low, high, record.floors.get(metric), score["reason"])
                yield (arena.slug, row.slug, record.cell, record.method, record.seed, *axes, metric, *found)


def _traces(arena: Arena) -> pa.Table:
    """Values by trace, by cell, metric and trace; names are coded as they come, since there may be millions of rows."""
    codes: list[dict[str, int]] = [{}, {}, {}]
    known: dict[tuple[str, ...], NDArray[np.int32]] = {}
    columns: list[list[NDArray[Any]]] = [[np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]]
    numbers: list[NDArray[np.float64]] = [np.zeros(0)]
    for _, record in _pairs(arena):
        for metric, values in sorted(record.per_trace.items()):
            names = tuple(sorted(values))
            if names not in known:
                known[names] = np.array([codes[2].setdefault(name, len(codes[2])) for name in names], np.int32)
            for column, code, name in zip(columns, codes, (record.cell, metric), strict=False):
                column.append(np.full(len(names), code.setdefault(name, len(code)), np.int32))
            columns[2].append(known[names])
            numbers.append(np.array([values[name] for name in names], np.float64))
    words = [
        pa.DictionaryArray.from_arrays(np.concatenate(column), pa.array(list(code), pa.string()))
        for column, code in zip(columns, codes, strict=True)
    ]
    return pa.Table.from_arrays([*words, pa.array(np.concatenate(numbers))], schema=TRACES)


def _cells(arena: Arena) -> Iterable[Sequence[Any]]:
    for row, record in _pairs(arena):
        yield (
            record.cell, row.slug, record.method, record.seed, *(record.choices.get(axis) for axis in AXES),
            state_of(record), record.reason, record.started, record.ended, row.ranked, row.unranked_reason,
            *(_text(facts) for facts in (record.code, record.corpus, record.machine, record.config)),
            _text(record.metric_versions),
        )  # fmt: skip


def _write_table(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as Parquet."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, **_PARQUET)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    if pa.types.is_floating(kind):
        return pa.array([None if value is None else float(value) for value in values], kind)
    return pa.array(values, kind)


def _page(board: Board) -> str:
    left_out = ["", "Left out:", "", *(f"- {fault}" for fault in board.faults)] if board.faults else []
    return "\n".join(["# Leaderboard", "", render(board, "github"), *left_out]) + "\n"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
