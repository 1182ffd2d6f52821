"""A lane: a client's and a server's network namespace, and everything that runs in them.

    with Lane(0) as lane, open_link(lane, Link(down=((0, 5),))) as link:
        server = lane.popen(lane.server, ["nginx", …], log=folder / "nginx.log")
        lane.run(lane.client, ["ping", "-c1", SERVER_ADDRESS], timeout=5)

When the block ends every process that belongs to the lane is killed and its namespaces are removed; a keeper process
does it when this process is killed. Processes started here die with the THREAD that started them (PR_SET_PDEATHSIG), so
a lane belongs to one thread that lives as long as the lane.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.errors import Unsupported
from link.namespaces import (
    MARK,
    clear,
    ip,
    lane_name,
    left_over,
    members,
    names_of,
    prefixed,
    processor_seconds,
)
from session import CLIENT_ADDRESS, SERVER_ADDRESS

HERE = Path(__file__).resolve().parent
# Nothing but the sessions' own packets; servers may listen before the link is there; no memory from session to session.
SETTINGS = {
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.ipv4.ip_nonlocal_bind": "1",
    "net.ipv4.tcp_no_metrics_save": "1",
}


class Process(subprocess.Popen[bytes]):
    """A process of a lane; ``used`` is the CPU seconds of it and of the children it waited for, once it has ended."""

    used = 0.0

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        if self.returncode is None:
            # Its times are readable until it's reaped.
            with contextlib.suppress(ChildProcessError):
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    self.used = processor_seconds(self.pid)
        return super().poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status; raises subprocess.TimeoutExpired."""
        if self.poll() is None:
            if not self._await_end(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.poll()
        return super().wait()

    def stop(self, number: int = signal.SIGTERM, patience: float = 2.0) -> int:
        """End the whole group: by a signal, and after ``patience`` s by SIGKILL; return the exit status."""
        if self.returncode is not None:
            return self.returncode
        # Until it's reaped its number can't be another group's.
        self._signal_group(number)
        self._await_end(patience)
        self._signal_group(signal.SIGKILL)
        return self.wait()

    def _await_end(self, timeout: float | None) -> bool:
        handle = os.pidfd_open(self.pid)
        try:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            return bool(poller.poll(None if timeout is None else 1000 * timeout))
        finally:
            os.close(handle)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Lane:
    """Two namespaces, ``client`` and ``server`` (their names), and the processes in them. Needs root."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = lane_name(index)
        self.client, self.server = names_of(self.name)
        self._processes: list[Process] = []
        self._keeper: subprocess.Popen[bytes] | None = None
        self._used: float | None = None
        self._congestion = ""
        self._device = ""

    def __enter__(self) -> Lane:
        if os.geteuid():
            raise Unsupported("network namespaces need root")
        self._used = None
        keeper = [sys.executable, "-m", "link.keeper", self.name, str(os.getpid())]
        self._keeper = subprocess.Popen(keeper, cwd=HERE, stdin=subprocess.PIPE, start_new_session=True)
        try:
            for namespace in (self.client, self.server):
                try:
                    ip("netns", "add", namespace)
                except OSError as error:
                    raise Unsupported(f"no network namespace can be made ({error})") from error
                ip("-n", namespace, "link", "set", "lo", "up")
                self._set(namespace, SETTINGS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._used = self.cpu_seconds()
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 1
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        clear(self.name)
        for process in self._processes:
            process.stop(signal.SIGKILL)
        self._processes.clear()
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None

    def popen(
        self,
        namespace: str | None,
        argv: Sequence[str],
        log: Path | None = None,
        nice: int = 0,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Process:
        """Start a program in a namespace (None: the machine's own), in a process group of its own.

        log: where its output is appended; without, it's thrown away. env: added to this process's environment.
        ``options`` go to Popen as they are. Raises OSError where the program can't be started.
        """
        environment = {**os.environ, **(env or {}), MARK: self.name}
        with contextlib.ExitStack() as stack:
            sink: Any = stack.enter_context(open(log, "ab")) if log is not None else subprocess.DEVNULL
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": sink, "stderr": sink, **options}
            command = prefixed(namespace, [str(part) for part in argv], nice)
            process = Process(command, env=environment, process_group=0, **streams)
        self._processes.append(process)
        return process

    def run(
        self,
        namespace: str | None,
        argv: Sequence[str],
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end and return its output; raises subprocess.TimeoutExpired with its group killed."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = self.popen(namespace, argv, env=env, **pipes)
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.stop(signal.SIGKILL)
            raise
        texts = [(text or b"").decode("utf-8", "replace") for text in (output, errors)]
        return subprocess.CompletedProcess(list(argv), process.returncode, *texts)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all that ever ran in this lane, the link's relay included (to 10 ms a process).

        A child that was neither waited for by its parent nor alive when this was called is missed.
        """
        if self._used is not None:
            return self._used
        alive = {process.pid for process in self._processes if process.poll() is None}
        ended = sum(process.used for process in self._processes)
        return ended + sum(processor_seconds(pid) for pid in alive.union(members(self.name)))

    def congestion(self, name: str) -> None:
        """Set TCP's congestion control at both ends, now or from when the link opens.

        Raises Unsupported where this kernel lacks it. It's a property of the route: the namespace's own setting admits
        only what the whole machine's ``tcp_allowed_congestion_control`` lists (net/ipv4/tcp_cong.c).
        """
        available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").split()
        if name not in available:
            raise Unsupported(f"this kernel has no congestion control '{name}' (it has {', '.join(available)})")
        self._congestion = name
        if self._device:
            self._route()

    def attach(self, device: str, mtu: int = 1500) -> None:
        """Give the link's device, which both namespaces have, its addresses and routes, and bring it up."""
        self._device = device
        for namespace, here in zip((self.client, self.server), (CLIENT_ADDRESS, SERVER_ADDRESS), strict=True):
            ip("-n", namespace, "address", "add", here, "dev", device)
            ip("-n", namespace, "link", "set", device, "mtu", str(mtu), "up")
        self._route()

    def detach(self) -> None:
        """Forget the device; the link's backend removes it."""
        self._device = ""

    def _route(self) -> None:
        both = (self.client, SERVER_ADDRESS, CLIENT_ADDRESS), (self.server, CLIENT_ADDRESS, SERVER_ADDRESS)
        control = ["congctl", self._congestion] if self._congestion else []
        for namespace, there, here in both:
            ip("-n", namespace, "route", "replace", there, "dev", self._device, "src", here, *control)

    @staticmethod
    def sweep() -> list[str]:
        """Clear the lanes whose process is gone; return their names."""
        lanes = left_over()
        for lane in lanes:
            clear(lane)
        return lanes

    def _set(self, namespace: str, settings: Mapping[str, str]) -> None:
        """Write kernel settings in a namespace. A kernel without IPv6 lacks some, and needs none of those."""
        pairs = [f"{key}={value}" for key, value in settings.items()]
        done = self.run(namespace, ["sysctl", "-q", "-e", "-w", *pairs])
        if done.returncode:
            raise Unsupported(f"sysctl {' '.join(pairs)}: {done.stderr.strip()}")
