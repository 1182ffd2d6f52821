"""The same traces in user space, on the same machine: where its time goes, for the reference and for NFStream.

The reference receives from a packet socket, then parses, tells flows, computes features and infers, each timed apart.
It does so with numpy and compiled loops over whole traces, which flatters it: a monitor that must answer as packets
come has no batch of thousands to work on. Receiving is a system call a packet, by Python's socket module. All times are
of the processor, so that what else the machine does counts less.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.capture.writer import write_pcap
from benchmark.errors import Unsupported
from benchmark.probe import Probe
from benchmark.quality.features import extract_flows
from benchmark.trace import Packets, Trace
from bpf.feed import frames_of
from bpf.routers.live import open_sender
from bpf.routers.network import bridged

OPTIONS: Mapping[str, Any] = {"traces": 3, "rounds": 7, "packets": 20_000, "python": None}
"""traces: how many, spread over the list. rounds: of each, the least counts. packets: received at most.
python: interpreter that has NFStream, None for this one."""
_CHUNK = 128
_EVERY_PROTOCOL = 3
_SO_RCVBUFFORCE = 33
_LONGEST = 120
_NFSTREAM = """
import json, multiprocessing, resource, sys
from nfstream import NFStreamer
def used():
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in each)
found = []
for path in sys.argv[1:]:
    begin = used()
    flows = packets = 0
    for flow in NFStreamer(source=path, statistical_analysis=True, n_dissections=0, n_meters=1):
        flows += 1
        packets += flow.bidirectional_packets
    for child in multiprocessing.active_children():
        child.join()
    found.append([used() - begin, flows, packets])
print(json.dumps(found))
"""


def run(probe: Probe, traces: Sequence[Trace], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Time the reference and NFStream on some traces; what can't be had leaves its reason."""
    count = min(int(settings["traces"]), len(traces))
    chosen = [traces[number * len(traces) // count] for number in range(count)]
    return {
        "packets": sum(len(trace.packets) for trace in chosen),
        "reference": time_reference(probe, chosen, int(settings["rounds"])),
        "receive": _try(lambda: _time_receiving(chosen, int(settings["packets"]))),
        "nfstream": _try(lambda: _time_nfstream(chosen, settings["python"] or sys.executable)),
    }


def _try(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Unsupported as reason:
        return {"unsupported": str(reason)}


def time_reference(probe: Probe, traces: Sequence[Trace], rounds: int) -> dict[str, Any]:
    """ns a packet of parsing, telling flows, computing features and inferring; of each trace, the least of rounds."""
    least = {"parsing": 0.0, "flows": 0.0, "features": 0.0, "inference": 0.0}
    windows = 0
    for trace in traces:
        found: dict[str, list[float]] = {name: [] for name in least}
        # The first round compiles what isn't compiled yet.
        for _ in range(rounds + 1):
            # Fields and flows are remembered by a trace, so each round has a new one.
            fresh = replace(trace, packets=replace(trace.packets))
            begin = time.thread_time_ns()
            _ = fresh.packets.fields
            parsed = time.thread_time_ns()
            _ = fresh.flows
            told = time.thread_time_ns()
            table = extract_flows(fresh, probe.features)
            computed = time.thread_time_ns()
            probe.model.predict(table.values)
            done = time.thread_time_ns()
            for name, first, last in zip(
                least, (begin, parsed, told, computed), (parsed, told, computed, done), strict=True
            ):
                found[name].append(last - first)
        windows += len(table.values)
        for name, times in found.items():
            least[name] += min(times)
    packets = max(1, sum(len(trace.packets) for trace in traces))
    return {
        "ns_per_packet": {name: round(total / packets, 2) for name, total in least.items()},
        "inference_ns_per_window": round(least["inference"] / max(1, windows), 1),
        "windows": windows,
    }


def _time_receiving(traces: Sequence[Trace], most: int) -> dict[str, Any]:
    """Send the traces' packets over a device in chunks that fit the socket's buffer; time only their receiving."""
    times, packets = [], 0
    with (
        bridged() as line,
        open_sender(line.client) as sender,
        line.router.inside(),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap,
    ):
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 22)
        tap.bind(("lan", _EVERY_PROTOCOL))
        tap.settimeout(1.0)
        buffer = bytearray(256)
        for trace in traces:
            frames = frames_of(trace.packets.take(slice(0, max(0, most - packets))))
            packets += len(frames)
            bounds, data = frames.offsets.tolist(), memoryview(frames.data.tobytes())
            for first in range(0, len(frames), _CHUNK):
                chunk = range(first, min(first + _CHUNK, len(frames)))
                for number in chunk:
                    sender.send(data[bounds[number] : bounds[number + 1]])
                begin = time.thread_time_ns()
                for _ in chunk:
                    tap.recv_into(buffer)
                times.append((time.thread_time_ns() - begin) / len(chunk))
    quantiles = np.quantile(times, [0, 0.5, 1]) if times else [0, 0, 0]
    return {"packets": packets, "chunk": _CHUNK, "ns_per_packet": [round(float(one), 1) for one in quantiles]}


def _time_nfstream(traces: Sequence[Trace], python: str) -> dict[str, Any]:
    """ns a packet of NFStream with statistics and without dissection, less what it takes to start and end."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.pcap" for number in range(len(traces) + 1)]
        _write_as_sent(paths[0], traces[0].packets.take(slice(0, 1)))
        for path, trace in zip(paths[1:], traces, strict=True):
            _write_as_sent(path, trace.packets)
        command = [python, "-c", _NFSTREAM, *map(str, paths)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unsupported(f"NFStream: {error}") from error
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or ["it failed"]
        hint = " (pip install -r requirements-nfstream.lock)" if "No module named 'nfstream'" in words[0] else ""
        raise Unsupported(f"NFStream: {words[0]}{hint}")
    start, *found = json.loads(done.stdout.strip().splitlines()[-1])
    packets = sum(one[2] for one in found)
    seconds = sum(one[0] for one in found) - start[0] * len(found)
    return {
        "packets": packets,
        "flows": sum(one[1] for one in found),
        "start_s": round(start[0], 3),
        "ns_per_packet": round(seconds / max(1, packets) * 1e9, 1),
    }


def _write_as_sent(path: Path, packets: Packets) -> None:
    write_pcap(path, packets, link=1)
