"""The folder behind a corpus of captures: its options, its files, its labels, its digest."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from benchmark.corpora.label_table import FileLabels, read_label_tables
from benchmark.errors import ConfigError, CorpusError, nearest

CAPTURES = (".pcap", ".pcapng", ".cap")


@dataclass(frozen=True)
class Settings:
    """Options that every dataset of captures takes; path is absolute or relative to the repository.

    window: seconds. client: prefix of the client's addresses, or empty. duration: most seconds of a trace.
    limit: most packets of a capture. minimum: a trace of fewer packets is left out. snaplen: bytes kept of each
    packet from the IP header on; null keeps all. clock_step: a capture silent for more seconds has a wrong clock;
    null allows any. keep_readable: keep what a damaged capture holds before its fault, where it would be refused.
    """

    path: str = ""
    name: str = "pcaps"
    loader: str = "pcaps"
    window: float = 10.0
    client: str = ""
    duration: float | None = None
    limit: int | None = None
    minimum: int = 20
    snaplen: int | None = 128
    clock_step: float | None = 600.0
    keep_readable: bool = False


@dataclass(frozen=True)
class FolderSettings(Settings):
    """labels, windows: names of the tables in the folder, read where they exist. ladder: heights of the rungs."""

    labels: str = "labels.csv"
    windows: str = "windows.csv"
    ladder: tuple[int, ...] = ()


@dataclass(frozen=True)
class CaptureFolder:
    """The captures found, by their path within the folder, and what is said of each."""

    path: Path
    labels: dict[str, FileLabels]
    digest: str


S = TypeVar("S", bound=Settings)


def read_settings(options: Mapping[str, Any], kind: type[S]) -> S:
    """Check the options' names, types and ranges against the fields of ``kind``."""
    known = {entry.name: entry for entry in fields(kind)}
    for name in options:
        if name not in known:
            raise ConfigError(
                f"dataset.{name} is not an option of {known['loader'].default}{nearest(str(name), known)}"
            )
    settings = kind(**{name: _checked(known[name], value) for name, value in options.items()})
    try:
        if settings.client:
            ipaddress.ip_network(settings.client, strict=False)
    except ValueError as error:
        raise ConfigError(f"dataset.client must be a prefix like 10.0.0.0/8: {error}") from error
    return settings


def _checked(entry: Field[Any], value: Any) -> Any:
    """Return the value that a field of ``Settings`` gets, or say what is wrong with it."""
    name, kind = entry.name, str(entry.type)
    if kind == "str":
        value = "" if value is None or value == "???" else value
        choices = entry.metadata.get("choices", ())
        if not isinstance(value, str):
            raise ConfigError(f"dataset.{name} must be text, not {value!r}")
        if choices and value not in choices:
            raise ConfigError(f"dataset.{name} must be one of {', '.join(choices)}, not '{value}'")
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            raise ConfigError(f"dataset.{name} must be true or false, not {value!r}")
        return value
    if kind.startswith("tuple"):
        value = value or ()
        if not isinstance(value, list | tuple) or any(type(height) is not int for height in value):
            raise ConfigError(f"dataset.{name} must be a list of heights, not {value!r}")
        return tuple(value)
    optional = kind.endswith("| None")
    if value is None and optional:
        return None
    whole = kind.startswith("int")
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or not 0 < value < math.inf:
        what = "whole number" if whole else "number"
        raise ConfigError(f"dataset.{name} must be a {what} above 0{' or null' * optional}, not {value!r}")
    return value


def open_folder(settings: FolderSettings, root: Path) -> CaptureFolder:
    """Find the captures and their labels, and check that they are each other's."""
    if not settings.path:
        raise ConfigError("dataset.path is missing: the folder of captures")
    path = root / Path(settings.path).expanduser()
    if not path.is_dir():
        raise CorpusError(f"{path}: there is no such folder")
    names = find_files(path, CAPTURES)
    if not names:
        raise CorpusError(f"{path}: no captures ({', '.join(CAPTURES)}) in this folder")
    said, tables = read_tables(path, settings, names)
    if not (path / settings.labels).is_file():
        said = {name: _named_by_folder(path, name, said.get(name), settings.labels) for name in names}
    digests = {name: file_digest(path / name) for name in (*names, *tables)}
    for name, entry in said.items():
        if entry.sha256 and entry.sha256.lower() != digests[name]:
            raise CorpusError(f"{path / name}: its SHA-256 is {digests[name]}, not {entry.sha256}, {entry.where}")
    return CaptureFolder(path, {name: said[name] for name in names}, whole_digest(digests, settings))


def read_tables(path: Path, settings: FolderSettings, names: list[str]) -> tuple[dict[str, FileLabels], list[str]]:
    """Read the tables of labels and check them against the captures; return what they say, and their names."""
    tables = [inside(path, settings.labels), inside(path, settings.windows)]
    said = read_label_tables(tables[0], tables[1] if tables[1].is_file() else None, settings.window)
    for name, entry in said.items():
        if name not in names:
            inside(path, name, f"{entry.where}: ")
            raise CorpusError(f"{entry.where}: there is no capture '{name}'{nearest(name, names)}")
        if max(entry.rungs(), default=-1) >= (len(settings.ladder) or math.inf):
            raise CorpusError(f"{entry.where}: '{name}' has a rung beyond the ladder of {len(settings.ladder)}")
    for name in names if tables[0].is_file() else ():
        if name not in said or not said[name].application:
            raise CorpusError(f"{path / name}: the capture has no application in {tables[0].name}")
    for name in names if tables[1].is_file() else ():
        if name not in said or not said[name].windows:
            unknown = "a window that nothing is known of is a row of empty cells"
            raise CorpusError(f"{path / name}: the capture has no window in {tables[1].name}; {unknown}")
    return said, [table.name for table in tables if table.is_file()]


def find_files(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Paths of the files within the folder that end so, sorted; hidden ones are none."""
    names = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.name.endswith(endings) and path.is_file() and not any(part.startswith(".") for part in name.parts):
            inside(folder, name.as_posix())
            names.append(name.as_posix())
    return sorted(names)


def inside(folder: Path, name: str, where: str = "") -> Path:
    """Return the path of ``name`` in the folder, or refuse it where it leads out."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CorpusError(f"{where}'{name}' leads out of the folder {folder}")
    return path


def _named_by_folder(path: Path, name: str, said: FileLabels | None, table: str) -> FileLabels:
    parts = Path(name).parts
    if len(parts) < 2:
        raise CorpusError(f"{path / name}: there is no {table}, and no sub-folder to name the application")
    entry = said or FileLabels(str(path / name))
    entry.application = parts[0]
    return entry


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorpusError(f"{path}: can't be read: {error.strerror}") from error


def whole_digest(digests: Mapping[str, str], settings: Settings) -> str:
    """Digest of a corpus: of its files, by name, and of the options that shape it."""
    kept = {name: value for name, value in vars(settings).items() if name not in ("path", "name")}
    return hashlib.sha256(json.dumps([sorted(digests.items()), kept], sort_keys=True).encode()).hexdigest()
