"""Corpora that come with the repository, or in a folder of that form: a manifest and compact trace files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.corpora.link import network_of
from benchmark.corpora.manifest import Entry, Manifest, file_digest, read_manifest, trace_digest
from benchmark.corpora.soundness import fault_of
from benchmark.corpus import SPLITS, Corpus
from benchmark.errors import ConfigError, CorpusError, TraceError, nearest
from benchmark.storage.compact import iterate_traces
from benchmark.trace import NANOSECONDS, Trace

OPTIONS = ("name", "loader", "path", "limit")


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load a corpus, checking every file and every trace against the manifest's digests.

    options: name; path, the corpus's folder (absolute, or relative to ``root``; default ``datasets/NAME``);
    limit, the most traces of each split (the first ones; default all). root: the repository.
    Raises CorpusError at the first thing that isn't as the manifest says, ConfigError for a bad option. Files that
    hold chosen traces are read through, one trace in memory beside the chosen ones.
    """
    folder, manifest, limit = _open(options, root)
    for split in SPLITS:
        if not any(entry.split == split for entry in manifest.traces):
            raise CorpusError(f"{folder / 'manifest.json'}: the {split} split has no trace")
    _refuse_strays(folder, manifest)
    chosen = _chosen(manifest, limit)
    wanted = {(entry.file, entry.name) for entry in chosen}
    files = {entry.file for entry in chosen} if limit else set(manifest.files)
    found = {name: _read_file(folder, manifest, name, wanted) for name in sorted(files)}
    splits: dict[str, list[Trace]] = {split: [] for split in SPLITS}
    for entry in chosen:
        splits[entry.split].append(found[entry.file][entry.name])
    return Corpus(
        name=str(options.get("name") or manifest.name),
        digest=_digest(manifest, limit),
        window=manifest.window,
        ladder=manifest.ladder,
        client=manifest.client,
        unscored=dict(manifest.unscored),
        notes={"version": manifest.version, "label_rule": manifest.label_rule, **manifest.notes},
        **splits,
    )


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have, by its manifest alone; raises as ``load`` does."""
    _, manifest, limit = _open(options, root)
    return _digest(manifest, limit)


def _open(options: Mapping[str, Any], root: Path) -> tuple[Path, Manifest, int | None]:
    """Check the options; return the corpus's folder, its manifest and the limit."""
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"dataset.{name} is not an option of embedded{nearest(str(name), OPTIONS)}")
    limit = options.get("limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ConfigError(f"dataset.limit must be a whole number above 0 or null, not {limit!r}")
    folder = root / (options.get("path") or Path("datasets") / str(options.get("name")))
    if not folder.is_dir():
        known = [path.parent.name for path in (root / "datasets").glob("*/manifest.json")]
        raise CorpusError(f"{folder}: there is no such corpus{nearest(folder.name, known)}")
    return folder, read_manifest(folder / "manifest.json"), limit


def _digest(manifest: Manifest, limit: int | None) -> str:
    whole = manifest.digest()
    return whole if limit is None else hashlib.sha256(f"{whole} {limit}".encode()).hexdigest()


def _chosen(manifest: Manifest, limit: int | None) -> list[Entry]:
    """Return the entries in the manifest's order, at most ``limit`` of each split."""
    chosen: list[Entry] = []
    for split in SPLITS:
        chosen += [entry for entry in manifest.traces if entry.split == split][:limit]
    return chosen


def _refuse_strays(folder: Path, manifest: Manifest) -> None:
    """Refuse traces beside those of the manifest: half a corpus would load as if it were the whole."""
    for path in sorted(folder.glob("[!.]*.parquet")):
        if path.name not in manifest.files:
            raise CorpusError(f"{path}: the file isn't in the manifest")


def _read_file(folder: Path, manifest: Manifest, name: str, wanted: set[tuple[str, str]]) -> dict[str, Trace]:
    """Read and check a file's traces, all of them; return those that are wanted, by name."""
    path = folder / name
    if not path.is_file():
        raise CorpusError(f"{path}: the file is missing")
    if file_digest(path) != manifest.files[name]:
        size = path.stat().st_size
        raise CorpusError(f"{path}: the file ({size} bytes) isn't the one whose SHA-256 the manifest has")
    listed = {entry.name: entry for entry in manifest.traces if entry.file == name}
    if not listed:
        return {}
    seen: set[str] = set()
    traces: dict[str, Trace] = {}
    try:
        for trace in iterate_traces(path):
            if trace.name not in listed:
                raise CorpusError(f"{path}: trace '{trace.name}' isn't in the manifest")
            if trace.name in seen:
                raise CorpusError(f"{path}: trace '{trace.name}' stands twice in the file")
            seen.add(trace.name)
            _check(f"{path}: trace '{trace.name}'", manifest, listed[trace.name], trace)
            if (name, trace.name) in wanted:
                traces[trace.name] = replace(trace, condition=replace(trace.condition, network=network_of(trace)))
    except TraceError as error:
        raise CorpusError(str(error)) from error
    for missing in listed:
        if missing not in seen:
            raise CorpusError(f"{path}: trace '{missing}' is in the manifest but not in the file")
    return traces


def _check(where: str, manifest: Manifest, entry: Entry, trace: Trace) -> None:
    """Raise CorpusError that says what of a trace isn't as the manifest has it, or can't be right at all."""
    reason = fault_of(trace, manifest.window, manifest.ladder, manifest.unscored)
    if reason:
        raise CorpusError(f"{where} {reason}")
    application = trace.condition.application
    if application != entry.application:
        raise CorpusError(f"{where} has the application '{application}', not the manifest's '{entry.application}'")
    if trace.client != manifest.client:
        raise CorpusError(f"{where} has the client '{trace.client}', not the manifest's '{manifest.client}'")
    if len(trace.packets) != entry.packets:
        raise CorpusError(f"{where} has {len(trace.packets)} packets, not the manifest's {entry.packets}")
    duration = float(trace.packets.ts[-1] - trace.packets.ts[0]) / NANOSECONDS
    if abs(duration - entry.duration) > 1e-5:
        raise CorpusError(f"{where} lasts {duration:.6f} s, not the manifest's duration of {entry.duration} s")
    if trace_digest(trace) != entry.digest:
        raise CorpusError(f"{where} isn't the one whose digest the manifest has")
