"""Network namespaces by name, and the processes that belong to a lane.

A name is ``tb-<pid>-<start>-<lane>-<side>``: the process that made it, the clock tick at which that process started
(so that a pid used again isn't taken for it), the lane's number, and which end of the link it is.
A process belongs to a lane when it runs in one of its namespaces or carries its name in ``MARK`` of its environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FOLDER = Path("/run/netns")
MARK = "TESTBED_LANE"
SIDES = ("client", "server")
TICKS = os.sysconf("SC_CLK_TCK")
_NAME = re.compile(r"(tb-(\d+)-(\d+)-\d+)-(?:client|server)")


def lane_name(index: int) -> str:
    """Return the name of this process's lane ``index``; its namespaces add ``-client`` and ``-server``."""
    return f"tb-{os.getpid()}-{started(os.getpid())}-{index}"


def names_of(lane: str) -> tuple[str, str]:
    """Return the client's and the server's namespace of a lane."""
    return f"{lane}-{SIDES[0]}", f"{lane}-{SIDES[1]}"


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``ip``; raises OSError with what it said if it fails and ``check`` is set."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
    return done


def started(pid: int) -> int:
    """Return the clock tick since boot at which a process started, or -1 where none lives."""
    fields = status_fields(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else -1


def status_fields(pid: int) -> list[str]:
    """Return /proc/PID/stat from the third field (state) on; [] where there is no such process (see proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def processor_seconds(pid: int) -> float:
    """Return the CPU seconds of a process (a zombie too) and of the children it has waited for; 0 where it's gone."""
    fields = status_fields(pid)
    return sum(map(int, fields[11:15])) / TICKS if fields else 0.0


def belongs_to(lane: str) -> Callable[[int], bool]:
    """Return a test of whether a pid belongs to a lane (not of this process, and of no zombie)."""
    namespaces = set()
    for name in names_of(lane):
        with contextlib.suppress(OSError):
            status = os.stat(FOLDER / name)
            namespaces.add((status.st_dev, status.st_ino))
    own = os.stat("/proc/self/ns/net")
    namespaces.discard((own.st_dev, own.st_ino))
    mark = f"\0{MARK}={lane}\0".encode()

    def belongs(pid: int) -> bool:
        if pid == os.getpid():
            return False
        try:
            status = os.stat(f"/proc/{pid}/ns/net")
            if (status.st_dev, status.st_ino) in namespaces:
                return True
            return mark in b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
        except OSError:
            return False

    return belongs


def processes() -> Iterator[int]:
    """Yield the pids of the machine's processes."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def members(lane: str) -> list[int]:
    """Return the pids that belong to a lane."""
    return list(filter(belongs_to(lane), processes()))


def clear(lane: str, patience: float = 5.0) -> None:
    """Kill what belongs to a lane and remove its namespaces; nothing happens where nothing is left."""
    belongs = belongs_to(lane)
    deadline = time.monotonic() + patience
    while True:
        left = [pid for pid in processes() if _kill(pid, belongs)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for name in names_of(lane):
        if (FOLDER / name).exists():
            ip("netns", "delete", name, check=False)


def left_over() -> list[str]:
    """Return the lanes that have namespaces still but whose process is gone."""
    with contextlib.suppress(OSError):
        found = [match for match in map(_NAME.fullmatch, os.listdir(FOLDER)) if match]
        return sorted({match[1] for match in found if started(int(match[2])) != int(match[3])})
    return []


def prefixed(namespace: str | None, argv: Sequence[str], nice: int = 0) -> list[str]:
    """Return the command that runs ``argv`` in a namespace (None: this one's own) and dies with its parent."""
    command = ["setpriv", "--pdeathsig", "KILL"]
    if namespace is not None:
        command += ["ip", "netns", "exec", namespace]
    if nice:
        command += ["nice", "-n", str(nice)]
    return [*command, *argv]


def _kill(pid: int, belongs: Callable[[int], bool]) -> bool:
    """Kill a process that belongs; the descriptor keeps a pid used again from being hit."""
    if not belongs(pid):
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not belongs(pid):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
