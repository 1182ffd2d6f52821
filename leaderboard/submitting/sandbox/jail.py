"""Runs a task in the sandbox from outside: starts it, bounds what comes out of it, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmark.errors import Unsupported
from leaderboard.submitting.sandbox import seccomp
from leaderboard.submitting.sandbox.groups import Groups, made_groups
from leaderboard.submitting.sandbox.limits import Limits, Task

REPOSITORY = Path(__file__).resolve().parents[3]
_LINE = 1 << 16
# User numbers that no system gives out; one a run, so that its bound on processes counts nobody else's.
_IDENTITIES = (1 << 30, 1 << 29)


@dataclass
class Outcome:
    """How a sandboxed run ended.

    reason: why it failed, "" where it didn't; kind: one word for it. steps: exit, seconds and peak memory of each.
    printed: the beginning of what was printed. results: name to bytes. faults: name to why there are none.
    """

    reason: str = ""
    kind: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    printed: str = ""
    results: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    isolation: dict[str, Any] = field(default_factory=dict)


def run_task(task: Task, limits: Limits, *, privileged: bool | None = None) -> Outcome:
    """Run a task in the strongest sandbox of this machine and return its outcome.

    privileged: as root without a user namespace, or as a user within one; None is whichever this process is.
    Raises Unsupported where the machine has no namespaces, rather than run with less.
    """
    if sys.platform != "linux":
        raise Unsupported("the sandbox needs Linux namespaces")
    if not seccomp.supported():
        raise Unsupported(f"the sandbox has no seccomp filter for {os.uname().machine}")
    as_root = os.geteuid() == 0 if privileged is None else privileged
    name = f"tracearena-{os.getpid()}-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="sandbox-") as stage, made_groups(name, limits) as groups:
        os.chmod(stage, 0o755)
        identity = _IDENTITIES[0] + secrets.randbelow(_IDENTITIES[1]) if as_root else os.geteuid()
        described = {
            **task.facts(), "limits": asdict(limits), "stage": stage, "privileged": as_root, "identity": identity,
            "groups": [str(folder) for folder in groups.folders], "environment": dict(task.environment or {}),
        }  # fmt: skip
        outcome = _Run(described, limits, groups).outcome()
    outcome.isolation = {
        "namespaces": ["cgroup", "ipc", "mount", "net", "pid", *([] if as_root else ["user"]), "uts"],
        "seccomp": True,
        "capabilities": "none",
        "user": "a number of its own" if as_root else "the caller, mapped to itself",
        "control_groups": list(groups.bounds),
        "memory": "control group" if "memory" in groups.bounds else "rlimit of each process, and a watcher",
        "limits": asdict(limits),
    }
    return outcome


class _Run:
    """One run, watched by threads that read what comes out of it."""

    def __init__(self, described: dict[str, Any], limits: Limits, groups: Groups) -> None:
        self.limits, self.groups = limits, groups
        self.found = Outcome()
        self.kept, self.first = bytearray(), 0
        channel, theirs = os.pipe()
        self.child = subprocess.Popen(
            [sys.executable, "-s", "-m", "leaderboard.submitting.sandbox.enter", str(theirs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(theirs,),
            cwd=REPOSITORY, start_new_session=True, env={"PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        os.close(theirs)
        self.channel = os.fdopen(channel, "rb")
        assert self.child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(json.dumps(described).encode())
            self.child.stdin.close()

    def outcome(self) -> Outcome:
        """Wait for the end, or bring it about."""
        assert self.child.stdout is not None
        readers = [
            threading.Thread(target=self._read_printed, args=(self.child.stdout,)),
            threading.Thread(target=self._read_channel),
        ]
        for reader in readers:
            reader.start()
        deadline = time.monotonic() + self.limits.wall_s
        watched = "memory" not in self.groups.bounds
        try:
            while self.child.poll() is None:
                if time.monotonic() > deadline:
                    self._end("time", f"over {self.limits.wall_s:g} s")
                if watched and self.first and _resident(self.first) > self.limits.memory_mb << 20:
                    self._end("memory", f"over {self.limits.memory_mb} MiB of memory")
                time.sleep(0.05)
        finally:
            self._kill()
            self.child.wait()
            for reader in readers:
                reader.join()
            self.channel.close()
            self.child.stdout.close()
        self.found.printed = self.kept.decode(errors="replace")
        self._explain()
        return self.found

    def _explain(self) -> None:
        """Name what ended the run, where it wasn't ended from here."""
        if self.found.kind == "setup":
            raise Unsupported(self.found.reason)
        if self.found.reason:
            return
        last = self.found.steps[-1]["exit"] if self.found.steps else None
        if self.groups.out_of_memory():
            self._blame("memory", f"over {self.limits.memory_mb} MiB of memory")
        elif last is None:
            tail = self.found.printed.strip().splitlines()[-1:] or ["nothing was printed"]
            raise Unsupported(f"the sandbox didn't start: {tail[0]}")
        elif last in (-signal.SIGXCPU, -signal.SIGKILL) and self.found.steps[-1]["seconds"] >= self.limits.cpu_s:
            self._blame("time", f"over {self.limits.cpu_s} s of processor time")
        elif last == -signal.SIGXFSZ:
            self._blame("files", f"wrote a file of more than {self.limits.work_mb} MiB")
        elif last < 0:
            self._blame("died", f"ended by {signal.Signals(-last).name}")
        elif last > 0:
            lines = [line for line in self.found.printed.splitlines() if line.strip()]
            self._blame("raised", lines[-1].strip()[:300] if lines else f"exit status {last}")

    def _blame(self, kind: str, reason: str) -> None:
        if not self.found.reason:
            self.found.kind, self.found.reason = kind, reason

    def _end(self, kind: str, reason: str) -> None:
        self._blame(kind, reason)
        self._kill()

    def _kill(self) -> None:
        """Kill the way in; the first process inside dies with it, and takes its whole namespace along."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)

    def _read_printed(self, stream: IO[bytes]) -> None:
        room = self.limits.printed_kb << 10
        while block := os.read(stream.fileno(), _LINE):
            room -= len(block)
            if len(self.kept) < _LINE * 4:
                self.kept += block
            if room < 0:
                self._end("output", f"printed more than {self.limits.printed_kb} KiB")
                room = self.limits.printed_kb << 20

    def _read_channel(self) -> None:
        room = self.limits.result_mb << 20
        while line := self.channel.readline(_LINE):
            try:
                fact = json.loads(line)
                room -= self._take(fact, room)
            except (ValueError, KeyError, TypeError):
                self._end("channel", "the sandbox sent something else than results")
                return

    def _take(self, fact: dict[str, Any], room: int) -> int:
        """Take one message; return how many bytes of results came with it."""
        if "first" in fact:
            self.first = int(fact["first"])
        elif "step" in fact:
            self.found.steps.append({name: float(fact[name]) for name in ("seconds", "peak_memory_mb")})
            self.found.steps[-1]["exit"] = int(fact["exit"])
        elif "result" in fact and "fault" in fact:
            self.found.faults[str(fact["result"])] = str(fact["fault"])
        elif "result" in fact:
            size = int(fact["size"])
            if not 0 <= size <= room:
                raise ValueError("more results than there is room for")
            content = self.channel.read(size)
            if len(content) != size:
                raise ValueError("a result ends early")
            self.found.results[str(fact["result"])] = content
            return size
        elif "fault" in fact:
            self._blame("setup", str(fact["fault"]))
        return 0


def _resident(first: int) -> int:
    """Memory in bytes of a process and all that descend from it; what is shared counts for each."""
    total, waiting = 0, [first]
    while waiting:
        number = waiting.pop()
        try:
            fields = Path(f"/proc/{number}/statm").read_text().split()
            total += int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
            for thread in os.listdir(f"/proc/{number}/task"):
                waiting += [int(n) for n in Path(f"/proc/{number}/task/{thread}/children").read_text().split()]
        except (OSError, IndexError):
            continue
    return total
