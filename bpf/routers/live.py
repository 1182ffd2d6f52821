"""Traces sent live through a bridging router, at their own pace, past a probe on its devices.

Each packet goes out on its own side of the router, as long as it was on the wire, payload zeros. tc, tcx and socket sit
on the client's side alone and see both directions; xdp sees what comes in, and so sits on both sides.
"""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.errors import ConfigError
from benchmark.probe import Probe, Verdicts
from benchmark.trace import NANOSECONDS, Trace
from benchmark.verdicts import judge
from bpf.attach import attach, find_device
from bpf.feed import frames_of
from bpf.probe import LoadedProbe, live_clock
from bpf.replay import read_verdicts
from bpf.routers.network import Line, Namespace, bridged
from bpf.routers.replaying import options_of

OPTIONS: Mapping[str, Any] = {"traces": 1, "seconds": 20, "speed": 1.0, "hooks": None}
"""traces: how many, spread over the list. seconds: of each at most, in its own time. speed: 2 sends in half the time.
hooks: those tried in turn, None for the probe's own."""
DEVICES: Mapping[str, tuple[str, ...]] = {"xdp": ("lan", "wan")}
"""Where a hook must sit to see both directions, if not on ``lan`` alone."""
_QUEUE = 4096
_SETTLING = 0.05
_ZERO = bytes(4)
# Locally administered addresses of the client and the server.
_CLIENT, _SERVER = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")


@dataclass(frozen=True)
class Sent:
    """Packets that the devices took, by direction, and how late they went out, in ms."""

    up: int
    down: int
    median_late_ms: float
    greatest_late_ms: float


