"""A loaded probe on a live device: windows as they close, flows that fell silent, and the clock handed on in time."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.quality.names import FEATURE_SETS
from bpf.abi import RESULT, SKIP_REASONS, flow_layout
from bpf.probe import LoadedProbe, later_clock, live_clock

_ZERO = bytes(4)
_PROTOCOLS = {6: "tcp", 17: "udp"}


@dataclass(frozen=True)
class Flow:
    """Who talks to whom: addresses with ports as in URLs, and tcp or udp."""

    client: str
    server: str
    protocol: str


@dataclass(frozen=True)
class Window:
    """A closed window of a flow: its index since the start, bytes that came down, and what the model said.

    judged: a model did; else label and score mean nothing.
    """

    flow: Flow
    index: int
    down_bytes: int
    label: int
    score: int
    judged: bool


@dataclass(frozen=True)
class Account:
    """Packets: seen by the hook, on a flow, skipped by reason; ``lost`` are results that nobody could read."""

    seen: int
    accounted: int
    skipped: Mapping[str, int]
    lost: int

    @property
    def unaccounted(self) -> int:
        """Packets that are neither on a flow nor skipped for a reason: 0, or the program is wrong."""
        return self.seen - self.accounted - sum(self.skipped.values())


class Live:
    """Reads a probe loaded with ``replay=False``; windows count from now on, on the kernel's monotonic clock."""

    def __init__(self, probe: LoadedProbe, window_seconds: float) -> None:
        self._probe = probe
        self._period = round(window_seconds * 1e9)
        self._clock = live_clock(self._period, time.monotonic_ns())
        self._started = time.time() - (time.monotonic_ns() - int(self._clock["epoch"])) / 1e9
        self._write_clock()
        self._layout = flow_layout(FEATURE_SETS.index(probe.options.features))

    def begins(self, index: int) -> float:
        """When a window began, in seconds since 1970."""
        return self._started + index * self._period / 1e9

    def read(self) -> Iterator[Window]:
        """Yield the windows that closed since the last call."""
        later = later_clock(self._clock, time.monotonic_ns())
        if later is not None:
            self._clock = later
            self._write_clock()
        results = self._probe.loaded.maps["results"]
        while (value := results.pop()) is not None:
            yield read_window(value)

    def close_silent(self) -> None:
        """Close flows that have had no packet for a whole window, so that what they said last is heard."""
        silent_since = time.monotonic_ns() - self._period
        flows = self._probe.loaded.maps["flows"]
        for key in list(flows.keys()):
            value = flows.lookup(key)
            if value is None:
                continue
            flow = np.frombuffer(value, self._layout, 1)[0]
            if max(flow["up"]["window_end"], flow["down"]["window_end"]) < silent_since:
                self._probe.close_flow(key)

    def close_all(self) -> Iterator[Window]:
        """Yield what every open window has so far, and forget all flows."""
        for value in self._probe.close_flows():
            yield read_window(value)

    def account(self) -> Account:
        """Return the packets counted so far."""
        counters = self._probe.counters()
        skipped = {name: int(counters["skipped"][place]) for place, name in enumerate(SKIP_REASONS) if place}
        lost = int(counters["overwritten"]) + int(counters["unpublished"])
        return Account(int(counters["seen"]), int(counters["accounted"]), skipped, lost)

    def _write_clock(self) -> None:
        self._probe.loaded.maps["clock"].update(_ZERO, self._clock.tobytes())


def read_window(value: bytes) -> Window:
    """Read a result as the program queues it."""
    result: Any = np.frombuffer(value, RESULT, 1)[0]
    return Window(
        read_flow(result["key"]),
        int(result["window"]),
        int(result["down_bytes"]),
        int(result["label"]),
        int(result["score"]),
        bool(result["kind"]),
    )


def read_flow(key: NDArray[Any]) -> Flow:
    """Read a key, KEY [], in words."""
    ends = []
    for number, name in enumerate(("client", "server")):
        packed, port = np.asarray(key[name]).tobytes(), int(key["ports"][number])
        if key["version"] == 4:
            ends.append(f"{ipaddress.IPv4Address(packed[:4])}:{port}")
        else:
            ends.append(f"[{ipaddress.IPv6Address(packed)}]:{port}")
    return Flow(ends[0], ends[1], _PROTOCOLS.get(int(key["protocol"]), str(int(key["protocol"]))))


def device_packets(device: str, text: str | None = None) -> tuple[int, int]:
    """Return the packets that a device received and sent so far, from /proc/net/dev of this network namespace."""
    for line in (Path("/proc/thread-self/net/dev").read_text() if text is None else text).splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == device:
            return int(figures.split()[1]), int(figures.split()[9])
    raise OSError(19, f"no such device: {device}")
