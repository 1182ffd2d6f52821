"""The emulated access link between a lane's two namespaces: rate over time, delay, queue, random loss.

    with open_link(lane, link) as running:
        …
    report = running.report()

Backends: "relay", a program between two TUN devices, everywhere; "netem", the kernel's own, where the kernel has it.
Either way the device is ``DEVICE`` at both ends. Sizes are of IP packets: 5 Mbit/s is at most 4.83 Mbit/s of TCP data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lane import Lane
    from session import Link

DEVICE = "link0"
DIRECTIONS = ("down", "up")
LATE_MS = 5.0


@dataclass(frozen=True)
class LinkReport:
    """What a link did. The counts are by direction, "down" and "up".

    packets, bytes: that the link took on; dropped_queue and dropped_loss: packets that it didn't. lateness: how long
    after its due time a packet was delivered, ms, and the share of packets over ``LATE_MS`` late; None where the
    backend can't tell. scheduling: "fifo", "nice" or "normal" for the relay, "kernel" for netem. cpu_seconds: the
    backend's own. began: unix second of the schedule's start.
    """

    backend: str
    scheduling: str = "normal"
    began: float = 0.0
    packets: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    dropped_queue: dict[str, int] = field(default_factory=dict)
    dropped_loss: dict[str, int] = field(default_factory=dict)
    lateness_mean_ms: float | None = None
    lateness_p99_ms: float | None = None
    lateness_max_ms: float | None = None
    late_share: float | None = None
    cpu_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; what the backend can't tell is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class RunningLink(Protocol):
    """A link that is up, or has been."""

    began: float

    def report(self) -> LinkReport:
        """Return the counts so far, or the last ones once the link is closed; raises LinkError if it broke."""
        ...


class LinkError(RuntimeError):
    """The link broke: what ran over it isn't what was asked for."""


@contextmanager
def open_link(lane: Lane, link: Link) -> Iterator[RunningLink]:
    """Put a link between a lane's namespaces for the length of the block; its schedule begins at once.

    Raises ValueError for a link that can't be, and benchmark.errors.Unsupported where this machine lacks the backend.
    """
    if link.backend == "relay":
        from link.relay import RelayLink

        running: RelayLink | NetemLink = RelayLink(lane, link)
    elif link.backend == "netem":
        from link.netem import NetemLink

        running = NetemLink(lane, link)
    else:
        raise ValueError(f"a link's backend is 'relay' or 'netem', not '{link.backend}'")
    try:
        yield running
    finally:
        running.close()