def run(probe: Probe, traces: Sequence[Trace], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Send some traces past the probe, for each hook anew; return what was sent and seen, and said as the reference."""
    speed = float(settings["speed"])
    if not speed > 0:
        raise ConfigError(f"router.options.live.speed: {speed} isn't above 0")
    count = min(int(settings["traces"]), len(traces))
    chosen = [_cut(traces[number * len(traces) // count], float(settings["seconds"])) for number in range(count)]
    mtu = max([1500, *(int(trace.packets.length.max(initial=0)) for trace in chosen)])
    tried = []
    for hook in settings["hooks"] or [probe.hook]:
        for devices in dict.fromkeys((DEVICES.get(hook, ("lan",)), ("lan",))):
            told = [send_past(replace(probe, hook=hook), trace, speed, mtu, devices) for trace in chosen]
            tried.append({"hook": hook, "devices": list(devices), "traces": told})
    return {"mtu": mtu, "offloads": "nothing to merge or cut: packets are sent one by one", "tried": tried}


def send_past(
    probe: Probe, trace: Trace, speed: float = 1.0, mtu: int = 1500, devices: Sequence[str] = ("lan",)
) -> dict[str, Any]:
    """Send a trace through a router of its own, past the probe on its ``devices``."""
    window = round(trace.condition.window * NANOSECONDS / speed)
    with (
        bridged(mtu) as line,
        LoadedProbe(options_of(probe, trace.client, replay=False, rows=True, results=_QUEUE)) as loaded,
        attached_on(line, probe.hook, loaded.program.descriptor, devices),
    ):
        start = time.monotonic_ns() + 20_000_000
        loaded.loaded.maps["clock"].update(_ZERO, live_clock(window, start).tobytes())
        sent = _send(line, trace, start, speed)
        time.sleep(_SETTLING)
        counters = loaded.counters()
        results = b"".join(loaded.close_flows())
        verdicts = read_verdicts(trace, results, loaded.bundle)
        rows = np.frombuffer(results, loaded.bundle.types.record("record"))["row"]
    return {
        "trace": trace.name,
        "seconds": round(float(np.ptp(trace.packets.ts)) / NANOSECONDS, 1) if len(trace.packets) else 0.0,
        "sent": {"up": sent.up, "down": sent.down},
        "counted": {"up": int(rows[:, 0].sum()), "down": int(rows[:, 2].sum())},
        "seen": int(counters["seen"]),
        "accounted": int(counters["accounted"]),
        "skipped": int(counters["skipped"].sum()),
        "lost": sent.up + sent.down - int(counters["seen"]),
        "late_ms": [round(sent.median_late_ms, 3), round(sent.greatest_late_ms, 3)],
        **(_compare(probe, trace, verdicts) if speed == 1 else {}),
    }


def _cut(trace: Trace, seconds: float) -> Trace:
    packets = trace.packets.shifted(-int(trace.packets.ts[0])) if len(trace.packets) else trace.packets
    return replace(trace, packets=packets.take(packets.ts < seconds * NANOSECONDS))


@contextlib.contextmanager
def attached_on(line: Line, hook: str, program: int, devices: Sequence[str] = ()) -> Iterator[None]:
    """Have devices of the router, by default all that the hook takes for both directions, run a program."""
    with line.router.inside(), contextlib.ExitStack() as stack:
        for name in devices or DEVICES.get(hook, ("lan",)):
            stack.enter_context(attach(hook, program, find_device(name)))
        yield


def open_sender(namespace: Namespace, device: str = "wire") -> socket.socket:
    """A socket whose frames leave by a device, and that receives nothing."""
    with namespace.inside():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind((device, 0))
    return sender


def _send(line: Line, trace: Trace, start: int, speed: float) -> Sent:
    """Send the packets, each at its time or as soon after as can be."""
    frames = frames_of(trace.packets)
    data, bounds = memoryview(_addressed(frames.data, frames.offsets, trace)), frames.offsets.tolist()
    padding = memoryview(bytes(int(trace.packets.length.max(initial=0))))
    lacking = np.maximum(trace.packets.length - trace.packets.captured, 0).tolist()
    due = (start + (frames.times.astype(np.float64) / speed)).astype(np.int64).tolist()
    up, sent, late = trace.flows.up.tolist(), [0, 0], []
    with open_sender(line.client) as client, open_sender(line.server) as server:
        ways = (server.sendmsg, client.sendmsg)
        for number, moment in enumerate(due):
            ahead = moment - time.monotonic_ns()
            if ahead > 0:
                time.sleep(ahead / NANOSECONDS)
            way = up[number]
            try:
                ways[way]([data[bounds[number] : bounds[number + 1]], padding[: lacking[number]]])
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.EMSGSIZE):
                    raise
                continue
            sent[way] += 1
            late.append(time.monotonic_ns() - moment)
    in_ms = np.array(late or [0]) / 1e6
    return Sent(sent[1], sent[0], float(np.median(in_ms)), float(in_ms.max()))


def _addressed(data: np.ndarray, offsets: np.ndarray, trace: Trace) -> bytes:
    """Fill in the Ethernet addresses."""
    filled = data.copy()
    up = trace.flows.up
    ends = np.frombuffer(_SERVER + _CLIENT, np.uint8), np.frombuffer(_CLIENT + _SERVER, np.uint8)
    places = offsets[:-1, None] + np.arange(12)
    filled[places] = np.where(up[:, None], ends[0], ends[1])
    return filled.tobytes()


def _compare(probe: Probe, trace: Trace, verdicts: Verdicts) -> dict[str, Any]:
    """Shares of the reference's flows and windows that the probe had, counted alike and told alike."""
    expected = judge(probe.model, [trace], probe.features)[0]
    live, reference = (_by_place(one) for one in (verdicts, expected))
    found = [(live.get(place), said) for place, said in reference.items()]
    total = len(found) or math.nan
    return {
        "windows": len(found),
        "same_bytes": sum(own is not None and own[0] == said[0] for own, said in found) / total,
        "same_label": sum(own is not None and own[1] == said[1] for own, said in found) / total,
    }


def _by_place(verdicts: Verdicts) -> dict[tuple[int, int], tuple[int, int]]:
    places = zip(verdicts.flow.tolist(), verdicts.window.tolist(), strict=True)
    return dict(zip(places, zip(verdicts.down_bytes.tolist(), verdicts.label.tolist(), strict=True), strict=True))
