"""Traces from wherever a user has them: a capture, a folder, a Parquet file, a corpus, a cell of results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.capture.pcap import read_packets
from benchmark.corpora import embedded
from benchmark.corpora.label_table import MAXIMUM_WINDOWS
from benchmark.corpora.manifest import read_manifest
from benchmark.errors import CorpusError, nearest
from benchmark.storage.compact import read_traces
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace

CAPTURES = (".pcap", ".pcapng", ".cap")
# Captures bring no labels; their windows are as long as the streaming corpus's.
WINDOW = 10.0
_MANIFEST = "manifest.json"
_RECORD_LIMIT = 1 << 26


@dataclass(frozen=True, eq=False)
class Found:
    """A trace, where it was found, the ladder that its rungs count in (if known) and how many lay beside it."""

    trace: Trace
    where: str
    ladder: tuple[int, ...]
    count: int


def find_trace(text: str, root: Path, name: str | None = None, keep_readable: bool = False) -> Found:
    """Find one trace by what a user calls it.

    text: a capture, a Parquet file of traces, a folder of either, a corpus (its folder, or its name below
    ``root/datasets``) or a cell's folder; with ``:NAME`` for one of several traces. name: the same, given apart;
    without either it's the first. Raises CorpusError with the nearest name, TraceError for a bad file.
    """
    where = text
    if name is None and ":" in text and not Path(text).exists():
        where, name = text.rsplit(":", 1)
    traces, ladder = read_source(find_place(where, root), keep_readable=keep_readable)
    if not traces:
        raise CorpusError(f"{where}: there is no trace in it")
    for trace in traces:
        if name is None or trace.name == name:
            return Found(trace, where, ladder, len(traces))
    raise CorpusError(f"{where}: no trace '{name}' is in it{nearest(name or '', (trace.name for trace in traces))}")


def read_source(
    path: Path, limit: int | None = None, keep_readable: bool = False
) -> tuple[list[Trace], tuple[int, ...]]:
    """Read the traces at ``path`` and the ladder that their rungs count in, if any.

    limit: the most traces to read. A corpus is checked against its manifest. Raises CorpusError where nothing
    readable is there, TraceError for a bad file.
    """
    if path.is_dir() and (path / _MANIFEST).is_file():
        corpus = embedded.load({"path": str(path.resolve())}, path)
        return [*corpus.train, *corpus.validation, *corpus.test][:limit], corpus.ladder
    if path.is_dir() and (path / "record.json").is_file():
        return _read_cell(path, limit)
    if path.is_dir():
        files = sorted(str(file) for file in path.rglob("*") if file.suffix in (*CAPTURES, ".parquet"))[:limit]
        if not files:
            raise CorpusError(f"{path}: no captures ({', '.join(CAPTURES)}) or Parquet files in this folder")
        return [trace for name in files for trace in _read_file(Path(name), keep_readable)][:limit], ()
    if not path.exists():
        raise CorpusError(f"{path}: no such file or folder")
    return _read_file(path, keep_readable)[:limit], _ladder_beside(path)


def find_place(where: str, root: Path) -> Path:
    """Return the file or folder that is meant: a path, or the name of a corpus."""
    path = Path(where)
    if path.exists():
        return path
    corpora = [found.parent.name for found in (root / "datasets").glob(f"*/{_MANIFEST}")]
    if where in corpora:
        return root / "datasets" / where
    raise CorpusError(f"{where}: neither a file or folder nor a corpus{nearest(where, corpora)}")


def _ladder_beside(path: Path) -> tuple[int, ...]:
    """Return the ladder of the corpus that a file of traces belongs to, if it does."""
    if path.suffix != ".parquet" or not path.with_name(_MANIFEST).is_file():
        return ()
    manifest = read_manifest(path.with_name(_MANIFEST))
    return manifest.ladder if path.name in manifest.files else ()


def _read_cell(folder: Path, limit: int | None) -> tuple[list[Trace], tuple[int, ...]]:
    """Read the synthetic traces that a cell's record points at, and its corpus's ladder."""
    record, job = _read_json(folder / "record.json"), {}
    if (folder / "job.json").is_file():
        job = _read_json(folder / "job.json")
    try:
        key = str(record["stages"]["sample"]["key"])[:32]
        dataset = dict(record["config"]["dataset"])
    except (KeyError, TypeError, ValueError) as error:
        status = f"{record.get('status')}: {record.get('reason')}"
        raise CorpusError(f"{folder}: the cell has no synthetic traces ({status})") from error
    stores = [Path(str(job.get("store", ""))), folder.resolve().parents[1] / "store"]
    files = [store / "sample" / Path(key).name / "traces.parquet" for store in stores]
    for file in files:
        if file.is_file():
            return read_traces(file)[:limit], _ladder_of(dataset, Path(str(job.get("root", "."))))
    raise CorpusError(f"{folder}: the cell's synthetic traces aren't in the store any more ({files[-1]})")


def _ladder_of(dataset: dict[str, Any], root: Path) -> tuple[int, ...]:
    given = dataset.get("ladder")
    if isinstance(given, list) and all(type(height) is int for height in given):
        return tuple(given)
    path = root / (dataset.get("path") or Path("datasets") / str(dataset.get("name"))) / _MANIFEST
    return read_manifest(path).ladder if path.is_file() else ()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(_RECORD_LIMIT))
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: not a JSON object")
    return content


def _read_file(path: Path, keep_readable: bool) -> list[Trace]:
    if path.suffix == ".parquet":
        return read_traces(path)
    packets = read_packets(path, keep_readable=keep_readable)
    duration = float(packets.ts[-1]) / NANOSECONDS if len(packets) else 0.0
    # A capture with a wild clock would ask for windows without end; the metrics look at what these cover.
    windows = min(int(duration // WINDOW) + 1, MAXIMUM_WINDOWS)
    condition = Condition("unknown", duration, WINDOW, Labels.unknown(windows))
    return [Trace(path.stem, packets, condition)]
