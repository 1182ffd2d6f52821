"""The manifest of a corpus: which traces stand in which file and split, with digests of both."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.corpus import SPLITS
from benchmark.errors import CorpusError, nearest
from benchmark.storage.description import describe
from benchmark.trace import Trace

FORMAT = 1
TASKS = ("rung", "height", "startup", "stall", "fps", "bitrate")
# A manifest of unknown origin is read whole; that of 100,000 traces is smaller.
_SIZE_LIMIT = 1 << 26
_SHA256 = re.compile("[0-9a-f]{64}")
_ENTRY_KINDS: Mapping[str, Any] = {
    "name": str,
    "file": str,
    "packets": int,
    "digest": str,
    "split": str,
    "application": str,
    "duration": (int, float),
    "session": str,
}


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
    format: of the manifest itself; 1 where it isn't given.
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
    format: int = FORMAT

    def digest(self) -> str:
        """Identify the content: what ``traces_digest`` does, and the unscored tasks."""
        return _json_digest({**self._content(), "unscored": dict(self.unscored)})

    def traces_digest(self) -> str:
        """Identify traces, splits, windows and ladder, whatever files hold them."""
        return _json_digest(self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "traces": [[entry.name, entry.digest, entry.split] for entry in self.traces],
            "window": self.window,
            "ladder": list(self.ladder),
            "client": self.client,
        }


def _json_digest(content: Mapping[str, Any]) -> str:
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
    content = _read_json(path)
    version = content.get("format", FORMAT)
    if type(version) is not int or version < 1:
        raise CorpusError(f"{path}: field format must be a whole number above 0, not {version!r:.40}")
    if version > FORMAT:
        raise CorpusError(f"{path}: format {version} is newer than this TraceArena reads ({FORMAT}); update it")
    _refuse_unknown(path, content, [field.name for field in fields(Manifest)])
    manifest = Manifest(
        name=_field(path, content, "name", str),
        version=_field(path, content, "version", int),
        label_rule=_field(path, content, "label_rule", int),
        window=_number(path, content, "window"),
        client=_field(path, content, "client", str),
        files=_field(path, content, "files", dict),
        traces=tuple(_entry(path, place, given) for place, given in enumerate(_field(path, content, "traces", list))),
        ladder=tuple(_field(path, content, "ladder", list)),
        unscored=_field(path, content, "unscored", dict),
        notes=_field(path, content, "notes", dict),
        format=version,
    )
    _check_settings(path, manifest)
    _check_files(path, manifest)
    _check_splits(path, manifest.traces)
    return manifest


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            text = stream.read(_SIZE_LIMIT + 1)
        if len(text) > _SIZE_LIMIT:
            raise CorpusError(f"{path}: larger than {_SIZE_LIMIT >> 20} MiB, which no manifest is")
        content = json.loads(text.decode("utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: the corpus has no manifest") from error
    except CorpusError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: not a JSON object")
    return content


def _check_settings(path: Path, manifest: Manifest) -> None:
    """Check the fields that hold for all traces."""
    ladder = manifest.ladder
    if not all(type(height) is int and 0 < height < 1 << 15 for height in ladder) or len(ladder) > 127:
        raise CorpusError(f"{path}: field ladder must list heights")
    if list(ladder) != sorted(set(ladder)):
        raise CorpusError(f"{path}: field ladder must list each height once, the lowest first")
    if not 0 < manifest.window < float("inf"):
        raise CorpusError(f"{path}: field window must be above 0")
    try:
        ipaddress.ip_network(manifest.client or "::", strict=False)
    except ValueError as error:
        raise CorpusError(f"{path}: field client isn't a prefix of addresses ({error})") from error
    for task, reason in manifest.unscored.items():
        if task not in TASKS:
            raise CorpusError(f"{path}: field unscored names the unknown task '{task}'{nearest(task, TASKS)}")
        if not isinstance(reason, str):
            raise CorpusError(f"{path}: field unscored gives no reason for the task '{task}'")


def _check_files(path: Path, manifest: Manifest) -> None:
    """Check that files are named within the folder, have digests, and hold all traces."""
    for name, digest in manifest.files.items():
        if Path(name).name != name or name == ".." or "\\" in name:
            raise CorpusError(f"{path}: field files names '{name}', which isn't a file within the corpus's folder")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise CorpusError(f"{path}: field files must have the SHA-256 of '{name}' as 64 hexadecimal digits")
    for entry in manifest.traces:
        if entry.file not in manifest.files:
            raise CorpusError(f"{path}: trace '{entry.name}' is in the file '{entry.file}', which has no digest")


def _check_splits(path: Path, entries: Sequence[Entry]) -> None:
    """Check that names are given once, and that no session was cut into traces of several splits."""
    splits: dict[str, str] = {}
    sessions: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in splits:
            both = f": in the splits {splits[entry.name]} and {entry.split}"
            raise CorpusError(
                f"{path}: trace '{entry.name}' stands twice{both if entry.split != splits[entry.name] else ''}"
            )
        splits[entry.name] = entry.split
        other = sessions.setdefault(entry.session, entry) if entry.session else entry
        if other.split != entry.split:
            raise CorpusError(
                f"{path}: session '{entry.session}' is in two splits: trace '{other.name}' in {other.split},"
                f" trace '{entry.name}' in {entry.split}"
            )


def _entry(path: Path, place: int, given: Any) -> Entry:
    if not isinstance(given, dict):
        raise CorpusError(f"{path}: trace {place} isn't an object")
    name = given.get("name")
    where = f"trace '{name}': " if isinstance(name, str) else f"trace {place}: "
    _refuse_unknown(path, given, _ENTRY_KINDS, where)
    entry = Entry(**{field: _field(path, given, field, kind, where) for field, kind in _ENTRY_KINDS.items()})
    if entry.split not in SPLITS:
        raise CorpusError(f"{path}: {where}field split is '{entry.split}', not one of {', '.join(SPLITS)}")
    if entry.packets < 0:
        raise CorpusError(f"{path}: {where}field packets is below 0")
    if not 0 <= _number(path, given, "duration", where) < float("inf"):
        raise CorpusError(f"{path}: {where}field duration must be seconds from 0 on")
    if not _SHA256.fullmatch(entry.digest):
        raise CorpusError(f"{path}: {where}field digest isn't a SHA-256 of 64 hexadecimal digits")
    return entry


def _refuse_unknown(path: Path, content: Mapping[str, Any], known: Iterable[str], where: str = "") -> None:
    known = list(known)
    for name in content:
        if name not in known:
            raise CorpusError(f"{path}: {where}field {name} is unknown{nearest(name, known)}")


def _number(path: Path, content: Mapping[str, Any], name: str, where: str = "") -> float:
    try:
        return float(_field(path, content, name, (int, float), where))
    except OverflowError as error:
        raise CorpusError(f"{path}: {where}field {name} is out of range") from error


def _field(path: Path, content: Mapping[str, Any], name: str, kind: Any, where: str = "") -> Any:
    if name not in content:
        raise CorpusError(f"{path}: {where}field {name} is missing")
    value = content[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CorpusError(f"{path}: {where}field {name} is of the wrong type ({type(value).__name__})")
    return value
