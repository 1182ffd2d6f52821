"""The tap: tcpdump at the client's end of a lane's link."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import Unsupported
from lane import Lane, Process
from link import DEVICE
from link.namespaces import ip

# Of each packet, from its IP header on.
SNAPLEN = 96
# KiB: half a minute of the fastest link's packets, should tcpdump have to wait.
BUFFER = 8192
PATIENCE = 15.0
ETHERNET = 14
_COUNTS = re.compile(r"(\d+) packets? captured\D+(\d+) packets? received by filter\D+(\d+) packets? dropped by kernel")


class TapError(RuntimeError):
    """The capture failed; what it wrote isn't complete."""


@dataclass(frozen=True)
class Captured:
    """How many packets a capture holds, and how many the kernel dropped before they reached it."""

    packets: int
    dropped_by_kernel: int


class Tap:
    """A capture that runs; ``stop`` ends it, and then the file is complete."""

    def __init__(self, lane: Lane, path: Path) -> None:
        if shutil.which("tcpdump") is None:
            raise Unsupported("tcpdump is missing: apt-get install tcpdump")
        self._log = path.with_name(path.name + ".log")
        self._captured: Captured | None = None
        path.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)
        try:
            ethernet = "link/ether" in ip("-n", lane.client, "-o", "link", "show", "dev", DEVICE).stdout
        except OSError as error:
            raise TapError(f"there is no link to capture ({error})") from error
        argv = ["tcpdump", "-i", DEVICE, "-n", "-p", "-Z", "root", "-s", str(SNAPLEN + ETHERNET * ethernet)]
        argv += ["-B", str(BUFFER), "--time-stamp-precision=nano", "-w", str(path), "ip"]
        self._process: Process = lane.popen(lane.client, argv, log=self._log)
        self._await_start()

    def stop(self) -> Captured:
        """End the capture; return what it holds: every packet until this was called. Raises TapError if it failed."""
        if self._captured is not None:
            return self._captured
        self._drain()
        running = self._process.poll() is None
        self._process.stop(signal.SIGINT, PATIENCE)
        counts = self._counts()
        if not running or self._process.returncode or not counts:
            raise TapError(f"tcpdump failed: {self._text()[-300:]}")
        self._log.unlink()
        self._captured = Captured(packets=counts[-1][0], dropped_by_kernel=counts[-1][2])
        return self._captured

    def end(self) -> None:
        """End the capture, if it's still running, without a word on what it holds."""
        self._process.stop(signal.SIGINT, PATIENCE)

    def _drain(self) -> None:
        """Wait until what has been received so far is written: tcpdump gets it from the kernel in blocks of up to 1 s.

        An interrupt would end tcpdump without the block being filled. SIGUSR1 has it say its counts.
        """
        target = -1
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            known = len(self._counts())
            self._process.send_signal(signal.SIGUSR1)
            while len(self._counts()) == known and self._process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            if self._process.poll() is not None:
                return
            captured, received, dropped = self._counts()[-1]
            target = received if target < 0 else target
            if captured + dropped >= target:
                return
            time.sleep(0.05)

    def _counts(self) -> list[tuple[int, int, int]]:
        """Return the counts that tcpdump has said: captured, received, dropped."""
        return [(int(a), int(b), int(c)) for a, b, c in _COUNTS.findall(self._text())]

    def _text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace").strip()

    def _await_start(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if "listening on" in self._text():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)
                break
        self._process.stop(signal.SIGKILL)
        raise TapError(f"tcpdump didn't start: {self._text()}")


@contextmanager
def capture(lane: Lane, path: Path) -> Iterator[Tap]:
    """Capture the headers of all that crosses the client's end into a pcap file, from here to ``stop`` or the end."""
    tap = Tap(lane, path)
    try:
        yield tap
    finally:
        tap.end()
