"""The store of stage results: a folder a key, complete or not there at all, written by one worker only."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.harness.tools import stands

if TYPE_CHECKING:
    from benchmark.harness.remote import Remote


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
    """Results of stages below ``root``: ``root/STAGE/KEY/``, with ``stage.json`` beside the stage's own files.

    remote: where results are shared, if not by this folder itself; ``root`` is then this machine's copy.
    """

    root: Path
    remote: Remote | None = None

    def folder(self, stage: str, key: str) -> Path:
        """Where the result of a stage is, or would be."""
        return self.root / stage / key[:32]

    def unfinished(self, stage: str, key: str) -> Path:
        """Make the folder in which a result on its way may keep its state; it is removed when the result is there."""
        kept = self._kept(stage, key)
        kept.mkdir(parents=True, exist_ok=True)
        return kept

    def facts(self, stage: str, key: str) -> dict[str, Any] | None:
        """Facts of a complete result in this folder (its seconds, its figures), or None where there is none.

        A result that lacks what a tool would have told, where the tool is there by now, is none.
        """
        path = self.folder(stage, key) / "stage.json"
        if not path.is_file():
            return None
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts if stands(facts) else None

    def has(self, stage: str, key: str) -> bool:
        """Tell whether a complete result is here, or can be fetched."""
        if self.facts(stage, key) is not None:
            return True
        return self.remote is not None and self.remote.exists(f"{self._name(stage, key)}/stage.json")

    def fetch(self, stage: str, key: str) -> dict[str, Any] | None:
        """Bring a complete result here, if it isn't; return its facts, or None where there is none anywhere."""
        facts = self.facts(stage, key)
        if facts is not None or self.remote is None:
            return facts
        folder = self.folder(stage, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.remote.pull(self._name(stage, key), folder, "stage.json")
        return self.facts(stage, key)

    def make(
        self, stage: str, key: str, work: Callable[[Path], Mapping[str, Any]]
    ) -> tuple[Path, dict[str, Any], bool]:
        """Return (folder, facts, reused), calling ``work`` on an empty folder if the result isn't there.

        Two workers never make one key: the second waits for the first and takes its result. A worker that
        dies leaves nothing behind but a folder aside, which the next one removes.
        """
        folder = self.folder(stage, key)
        with self._locked(folder):
            facts = self.fetch(stage, key)
            if facts is not None:
                self._share(stage, key)
                return folder, facts, True
            with self._leased(stage, key):
                facts = self.fetch(stage, key)
                if facts is not None:
                    return folder, facts, True
                return folder, self._make(stage, key, work), False

    @contextmanager
    def hold(self, stage: str, key: str, wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep all other workers from what goes by this name, whatever machine they are on.

        wait: called once if another worker has it.
        """
        with self._locked(self.folder(stage, key), wait), self._leased(stage, key, wait):
            yield

    def _make(self, stage: str, key: str, work: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
        folder = self.folder(stage, key)
        aside = folder.with_name(folder.name + ".aside")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            facts = dict(work(aside))
            write_json(aside / "stage.json", facts)
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
            shutil.rmtree(self._kept(stage, key), ignore_errors=True)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):  # it stays if a state is in it
                self._kept(stage, key).rmdir()
            raise
        self._share(stage, key, over=True)
        return facts

    def _share(self, stage: str, key: str, over: bool = False) -> None:
        """Copy a complete result to where others find it, if it isn't there yet, or ``over`` the one that is."""
        name, folder = self._name(stage, key), self.folder(stage, key)
        if self.remote is None or (not over and self.remote.exists(f"{name}/stage.json")):
            return
        files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        self.remote.push(folder, name, files, "stage.json")

    def _kept(self, stage: str, key: str) -> Path:
        folder = self.folder(stage, key)
        return folder.with_name(folder.name + ".unfinished")

    def _name(self, stage: str, key: str) -> str:
        return f"store/{stage}/{key[:32]}"

    @contextmanager
    def _leased(self, stage: str, key: str, wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        if self.remote is None:
            yield
            return
        from benchmark.harness.lease import lease

        with lease(self.remote, f"{stage}/{key[:32]}", wait=wait):
            yield

    @contextmanager
    def _locked(self, folder: Path, wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the key's lock on this machine; the kernel drops it when its holder dies."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_name(folder.name + ".lock"), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
