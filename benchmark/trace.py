"""What a trace is: the packets of one captured session in time order, and its labels."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.capture.gather import gather
from benchmark.flow import Flows, assign_flows
from benchmark.wire import Fields, parse_fields

LINKTYPE_RAW = 101
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Packets:
    """The packets of a trace as arrays; the bytes are the truth and every field is a view of them.

    ts: int64 [n], nanoseconds since the trace began.
    length: int32 [n], the IP total length in bytes (header and payload, as sent, not as captured).
    data: uint8 [offsets[-1]], the captured bytes of all packets, each from its IP header on.
    offsets: int64 [n + 1], packet i is ``data[offsets[i]:offsets[i + 1]]``.
    link: the link type of the capture (LINKTYPE_ number), for writing it back.
    """

    ts: NDArray[np.int64]
    length: NDArray[np.int32]
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    link: int = LINKTYPE_RAW

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def captured(self) -> NDArray[np.int64]:
        """Captured bytes of each packet, int64 [n]."""
        return np.diff(self.offsets)

    @cached_property
    def fields(self) -> Fields:
        """Header fields of every packet, parsed once."""
        return parse_fields(self.data, self.offsets, self.length)

    def take(self, index: NDArray[Any] | slice) -> Packets:
        """Select packets by a slice, an integer index or a boolean mask; the bytes are copied."""
        chosen = np.arange(len(self))[index]
        data, offsets = gather(self.data, self.offsets[:-1][chosen], self.captured[chosen])
        return Packets(self.ts[chosen], self.length[chosen], data, offsets, self.link)

    def shifted(self, nanoseconds: int) -> Packets:
        """Return the same packets, every timestamp moved by ``nanoseconds``."""
        return replace(self, ts=self.ts + nanoseconds)

    def same_as(self, other: Packets) -> bool:
        """Tell whether both hold the same packets: times, lengths and bytes."""
        return (
            np.array_equal(self.ts, other.ts)
            and np.array_equal(self.length, other.length)
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.data, other.data)
        )


def join_packets(parts: Sequence[Packets]) -> Packets:
    """Concatenate packets in the order given; the link type is the first part's."""
    if not parts:
        empty = np.zeros(0, np.int64)
        return Packets(empty, empty.astype(np.int32), empty.astype(np.uint8), np.zeros(1, np.int64))
    captured = np.concatenate([part.captured for part in parts])
    return Packets(
        np.concatenate([part.ts for part in parts]),
        np.concatenate([part.length for part in parts]),
        np.concatenate([part.data[part.offsets[0] : part.offsets[-1]] for part in parts]),
        np.concatenate([[0], np.cumsum(captured)]).astype(np.int64),
        parts[0].link,
    )


@dataclass(frozen=True, eq=False)
class Labels:
    """Ground truth of one trace: arrays hold one value a window; NaN or -1 where there is none.

    rung: int8 [w], the modal ladder rung of the video segments completed in the window (0 is the lowest).
    height: int16 [w], the played height in lines, counted only while the playhead moves.
    stall: float32 [w], seconds stalled. fps: float32 [w]. bitrate: float32 [w], bit/s received.
    startup: seconds from the player's start (or the first packet, if later) to the first frame played.
    """

    rung: NDArray[np.int8]
    height: NDArray[np.int16]
    stall: NDArray[np.float32]
    fps: NDArray[np.float32]
    bitrate: NDArray[np.float32]
    startup: float = float("nan")

    def __len__(self) -> int:
        return len(self.rung)

    @staticmethod
    def unknown(windows: int) -> Labels:
        """Labels of ``windows`` windows about which nothing is known."""
        nothing = np.full(windows, np.nan, np.float32)
        return Labels(np.full(windows, -1, np.int8), np.full(windows, -1, np.int16), nothing, nothing, nothing)


@dataclass(frozen=True, eq=False)
class Network:
    """The path that a session was on.

    rate: float32 [n], bit/s that the link could bring down in each ``step`` seconds since the first packet.
    delay: seconds one way, beside any queue. loss: share of packets lost at random.
    """

    rate: NDArray[np.float32]
    step: float
    delay: float
    loss: float


@dataclass(frozen=True, eq=False)
class Condition:
    """What a generator is asked for.

    application: the software that made the traffic, as the corpus names it.
    duration: seconds. window: seconds a window lasts. labels: the quality wanted in each window.
    network: the path, where the corpus knows it.
    """

    application: str
    duration: float
    window: float
    labels: Labels
    network: Network | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """One captured or generated session: its packets and its labels.

    client: the prefix of the client's address ("10.77.0.2/32"); empty where the corpus has none.
    condition: what was asked for, or for a real trace what its labels say it is.
    """

    name: str
    packets: Packets
    condition: Condition
    client: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """Ground truth (real) or the quality asked for (synthetic)."""
        return self.condition.labels

    @cached_property
    def flows(self) -> Flows:
        """Flow and direction of every packet; see ``benchmark.flow``."""
        network = ipaddress.ip_network(self.client, strict=False) if self.client else None
        return assign_flows(self.packets.fields, network)

    def windows(self) -> NDArray[np.int64]:
        """Index of the window that each packet falls in, int64 [n], counted from the first packet."""
        if len(self.packets) == 0:
            return np.zeros(0, np.int64)
        since = self.packets.ts - self.packets.ts[0]
        return np.asarray(since // round(self.condition.window * NANOSECONDS))
