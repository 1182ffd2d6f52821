"""A folder of results at a URL: any filesystem that fsspec knows, such as s3://bucket/results or file:///mnt/results.

Credentials and endpoints come from the environment, as each filesystem documents; no config or record holds them.
"""

from __future__ import annotations

import importlib
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.errors import ConfigError
from benchmark.harness.store import digest_of

# Filesystems whose writes appear whole or not at all; elsewhere a file is written aside, then renamed.
_WHOLE_WRITES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"}
_LOCAL = {"file", "local"}
# A record or a stage's facts; anything bigger isn't one of ours.
_MOST_BYTES = 256 * 2**20


def is_url(results: str) -> bool:
    """Tell a URL from a path."""
    return "://" in results


def work_folder(results: str) -> Path:
    """Where this machine keeps its copy of the results at a URL: ``TRACEARENA_SCRATCH``, or the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracearena"
    return Path(os.environ.get("TRACEARENA_SCRATCH") or cache) / digest_of(results.rstrip("/"))[:12]


class Remote:
    """Files below a URL, by names with slashes.

    Raises ConfigError for a URL that no installed filesystem reads. Two processes see each other's files at once, so
    listings aren't cached.
    """

    def __init__(self, url: str) -> None:
        fsspec: Any = importlib.import_module("fsspec")
        self.url = url.rstrip("/")
        local = {"auto_mkdir": True} if url.split("://")[0] in _LOCAL else {}
        try:
            self.files, self.base = fsspec.url_to_fs(self.url, use_listings_cache=False, **local)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"results={url}: {error}") from None
        protocol = self.files.protocol
        self.protocols = {protocol} if isinstance(protocol, str) else set(protocol)

    def exists(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return bool(self.files.exists(self._path(name)))

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where there is no such file. Raises OSError for one that is too big."""
        try:
            content: bytes = self.files.cat_file(self._path(name), end=_MOST_BYTES)
        except FileNotFoundError:
            return None
        if len(content) >= _MOST_BYTES:
            raise OSError(f"{self.url}/{name}: over {_MOST_BYTES} bytes")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, over any of its name."""
        path = self._path(name)
        if self.protocols & _WHOLE_WRITES:
            self.files.pipe_file(path, content)
            return
        aside = self._aside(path)
        self.files.pipe_file(aside, content)
        self.files.mv(aside, path)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file if there is none of its name; return whether it was written.

        One of several writers wins on local files, S3 and Google Cloud storage. Where a filesystem has no exclusive
        create, two that come within one round trip may both be told that they won.
        """
        path = self._path(name)
        try:
            if self.protocols & _LOCAL:
                self.files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                with self.files.open(path, "xb") as file:
                    file.write(content)
            else:
                self.files.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except OSError:
            # S3 reports the lost race as a failed precondition.
            if self.exists(name):
                return False
            raise
        return True

    def names(self, folder: str) -> list[str]:
        """Names of all files in a folder and below it, relative to it; [] where there is none.

        Raises OSError for a name that leads out of it.
        """
        base = self._path(folder)
        found = []
        for path in self.files.find(base):
            name = path.removeprefix(base).lstrip("/")
            if not name or ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise OSError(f"{self.url}/{folder}: '{path}' isn't a name inside it")
            found.append(name)
        return sorted(found)

    def push(self, folder: Path, name: str, files: Iterable[str], last: str) -> None:
        """Copy files of a local folder to the folder ``name``; ``last``, which says that all is there, at the end."""
        for file in sorted(set(files) - {last}):
            path = self._path(f"{name}/{file}")
            if self.protocols & _WHOLE_WRITES:
                self.files.put_file(str(folder / file), path)
                continue
            aside = self._aside(path)
            self.files.put_file(str(folder / file), aside)
            self.files.mv(aside, path)
        self.write(f"{name}/{last}", (folder / last).read_bytes())

    def pull(self, name: str, folder: Path, last: str) -> bool:
        """Copy the folder ``name`` into a new local folder; return whether it was there, with its ``last`` file."""
        if not self.exists(f"{name}/{last}"):
            return False
        aside = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}")
        try:
            for file in self.names(name):
                (aside / file).parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(self._path(f"{name}/{file}"), str(aside / file))
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return True

    def _path(self, name: str) -> str:
        return f"{self.base.rstrip('/')}/{name}"

    def _aside(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        self.files.makedirs(folder, exist_ok=True)
        return f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
