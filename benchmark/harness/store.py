"""The store of stage results: a folder a key, complete or not there at all, written by one worker only."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def digest_of(value: Any) -> str:
    """Digest any JSON value; equal values give equal digests whatever their order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON aside, then rename, so that a reader never sees half a file."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to disk, then rename it over ``path``."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Store:
    """Results of stages below ``root``: ``root/STAGE/KEY/``, with ``stage.json`` beside the stage's own files."""

    root: Path

    def folder(self, stage: str, key: str) -> Path:
        """Where the result of a stage is, or would be."""
        return self.root / stage / key[:32]

    def facts(self, stage: str, key: str) -> dict[str, Any] | None:
        """Facts of a complete result (its seconds, its figures), or None where there is none."""
        path = self.folder(stage, key) / "stage.json"
        if not path.is_file():
            return None
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts

    def make(
        self, stage: str, key: str, work: Callable[[Path], Mapping[str, Any]]
    ) -> tuple[Path, dict[str, Any], bool]:
        """Return (folder, facts, reused), calling ``work`` on an empty folder if the result isn't there.

        Two workers never make one key: the second waits for the first and takes its result. A worker that
        dies leaves nothing behind but a folder aside, which the next one removes.
        """
        folder = self.folder(stage, key)
        with self._locked(folder):
            facts = self.facts(stage, key)
            if facts is not None:
                return folder, facts, True
            aside = folder.with_name(folder.name + ".aside")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            try:
                facts = dict(work(aside))
                write_json(aside / "stage.json", facts)
                shutil.rmtree(folder, ignore_errors=True)
                aside.rename(folder)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            return folder, facts, False

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        """Hold the key's lock; the kernel drops it when its holder dies."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_name(folder.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
