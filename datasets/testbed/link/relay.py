"""The relay: a link as one small process between two TUN devices, that reads packets, holds them, writes them on time.

    python -m link.relay CLIENT SERVER LINK     two namespaces, and the link as JSON

It answers each line of standard input with a line of counts and ends, after a last one, when standard input does.
A packet's due time is worked out when it arrives, so waking late delays that packet, by the lateness reported, and no
others.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from link import DEVICE, LATE_MS, LinkError, LinkReport
from link.schedule import Direction
from link.tun import NODE, open_tun

if TYPE_CHECKING:
    from lane import Lane
    from session import Link

HERE = Path(__file__).resolve().parents[1]
PATIENCE = 15.0
# Above every ordinary process, below the kernel's own threads (which run at 50).
PRIORITY = 20
# A packet due sooner than this is sent at once: going to sleep and waking costs about as much.
EARLY = 30e-6
BURST = 32


class RelayLink:
    """The parent's side of a relay; it's up when this returns."""

    def __init__(self, lane: Lane, link: Link) -> None:
        from benchmark.errors import Unsupported

        make_directions(asdict(link))
        if not os.path.exists(NODE):
            raise Unsupported(f"there is no {NODE}: the relay needs TUN devices")
        argv = [sys.executable, "-m", "link.relay", lane.client, lane.server, json.dumps(asdict(link))]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._lane = lane
        self._process = lane.popen(None, argv, cwd=HERE, **pipes)
        self._last: LinkReport | None = None
        self._failure = ""
        self._closed = False
        try:
            reason = self._hear().get("unsupported")
            if reason:
                raise Unsupported(reason)
            lane.attach(DEVICE)
            self._say()
            self.began = float(self._hear()["began"])
        except BaseException:
            self._end()
            raise

    def report(self) -> LinkReport:
        """Return the counts so far, or the last ones; raises LinkError if the relay died."""
        if not self._closed:
            self._say()
            return LinkReport(**self._hear())
        if self._last is None:
            raise LinkError(self._failure)
        return self._last

    def close(self) -> None:
        """End the relay and keep its last report; its devices go with it."""
        if self._closed:
            return
        try:
            self._close_pipe(self._process.stdin)
            self._last = LinkReport(**self._hear())
        except LinkError as error:
            self._failure = str(error)
        self._end()

    def _end(self) -> None:
        self._closed = True
        self._process.stop()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            self._close_pipe(pipe)
        self._lane.detach()

    @staticmethod
    def _close_pipe(pipe: IO[bytes] | None) -> None:
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()

    def _say(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        """Return the relay's next line."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        if poller.poll(1000 * PATIENCE):
            line = self._process.stdout.readline()
            if line:
                return dict(json.loads(line))
        status = self._process.stop(signal.SIGKILL)
        reason = self._process.stderr.read().decode("utf-8", "replace").strip()
        raise LinkError(f"the relay died (status {status}): {reason.splitlines()[-1] if reason else 'no reason given'}")


def make_directions(link: dict[str, Any]) -> tuple[Direction, Direction]:
    """Return a link's down and up; raises ValueError for a link that can't be."""
    shape = {name: link[name] for name in ("delay", "queue", "loss")}
    down = Direction(link["down"], seed=2 * link["seed"], **shape)
    up = Direction([(0, link["up"])], seed=2 * link["seed"] + 1, **shape)
    return down, up


