"""The manifest of a corpus: which traces stand in which file and split, with digests of both."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.corpus import SPLITS
from benchmark.errors import CorpusError
from benchmark.storage.description import describe
from benchmark.trace import Trace


@dataclass(frozen=True)
class Entry:
    """One trace of a corpus.

    file: the file in the corpus's folder that holds it. digest: of its content, see ``trace_digest``.
    duration: seconds from its first to its last packet. session: the captured session that it was cut from.
    """

    name: str
    file: str
    packets: int
    digest: str
    split: str
    application: str
    duration: float
    session: str


@dataclass(frozen=True)
class Manifest:
    """What a corpus's ``manifest.json`` holds.

    version: of the corpus. label_rule: of the rule that made its labels. window: seconds. ladder: heights of
    the rungs, lowest first. client: the prefix of the client's addresses. files: SHA-256 of each file.
    unscored: downstream tasks that the corpus can't support, with the reason. notes: how it was made.
    """

    name: str
    version: int
    label_rule: int
    window: float
    client: str
    files: Mapping[str, str]
    traces: tuple[Entry, ...]
    ladder: tuple[int, ...] = ()
    unscored: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """Identify the content: traces, splits, windows and ladder, whatever files hold them."""
        content = {
            "traces": [[entry.name, entry.digest, entry.split] for entry in self.traces],
            "window": self.window,
            "ladder": list(self.ladder),
            "client": self.client,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def trace_digest(trace: Trace) -> str:
    """Return the SHA-256 of a trace's content: times, lengths, bytes, and its description as sorted JSON."""
    packets = trace.packets
    digest = hashlib.sha256(json.dumps(describe(trace), sort_keys=True).encode())
    digest.update(np.ascontiguousarray(packets.ts, "<i8").tobytes())
    digest.update(np.ascontiguousarray(packets.length, "<i4").tobytes())
    digest.update(np.ascontiguousarray(packets.captured, "<i8").tobytes())
    digest.update(packets.data[packets.offsets[0] : packets.offsets[-1]].tobytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest as JSON, aside and then renamed; one line for each trace."""
    content = asdict(manifest)
    traces = content.pop("traces")
    text = json.dumps(content, indent=1)
    lines = ",\n  ".join(json.dumps(entry) for entry in traces)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(f'{text[:-2]},\n "traces": [\n  {lines}\n ]\n}}\n', encoding="utf-8")
    os.replace(aside, path)


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest; raise CorpusError that names the file and the field at fault."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: the corpus has no manifest") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: not a JSON object")
    listed = _field(path, content, "traces", list)
    entries = tuple(_entry(path, number, given) for number, given in enumerate(listed))
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CorpusError(f"{path}: trace '{twice}' stands twice")
    ladder = _field(path, content, "ladder", list)
    files = _field(path, content, "files", dict)
    if not all(type(height) is int and height > 0 for height in ladder):
        raise CorpusError(f"{path}: field ladder must list heights")
    for name, digest in files.items():
        if Path(name).name != name or not isinstance(digest, str):
            raise CorpusError(f"{path}: field files must map names within the folder to SHA-256 digests")
    window = float(_field(path, content, "window", (int, float)))
    if not 0 < window < float("inf"):
        raise CorpusError(f"{path}: field window must be above 0")
    return Manifest(
        name=_field(path, content, "name", str),
        version=_field(path, content, "version", int),
        label_rule=_field(path, content, "label_rule", int),
        window=window,
        client=_field(path, content, "client", str),
        files=files,
        traces=entries,
        ladder=tuple(ladder),
        unscored=_field(path, content, "unscored", dict),
        notes=_field(path, content, "notes", dict),
    )


def _entry(path: Path, number: int, given: Any) -> Entry:
    if not isinstance(given, dict):
        raise CorpusError(f"{path}: trace {number} isn't an object")
    kinds: dict[str, Any] = {
        "name": str,
        "file": str,
        "packets": int,
        "digest": str,
        "split": str,
        "application": str,
        "duration": (int, float),
        "session": str,
    }
    entry = Entry(**{name: _field(path, given, name, kind, f"trace {number}: ") for name, kind in kinds.items()})
    if entry.split not in SPLITS:
        raise CorpusError(f"{path}: trace '{entry.name}' is in split '{entry.split}', not {', '.join(SPLITS)}")
    return entry


def _field(path: Path, content: Mapping[str, Any], name: str, kind: Any, where: str = "") -> Any:
    value = content.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CorpusError(f"{path}: {where}field {name} is missing or of the wrong type")
    return value
