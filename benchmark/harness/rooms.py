"""Where a run finds methods and corpora, and where its records and stage results go: a folder, or a URL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.harness.remote import Remote, is_url, work_folder
from benchmark.harness.store import Store

# What others see of a cell's folder; the record comes last.
_SHARED = ("log.txt", "events.jsonl", "picture.png", "record.json")


@dataclass(frozen=True)
class Rooms:
    """The root that methods and corpora are found in, and the folder that results go to.

    remote: where results are shared, if not by the folder itself, which is then this machine's copy.
    """

    root: Path
    results: Path
    remote: Remote | None = None

    @property
    def cells(self) -> Path:
        """Records, a folder a cell."""
        return self.results / "cells"

    @property
    def store(self) -> Path:
        """Folder of the results of stages."""
        return self.results / "store"

    @property
    def stages(self) -> Store:
        """Results of stages."""
        return Store(self.store, self.remote)

    def fetch_cell(self, cell: str) -> None:
        """Make this machine's copy of a cell what the shared one is; nothing where results are a folder."""
        if self.remote is None:
            return
        folder = self.cells / cell
        for name in _SHARED:
            content = self.remote.read(f"cells/{cell}/{name}")
            if content is None:
                (folder / name).unlink(missing_ok=True)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def share_cell(self, cell: str, start: bool = False) -> None:
        """Copy a cell to where others find it; at its start the record alone, which says that it isn't finished."""
        if self.remote is None:
            return
        folder = self.cells / cell
        files = [] if start else [name for name in _SHARED if (folder / name).exists()]
        self.remote.push(folder, f"cells/{cell}", files, "record.json")

    @contextmanager
    def all_records(self) -> Iterator[Path]:
        """Give a folder that has the record of every cell, whichever machine ran it."""
        if self.remote is None:
            yield self.cells
            return
        folder = Path(tempfile.mkdtemp(prefix="records-"))
        try:
            fetch_records(self.remote, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def rooms_at(root: Path, results: str, scored_on: str = "test") -> Rooms:
    """Rooms of a checkout, with results at a path (relative ones are below ``root``) or a URL.

    scored_on: what isn't scored on the test split goes to a folder of its own, so that no table mixes the two.
    Raises ConfigError for a URL that can't be used.
    """
    place = _place(results, scored_on)
    if not is_url(results):
        return Rooms(root, root / place)
    if results.startswith("memory:"):
        raise ConfigError(f"results={results} is gone with its process, and a cell's work is a process of its own")
    return Rooms(root, work_folder(place), Remote(place))


def local_folder(results: str, scored_on: str = "test") -> str:
    """Folder of results on this machine, as a config gives it: the path itself, or the copy of what is at a URL."""
    place = _place(results, scored_on)
    return str(work_folder(place)) if is_url(results) else place


def _place(results: str, scored_on: str) -> str:
    return results if scored_on == "test" else f"{results.rstrip('/')}/{scored_on}"


def fetch_records(remote: Remote, folder: Path) -> int:
    """Copy the record of every cell into ``folder``, as ``CELL.record.json``; return how many there are."""
    names = [name for name in remote.names("cells") if name.endswith("/record.json")]
    for name in names:
        content = remote.read(f"cells/{name}")
        if content is not None:
            (folder / f"{name.split('/')[0]}.record.json").write_bytes(content)
    return len(names)