class Lateness:
    """How late packets were sent: a histogram of bins of 0.05 ms up to 200 ms."""

    BINS = 4000
    WIDTH = 0.05e-3

    def __init__(self) -> None:
        self._counts = [0] * self.BINS
        self._total = 0.0
        self._worst = 0.0

    def add(self, seconds: float) -> None:
        """Count one packet."""
        if seconds < 0.0:
            seconds = 0.0
        self._total += seconds
        if seconds > self._worst:
            self._worst = seconds
        place = int(seconds / self.WIDTH)
        self._counts[place if place < self.BINS else -1] += 1

    def summary(self) -> dict[str, float]:
        """Return mean, 99th percentile (its bin's end) and maximum in ms, and the share over LATE_MS."""
        count = sum(self._counts)
        seen, place = 0, 0
        while place < self.BINS - 1 and seen + self._counts[place] < 0.99 * count:
            seen += self._counts[place]
            place += 1
        late = sum(self._counts[round(LATE_MS / 1000 / self.WIDTH) :])
        worst = 1000 * self._worst
        return {
            "lateness_mean_ms": 1000 * self._total / count if count else 0.0,
            "lateness_p99_ms": min(1000 * (place + 1) * self.WIDTH, worst),
            "lateness_max_ms": worst,
            "late_share": late / count if count else 0.0,
        }


class Way:
    """One direction's way through the relay: descriptors, shaping, packets on their way as (due, packet)."""

    __slots__ = ("direction", "flying", "source", "target")

    def __init__(self, source: int, target: int, direction: Direction) -> None:
        self.source = source
        self.target = target
        self.direction = direction
        self.flying: deque[tuple[float, bytes]] = deque()


def main(arguments: Sequence[str]) -> int:
    """Run a relay: its first line says that the devices are there; the first line it gets begins the schedule."""
    client_namespace, server_namespace, text = arguments
    link = json.loads(text)
    down, up = make_directions(link)
    try:
        client, server = open_tun(client_namespace, DEVICE), open_tun(server_namespace, DEVICE)
    except OSError as error:
        print(json.dumps({"unsupported": f"no TUN device can be made ({error})"}), flush=True)
        return 1
    print("{}", flush=True)
    if not sys.stdin.buffer.readline():
        return 0
    scheduling = take_priority()
    gc.freeze()
    gc.disable()
    lateness = Lateness()
    began, zero = time.time(), time.monotonic()

    def tell() -> None:
        both = {"down": down, "up": up}
        report = {
            "backend": "relay",
            "scheduling": scheduling,
            "began": began,
            **{
                name: {way: getattr(direction, name) for way, direction in both.items()}
                for name in ("packets", "bytes", "dropped_queue", "dropped_loss")
            },
            **lateness.summary(),
            "cpu_seconds": time.process_time(),
        }
        print(json.dumps(report), flush=True)

    tell()
    paths = (Way(server, client, down), Way(client, server, up))
    while relay(paths, sys.stdin.fileno(), zero, lateness):
        tell()
    tell()
    return 0


def relay(paths: tuple[Way, Way], control: int, zero: float, lateness: Lateness) -> bool:
    """Move packets until ``control`` can be read; return whether it has more to say. Times count from ``zero``."""
    clock, select_, write, late = time.monotonic, select.select, os.write, lateness.add
    sources = [control, paths[0].source, paths[1].source]
    while True:
        now = clock() - zero
        wake = now + 60.0
        for path in paths:
            flying = path.flying
            while flying and flying[0][0] <= now + EARLY:
                due, packet = flying.popleft()
                write(path.target, packet)
                now = clock() - zero
                late(now - due)
            if flying and flying[0][0] < wake:
                wake = flying[0][0]
        pause = wake - clock() + zero
        readable = select_(sources, (), (), pause if pause > 0.0 else 0.0)[0]
        if not readable:
            continue
        for path in paths:
            if path.source in readable:
                take_packets(path, zero)
        if control in readable:
            return bool(os.read(control, 64))


def take_packets(path: Way, zero: float) -> None:
    """Read the packets that wait at a source and give each its due time, or drop it."""
    source, accept, clock, append = path.source, path.direction.accept, time.monotonic, path.flying.append
    for _ in range(BURST):
        try:
            packet = os.read(source, 65536)
        except BlockingIOError:
            return
        due = accept(clock() - zero, len(packet))
        if due is not None:
            append((due, packet))


def take_priority() -> str:
    """Have this process run as soon as it can: "fifo" (sched(7)), or "nice", or "normal" where neither is allowed."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        return "fifo"
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "nice"
    return "normal"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
