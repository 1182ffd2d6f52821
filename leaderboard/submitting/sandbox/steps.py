"""One step inside the sandbox: a command under limits and the filter, and nothing of it left when it is over."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.submitting.sandbox import seccomp


def run_step(
    words: Sequence[str], environment: Mapping[str, str], limits: Mapping[str, Any], filter_code: bytes
) -> dict[str, Any]:
    """Run a command to its end, as the first process of a pid namespace; kill and reap whatever it started.

    Returns exit (negative for a signal), seconds, and peak_memory_mb of its largest process.
    """
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            bound(limits)
            if filter_code:
                seccomp.apply(filter_code)
            os.execve(words[0], list(words), dict(environment))
        except BaseException as error:
            os.write(2, f"the step can't start: {error}\n".encode())
        os._exit(127)
    code, peak = 0, 0
    ended = False
    while True:
        try:
            number, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        peak = max(peak, usage.ru_maxrss)
        if number == child:
            code, ended = os.waitstatus_to_exitcode(status), True
        if ended:
            _kill_all()
    return {"exit": code, "seconds": time.monotonic() - started, "peak_memory_mb": peak / 1024}


def _kill_all() -> None:
    """Kill every process of this namespace but the first; see kill(2) on -1."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return


def bound(limits: Mapping[str, Any]) -> None:
    """Set the limits of this process and of what it starts."""
    # Descriptors of the first process are all closed on exec but the three standard ones.
    memory, written = limits["memory_mb"] << 20, limits["work_mb"] << 20
    for kind, value in (
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, written),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 1 << 16),
    ):
        resource.setrlimit(kind, (value, value))
    os.nice(5)
    os.setsid()
