"""Corpora that come with the repository, or in a folder of that form: a manifest and compact trace files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.corpora.manifest import Entry, Manifest, file_digest, read_manifest, trace_digest
from benchmark.corpus import SPLITS, Corpus
from benchmark.errors import ConfigError, CorpusError, TraceError, nearest
from benchmark.storage.compact import read_traces
from benchmark.trace import Trace

OPTIONS = ("name", "loader", "path", "limit")


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load a corpus, checking every file and every trace against the manifest's digests.

    options: name; path, the corpus's folder (absolute, or relative to ``root``; default ``datasets/NAME``);
    limit, the most traces of each split (the first ones; default all). root: the repository.
    Raises CorpusError at the first thing that isn't as the manifest says, ConfigError for a bad option.
    """
    folder, manifest, limit = _open(options, root)
    chosen = _chosen(manifest, limit)
    found = _read_files(folder, manifest, {entry.file for entry in chosen})
    splits: dict[str, list[Trace]] = {split: [] for split in SPLITS}
    for entry in chosen:
        splits[entry.split].append(_checked(folder, manifest, entry, found.get((entry.file, entry.name))))
    if not splits["train"]:
        raise CorpusError(f"{folder}: no trace is in the training split")
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


def _read_files(folder: Path, manifest: Manifest, names: set[str]) -> dict[tuple[str, str], Trace]:
    """Read the files and return their traces by file and name."""
    listed = {(entry.file, entry.name) for entry in manifest.traces}
    traces: dict[tuple[str, str], Trace] = {}
    for name in sorted(names):
        path = folder / name
        if name not in manifest.files:
            raise CorpusError(f"{folder / 'manifest.json'}: file {name} has traces but no digest")
        if not path.is_file():
            raise CorpusError(f"{path}: the file is missing")
        if file_digest(path) != manifest.files[name]:
            raise CorpusError(f"{path}: the file isn't the one whose SHA-256 the manifest has")
        try:
            read = read_traces(path)
        except TraceError as error:
            raise CorpusError(str(error)) from error
        for trace in read:
            if (name, trace.name) not in listed:
                raise CorpusError(f"{path}: trace '{trace.name}' isn't in the manifest")
            traces[name, trace.name] = trace
    return traces


def _checked(folder: Path, manifest: Manifest, entry: Entry, trace: Trace | None) -> Trace:
    """Return the trace, or say what of it isn't as the manifest has it."""
    where = f"{folder / entry.file}: trace '{entry.name}'"
    if trace is None:
        raise CorpusError(f"{where} is in the manifest but not in the file")
    labels = trace.labels
    if len(trace.packets) == 0:
        raise CorpusError(f"{where} has labels but no packets")
    if not ((labels.rung >= 0).any() or (labels.height > 0).any() or np.isfinite(labels.fps).any()):
        raise CorpusError(f"{where} has packets but no labels")
    if trace.condition.window != manifest.window:
        raise CorpusError(f"{where} has windows of {trace.condition.window} s, not {manifest.window} s")
    if len(labels) != round(trace.condition.duration / manifest.window):
        raise CorpusError(f"{where} has labels for {len(labels)} windows, which isn't its duration")
    if labels.rung.max(initial=-1) >= max(len(manifest.ladder), 1):
        raise CorpusError(f"{where} has a rung beyond the ladder")
    if trace.condition.application != entry.application or trace.client != manifest.client:
        raise CorpusError(f"{where} has another application or client than in the manifest")
    if len(trace.packets) != entry.packets or trace_digest(trace) != entry.digest:
        raise CorpusError(f"{where} isn't the one whose digest the manifest has")
    return trace
