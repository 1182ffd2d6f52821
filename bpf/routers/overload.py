"""What is lost when more packets come than the machine can take: by the probe, and by a reader in user space.

Small packets of more flows than the flow map holds arrive as fast as one thread sends them. The probe runs within each
packet's own path, so that overload makes the sender wait; what the devices drop ahead of it is counted apart.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.errors import ConfigError
from benchmark.probe import Probe
from benchmark.trace import Trace
from bpf.probe import LoadedProbe, live_clock
from bpf.routers.flood import Flood
from bpf.routers.live import attached_on, open_sender
from bpf.routers.network import Line, bridged
from bpf.routers.replaying import options_of

OPTIONS: Mapping[str, Any] = {"seconds": 2.0, "flows": 8192, "window": 0.25}
"""seconds: of each of three floods: nobody looks, the probe looks, a reader in user space looks. flows: sent in turn.
window: seconds of the probe's windows."""
_LONGEST = 3.0
_MOST_FLOWS = 50_000
_SOL_PACKET, _STATISTICS = 263, 6
_EVERY_PROTOCOL = 3
_SETTLING = 0.05
_CLIENT = "10.78.1.2/32"
_ZERO = bytes(4)


def run(probe: Probe, _traces: Sequence[Trace], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flood three times, for less than ten seconds in all; return what each one sent, delivered, saw and lost.

    A flow that was evicted took an open window with it.
    """
    seconds, flows = float(settings["seconds"]), int(settings["flows"])
    if not 0 < seconds <= _LONGEST:
        raise ConfigError(f"router.options.overload.seconds: {seconds} isn't above 0 and within {_LONGEST}")
    if not 1 <= flows <= _MOST_FLOWS:
        raise ConfigError(f"router.options.overload.flows: {flows} isn't within 1 to {_MOST_FLOWS}")
    with bridged() as line:
        nobody = _ignore(line, flows, seconds)
    with bridged() as line:
        watched = _watch(probe, line, flows, seconds, round(float(settings["window"]) * 1e9))
    with bridged() as line:
        read = _read(line, flows, seconds)
    return {"nobody": nobody, "probe": watched, "user_space": read}


@contextlib.contextmanager
def _flooding(line: Line, flows: int) -> Iterator[Flood]:
    with open_sender(line.client) as sender:
        flood = Flood(sender, flows)
        flood.start()
        try:
            yield flood
        finally:
            flood.stop()


def _ignore(line: Line, flows: int, seconds: float) -> dict[str, Any]:
    with _flooding(line, flows) as flood:
        time.sleep(seconds)
    return _delivered(line, flood)


def _watch(probe: Probe, line: Line, flows: int, seconds: float, window: int) -> dict[str, Any]:
    with (
        LoadedProbe(options_of(probe, _CLIENT, replay=False)) as loaded,
        attached_on(line, probe.hook, loaded.program.descriptor),
    ):
        loaded.loaded.maps["clock"].update(_ZERO, live_clock(window, time.monotonic_ns()).tobytes())
        with _flooding(line, flows) as flood:
            time.sleep(seconds)
        time.sleep(_SETTLING)
        counters, kept = loaded.counters(), len(list(loaded.loaded.maps["flows"].keys()))
        facts = _delivered(line, flood)
    seen, skipped = int(counters["seen"]), int(counters["skipped"].sum())
    return {
        **facts,
        "seen": seen,
        "unseen": facts["delivered"] - seen,
        "unaccounted": seen - int(counters["accounted"]) - skipped,
        "no_room": skipped,
        "windows_closed": int(counters["closed"]),
        "results_overwritten": int(counters["overwritten"]),
        "flows_opened": int(counters["opened"]),
        "flows_evicted": int(counters["opened"]) - kept,
    }


def _read(line: Line, flows: int, seconds: float) -> dict[str, Any]:
    """A packet socket of default size, read by one thread of this interpreter."""
    with line.router.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        tap.bind(("lan", _EVERY_PROTOCOL))
        tap.settimeout(_SETTLING)
        buffer, received = bytearray(128), 0
        with _flooding(line, flows) as flood:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    tap.recv_into(buffer)
                    received += 1
        with contextlib.suppress(TimeoutError):
            while True:
                tap.recv_into(buffer)
                received += 1
        told = struct.unpack("=II", tap.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        facts = _delivered(line, flood)
    return {**facts, "seen": received, "dropped_by_socket": told[1], "unseen": facts["delivered"] - received}


def _delivered(line: Line, flood: Flood) -> dict[str, Any]:
    """What was sent, and what the router's device received of it."""
    device = json.loads(line.router.run("ip -statistics -json link show dev lan"))[0]
    received = int(device["stats64"]["rx"]["packets"])
    return {
        "sent": flood.sent,
        "packets_per_s": round(flood.sent / flood.seconds) if flood.seconds else 0,
        "delivered": received,
        "dropped_by_device": flood.sent - received,
    }
