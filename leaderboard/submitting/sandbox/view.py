"""The files that a sandboxed process sees: what it needs to run, read-only, and small folders in memory to write to."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from leaderboard.submitting.sandbox import system

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_QUIET = system.NO_SUID | system.NO_DEVICES


def interpreter_paths() -> list[str]:
    """Folders that this Python needs: its environment, and the installation that that was made from."""
    return sorted({sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))})


def build_view(stage: str, visible: Mapping[str, str], work_mb: int, files: int) -> None:
    """Build the root at ``stage`` and change to it; ``visible`` maps host paths to paths inside.

    Must run in mount and pid namespaces of its own. Raises OSError where the kernel refuses a mount.
    """
    system.mount("none", "/", "", system.RECURSIVE | system.PRIVATE)
    system.mount("tmpfs", stage, "tmpfs", _QUIET, "size=8m,nr_inodes=65536,mode=755")
    for folder, size in (("/sandbox", work_mb), ("/tmp", 64), ("/dev/shm", 64)):
        os.makedirs(stage + folder)
        system.mount("tmpfs", stage + folder, "tmpfs", _QUIET, f"size={size}m,nr_inodes={files},mode=1777")
    for name in _DEVICES:
        Path(f"{stage}/dev/{name}").touch()
        system.mount(f"/dev/{name}", f"{stage}/dev/{name}", "", system.BIND)
    shown = {path: path for path in (*_PROGRAMS, *interpreter_paths()) if os.path.lexists(path)} | dict(visible)
    for source, inside in shown.items():
        if not any(source.startswith(f"{other}/") and shown[other] == other for other in shown if source == inside):
            _show(source, stage + inside)
    os.makedirs(f"{stage}/proc")
    system.mount("proc", f"{stage}/proc", "proc", _QUIET | system.NO_PROGRAMS)
    system.change_root(stage)
    system.mount("none", "/", "", system.REMOUNT | system.BIND | system.READ_ONLY | _QUIET)


def _show(source: str, target: str) -> None:
    """Show one path of the host; a link such as /lib stays a link."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        Path(target).touch()
    system.bind_read_only(source, target)
