"""The kernel's own shaping: a veth pair whose ends have tc's netem (delay, loss) and, behind it, tbf (rate, queue).

A packet meets loss and delay first and the queue after, which for a fixed delay comes to the same as the other way
round, as long as the rate's steps are late by the delay. ``tc qdisc change`` applies them, a few ms late at worst.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from link import DEVICE, LinkError, LinkReport
from link.namespaces import ip
from link.relay import make_directions
from link.schedule import QUEUE_FLOOR, Rate
from link.tun import inside

if TYPE_CHECKING:
    from lane import Lane
    from session import Link

# tbf counts the Ethernet header; the link's rates and queues are of IP packets.
FRAME, PACKET = 1514, 1500
HELD_PACKETS = 100_000
# What tbf has for an outage: 12000 s for one packet.
STANDSTILL = "8bit"
# An EtherType for local experiments (IEEE 802): nobody answers it, and the tap leaves it out.
NUDGE = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(46)


class NetemLink:
    """A link made of the kernel's queueing disciplines; it's up when this returns."""

    def __init__(self, lane: Lane, link: Link) -> None:
        make_directions(asdict(link))
        self._lane = lane
        self._link = link
        self._failure = ""
        self._done = threading.Event()
        self._last: LinkReport | None = None
        self._nominal = Rate(link.down)
        ends = ("netns", lane.client, "type", "veth", "peer", "name", DEVICE, "netns", lane.server)
        ip("link", "add", DEVICE, *ends)
        try:
            for namespace, rate in ((lane.server, link.down[0][1]), (lane.client, link.up)):
                self._prepare(namespace, rate)
            lane.attach(DEVICE)
        except BaseException:
            self._remove()
            raise
        self.began = time.time()
        self._zero = time.monotonic()
        self._steps = threading.Thread(target=self._step, name="netem", daemon=True)
        self._steps.start()

    def report(self) -> LinkReport:
        """Return the kernel's counts so far, or the last ones; raises LinkError if a step couldn't be made."""
        if self._failure:
            raise LinkError(self._failure)
        return self._last or self._count()

    def close(self) -> None:
        """Keep the last counts and remove the devices."""
        if self._done.is_set():
            return
        self._done.set()
        self._steps.join()
        with contextlib.suppress(LinkError):
            self._last = self._count()
        self._remove()

    def _prepare(self, namespace: str, rate: float) -> None:
        from benchmark.errors import Unsupported

        for feature in ("tso", "gso", "gro"):
            done = self._lane.run(namespace, ["ethtool", "-K", DEVICE, feature, "off"])
            if done.returncode:
                raise Unsupported(f"ethtool can't switch {feature} off: {done.stderr.strip()}")
        netem = ["netem", "delay", f"{self._link.delay}ms", "limit", str(HELD_PACKETS)]
        if self._link.loss:
            netem += ["loss", f"{100 * self._link.loss}%"]
        try:
            self._tc(namespace, "add", "root", "handle", "1:", *netem)
            self._tc(namespace, "add", *self._bucket(rate, 0.0))
        except LinkError as error:
            raise Unsupported(f"this kernel lacks what netem links need ({error})") from error

    def _bucket(self, rate: float, second: float) -> list[str]:
        """Return the token bucket of a rate (Mbit/s): one packet deep, so that it's a line and not a bucket."""
        nominal = self._nominal.nominal(second) if not rate else rate * 125_000
        limit = max(self._link.queue / 1000 * nominal, QUEUE_FLOOR)
        shown = f"{round(rate * 1e6 * FRAME / PACKET)}bit" if rate else STANDSTILL
        bucket = ["tbf", "rate", shown, "burst", str(FRAME), "limit", str(round(limit * FRAME / PACKET))]
        return ["parent", "1:1", "handle", "10:", *bucket]

    def _step(self) -> None:
        """Apply the schedule's steps. Runs in a thread."""
        try:
            for second, rate in self._link.down[1:]:
                if self._done.wait(max(0.0, self._zero + second + self._link.delay / 1000 - time.monotonic())):
                    return
                self._tc(self._lane.server, "change", *self._bucket(rate, second))
                self._nudge()
        except (LinkError, OSError) as error:
            self._failure = f"a step of the rate failed: {error}"

    def _nudge(self) -> None:
        """Send a frame, so that the bucket looks at its queue: it sleeps on by its old rate until something is sent."""
        with inside(self._lane.server):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with raw:
            raw.bind((DEVICE, 0))
            raw.send(NUDGE)

    def _tc(self, namespace: str, verb: str, *rest: str) -> None:
        # Not through the lane: its processes die with the thread that starts them, and the steps have their own.
        command = ["tc", "-n", namespace, "qdisc", verb, "dev", DEVICE, *rest]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise LinkError(f"tc {' '.join(rest)}: {done.stderr.strip()}")

    def _count(self) -> LinkReport:
        """Return what the disciplines counted, a nudge for each step of the rate included."""
        report = LinkReport("netem", "kernel", self.began)
        for way, namespace in (("down", self._lane.server), ("up", self._lane.client)):
            done = self._lane.run(namespace, ["tc", "-s", "-json", "qdisc", "show", "dev", DEVICE])
            try:
                found: dict[str, Any] = {entry["kind"]: entry for entry in json.loads(done.stdout)}
                netem, bucket = found["netem"], found["tbf"]
            except (ValueError, KeyError) as error:
                raise LinkError(f"the queueing disciplines are gone: {done.stderr.strip()}") from error
            report.packets[way] = bucket["packets"]
            report.bytes[way] = bucket["bytes"] - (FRAME - PACKET) * bucket["packets"]
            report.dropped_queue[way] = bucket["drops"]
            report.dropped_loss[way] = max(0, netem["drops"] - bucket["drops"])
        return report

    def _remove(self) -> None:
        ip("-n", self._lane.client, "link", "delete", DEVICE, check=False)
        self._lane.detach()
