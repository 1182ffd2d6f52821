"""Traces from wherever a user has them: a capture, a folder of captures, a Parquet file, a corpus folder."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.capture.pcap import read_packets
from benchmark.corpora.label_table import MAXIMUM_WINDOWS
from benchmark.errors import CorpusError
from benchmark.storage.compact import read_traces
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace

CAPTURES = (".pcap", ".pcapng", ".cap")
# Captures bring no labels; their windows are as long as the streaming corpus's.
WINDOW = 10.0


def read_source(
    path: Path, limit: int | None = None, keep_readable: bool = False
) -> tuple[list[Trace], tuple[int, ...]]:
    """Read the traces at ``path`` and the ladder that their rungs count in, if any.

    limit: the most traces to read. Raises CorpusError where nothing readable is there, TraceError for a bad file.
    """
    if path.is_dir() and (path / "manifest.json").is_file():
        manifest = json.loads((path / "manifest.json").read_text())
        files = sorted({str(entry["file"]) for entry in manifest["traces"]})
        traces = [trace for name in files for trace in read_traces(path / Path(name).name)]
        return traces[:limit], tuple(manifest.get("ladder", ()))
    if path.is_dir():
        files = sorted(str(file) for file in path.rglob("*") if file.suffix in (*CAPTURES, ".parquet"))[:limit]
        if not files:
            raise CorpusError(f"{path}: no captures ({', '.join(CAPTURES)}) or Parquet files in this folder")
        return [trace for name in files for trace in _read_file(Path(name), keep_readable)][:limit], ()
    if not path.exists():
        raise CorpusError(f"{path}: no such file or folder")
    return _read_file(path, keep_readable)[:limit], ()


def _read_file(path: Path, keep_readable: bool) -> list[Trace]:
    if path.suffix == ".parquet":
        return read_traces(path)
    packets = read_packets(path, keep_readable=keep_readable)
    duration = float(packets.ts[-1]) / NANOSECONDS if len(packets) else 0.0
    # A capture with a wild clock would ask for windows without end; the metrics look at what these cover.
    windows = min(int(duration // WINDOW) + 1, MAXIMUM_WINDOWS)
    condition = Condition("unknown", duration, WINDOW, Labels.unknown(windows))
    return [Trace(path.stem, packets, condition)]
