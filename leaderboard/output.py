"""Writes files so that a reader never sees half of one, and folders so that only what changed is written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Changes:
    """Files of a folder after an update, relative to it, sorted."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def write_aside(path: Path, content: bytes) -> None:
    """Write a file aside, then rename it over ``path``; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def update_folder(folder: Path, make: Callable[[Path], None]) -> Changes:
    """Make a folder aside with ``make``, then move what differs into ``folder``; return what changed.

    Files with the same content aren't touched; files that an earlier update wrote, and this one doesn't, are removed.
    The manifest, file to digest, is written last. Raises ConfigError where ``folder`` has files of others.
    """
    before = _manifest(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        make(aside)
        digests = {
            path.relative_to(aside).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(aside.rglob("*"))
            if path.is_file()
        }
        written = [name for name, digest in digests.items() if _digest(folder / name) != digest]
        for name in written:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.chmod(aside / name, 0o644)
            os.replace(aside / name, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    removed = sorted(before.keys() - digests.keys())
    for name in removed:
        (folder / name).unlink(missing_ok=True)
        _remove_empty((folder / name).parent, folder)
    content = (json.dumps(digests, indent=1, sort_keys=True) + "\n").encode()
    if not (folder / MANIFEST).is_file() or (folder / MANIFEST).read_bytes() != content:
        write_aside(folder / MANIFEST, content)
    return Changes(tuple(written), tuple(removed), tuple(name for name in digests if name not in written))


def _manifest(folder: Path) -> dict[str, str]:
    """Files that an earlier update wrote, {} for a folder that is empty or isn't there."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    foreign = ConfigError(f"{folder} isn't empty, and nothing in it says that it was built here; name another folder")
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        raise foreign from None
    if not isinstance(content, dict):
        raise foreign
    top = folder.resolve()
    # A manifest that somebody changed mustn't reach out of the folder.
    return {name: str(digest) for name, digest in content.items() if (folder / name).resolve().is_relative_to(top)}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
