"""How much a sandboxed run may use, and what it is given to see and do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Bounds of one sandboxed run.

    wall_s: the whole run. cpu_s: of each process. memory_mb: of all processes together where a control group or the
    watcher can say, and of each process by rlimit. processes: threads count too. work_mb, files: what it may write.
    printed_kb: what it may print. result_mb: what is taken out of it. cores: processor share.
    """

    wall_s: float = 900.0
    cpu_s: int = 1800
    memory_mb: int = 4096
    processes: int = 128
    work_mb: int = 1024
    files: int = 4096
    printed_kb: int = 1024
    result_mb: int = 512
    cores: int = 2


@dataclass(frozen=True)
class Task:
    """What runs in a sandbox.

    visible: host path to the path inside, read-only; nothing else of the host's files is there.
    steps: commands, one after another; all that a step leaves running is killed before the next.
    results: names below ``/sandbox/out`` to bring out after the last step, if they are plain files.
    environment: all that the steps see of it.
    """

    visible: Mapping[str, str]
    steps: tuple[tuple[str, ...], ...]
    results: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None

    def facts(self) -> dict[str, Any]:
        """The task as JSON values."""
        return asdict(self)
