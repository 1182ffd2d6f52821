"""The folder behind a corpus of captures: its options, its files, its labels, its digest."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.corpora.label_table import FileLabels, read_label_tables
from benchmark.errors import ConfigError, CorpusError, nearest

CAPTURES = (".pcap", ".pcapng", ".cap")


@dataclass(frozen=True)
class Settings:
    """Options of the dataset; path is absolute or relative to the repository.

    labels, windows: names of the tables in the folder; windows.csv is read where it exists.
    window: seconds. client: prefix of the client's addresses, or empty. ladder: heights of the rungs.
    duration: most seconds of a trace. limit: most packets of a trace. minimum: a capture of fewer packets is
    left out. snaplen: bytes kept of each packet from the IP header on; null keeps all.
    keep_readable: keep what a damaged capture holds before its fault, where it would be refused.
    """

    path: str
    name: str = "pcaps"
    loader: str = "pcaps"
    labels: str = "labels.csv"
    windows: str = "windows.csv"
    window: float = 10.0
    client: str = ""
    ladder: tuple[int, ...] = ()
    duration: float | None = None
    limit: int | None = None
    minimum: int = 20
    snaplen: int | None = 128
    keep_readable: bool = False


@dataclass(frozen=True)
class CaptureFolder:
    """The captures found, by their path within the folder, and what is said of each."""

    path: Path
    labels: dict[str, FileLabels]
    digest: str


def read_settings(options: Mapping[str, Any]) -> Settings:
    """Check the options' names, types and ranges."""
    known = list(Settings.__dataclass_fields__)
    for name in options:
        if name not in known:
            raise ConfigError(f"dataset.{name} is not an option of pcaps{nearest(str(name), known)}")
    given = dict(options)
    for name in ("path", "name", "loader", "labels", "windows", "client"):
        if not isinstance(given.get(name, ""), str):
            raise ConfigError(f"dataset.{name} must be text, not {given[name]!r}")
    if not given.get("path"):
        raise ConfigError("dataset.path is missing: the folder of captures")
    for name, kind, optional in (
        ("window", float, False),
        ("duration", float, True),
        ("limit", int, True),
        ("minimum", int, False),
        ("snaplen", int, True),
    ):
        value = given.get(name, 1)
        if value is None and optional:
            continue
        fits = isinstance(value, kind | int) and not isinstance(value, bool)
        if not fits or not 0 < value < math.inf:
            what = "whole number" if kind is int else "number"
            raise ConfigError(f"dataset.{name} must be a {what} above 0{' or null' * optional}, not {value!r}")
    if not isinstance(given.get("keep_readable", False), bool):
        raise ConfigError(f"dataset.keep_readable must be true or false, not {given['keep_readable']!r}")
    ladder = given.get("ladder") or ()
    if not isinstance(ladder, list | tuple) or any(type(height) is not int for height in ladder):
        raise ConfigError(f"dataset.ladder must be a list of heights, not {ladder!r}")
    try:
        if given.get("client"):
            ipaddress.ip_network(given["client"], strict=False)
    except ValueError as error:
        raise ConfigError(f"dataset.client must be a prefix like 10.0.0.0/8: {error}") from error
    return Settings(**{**given, "ladder": tuple(ladder)})


def open_folder(settings: Settings, root: Path) -> CaptureFolder:
    """Find the captures and their labels, and check that they are each other's."""
    path = root / Path(settings.path).expanduser()
    if not path.is_dir():
        raise CorpusError(f"{path}: there is no such folder")
    names = _captures(path)
    if not names:
        raise CorpusError(f"{path}: no captures ({', '.join(CAPTURES)}) in this folder")
    tables = [_inside(path, settings.labels), _inside(path, settings.windows)]
    said = read_label_tables(tables[0], tables[1] if tables[1].is_file() else None)
    for name, entry in said.items():
        if name not in names:
            _inside(path, name, f"{entry.where}: ")
            raise CorpusError(f"{entry.where}: there is no capture '{name}'{nearest(name, names)}")
        if max(entry.rungs(), default=-1) >= (len(settings.ladder) or math.inf):
            raise CorpusError(f"{entry.where}: '{name}' has a rung beyond the ladder of {len(settings.ladder)}")
    if tables[0].is_file():
        for name in names:
            if name not in said or not said[name].application:
                raise CorpusError(f"{path / name}: the capture has no application in {tables[0].name}")
    else:
        said = {name: _named_by_folder(path, name, said.get(name), tables[0].name) for name in names}
    facts = [(name, _file_digest(path / name)) for name in names]
    facts += [(table.name, _file_digest(table)) for table in tables if table.is_file()]
    kept = {name: value for name, value in vars(settings).items() if name not in ("path", "name", "loader")}
    whole = hashlib.sha256(json.dumps([facts, kept], sort_keys=True).encode()).hexdigest()
    return CaptureFolder(path, {name: said[name] for name in names}, whole)


def _captures(folder: Path) -> list[str]:
    """Paths of the captures within the folder, sorted; hidden files are none."""
    names = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.suffix in CAPTURES and path.is_file() and not any(part.startswith(".") for part in name.parts):
            _inside(folder, name.as_posix())
            names.append(name.as_posix())
    return sorted(names)


def _inside(folder: Path, name: str, where: str = "") -> Path:
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


def _file_digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorpusError(f"{path}: can't be read: {error.strerror}") from error
