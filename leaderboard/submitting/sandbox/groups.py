"""Control groups for one sandbox, version 1 or 2, where this process may make them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leaderboard.submitting.sandbox.limits import Limits

ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds


@dataclass(frozen=True)
class Groups:
    """Folders of the groups that a sandbox is put in, and what they bound."""

    folders: tuple[Path, ...]
    bounds: tuple[str, ...]

    def out_of_memory(self) -> bool:
        """Tell whether the kernel has killed a process of the group for memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                path = folder / name
                if path.exists() and any(
                    line.split() == ["oom_kill", count] and int(count) > 0
                    for line in path.read_text().splitlines()
                    for count in [line.split()[-1]]
                ):
                    return True
        return False


@contextmanager
def made_groups(name: str, limits: Limits) -> Iterator[Groups]:
    """Make groups for a sandbox, and remove them with whatever is still in them; none where that isn't allowed."""
    folders: list[Path] = []
    bounds: list[str] = []
    try:
        for controllers, folder, settings in _wanted(name, limits):
            try:
                folder.mkdir()
            except OSError:
                continue
            folders.append(folder)
            bounds += [controller for controller in controllers if _set(folder, settings[controller])]
        yield Groups(tuple(folders), tuple(sorted(bounds)))
    finally:
        for folder in folders:
            _remove(folder)


def _wanted(name: str, limits: Limits) -> list[tuple[tuple[str, ...], Path, dict[str, dict[str, str]]]]:
    """Groups to make: the controllers of each, its folder, and the files to write for each controller."""
    memory, quota = str(limits.memory_mb << 20), limits.cores * _PERIOD
    pids = {"pids.max": str(limits.processes + 8)}
    if (ROOT / "cgroup.controllers").exists():
        settings = {
            "memory": {"memory.max": memory, "memory.swap.max": "0"},
            "pids": pids,
            "cpu": {"cpu.max": f"{quota} {_PERIOD}"},
        }
        return [(("memory", "pids", "cpu"), ROOT / name, settings)]
    first = {
        "memory": {"memory.limit_in_bytes": memory},
        "pids": pids,
        "cpu": {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)},
    }
    own = _own_groups()
    return [
        ((kind,), ROOT / kind / own[kind].lstrip("/") / name, {kind: settings})
        for kind, settings in first.items()
        if kind in own and (ROOT / kind).is_dir()
    ]


def _own_groups() -> dict[str, str]:
    """Version 1: controller to the path of the group that this process is in, so that a group's own bound stays."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return {kind: path for _, kinds, path in (line.split(":", 2) for line in lines) for kind in kinds.split(",")}


def _set(folder: Path, settings: dict[str, str]) -> bool:
    """Write a controller's files; tell whether its bound is in force."""
    done = False
    for name, value in settings.items():
        with contextlib.suppress(OSError):
            (folder / name).write_text(value)
            done = True
    return done


def _remove(folder: Path) -> None:
    """Kill what is still in a group, and remove it."""
    for _ in range(200):
        with contextlib.suppress(OSError, ValueError):
            for line in (folder / "cgroup.procs").read_text().split():
                os.kill(int(line), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
