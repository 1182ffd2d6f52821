"""What a packet costs in this machine's kernel: test runs in turns, the least of rounds, less the passing program.

A test run repeats one packet with warm caches, so that its time is a lower bound. Beside it, a stretch of a trace is
run packet by packet, in its own order: each run is then timed by itself, and comes behind a system call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.probe import Probe
from benchmark.trace import Trace
from bpf.abi import CLOCK
from bpf.feed import ETHERNET, frames_of
from bpf.kernel import Program
from bpf.probe import LoadedProbe, live_clock
from bpf.replay import clocks_of
from bpf.routers.kinds import Kind, find_kinds
from bpf.routers.replaying import options_of

_CLOSINGS = 2000
"""Windows closed by one test run: no more than the queue of a timed probe holds, as it would be read in time."""
_QUEUE = 4096
_LONG, _SHORT = 1 << 40, 1 << 20
"""ns of a window that no timed packet closes, and of one that each closes; a clock counts 2^32 units of 1024 ns."""
_STRETCH = 2000
_ZERO = bytes(4)


@dataclass(frozen=True)
class Subject:
    """A program to time: a feature set at a hook, with or without the probe's model."""

    features: str
    hook: str
    model: bool

    @property
    def name(self) -> str:
        """As in the notes."""
        return f"{self.features} {self.hook}{'' if self.model else ' without model'}"


@dataclass
class _Item:
    """One packet, run over and over by one program of one subject; ``found`` are the ns of each round."""

    loaded: LoadedProbe
    program: Program
    frame: bytes
    repeat: int
    clock: bytes | None
    found: list[int] = field(default_factory=list)

    def run(self) -> None:
        if self.clock is not None:
            self.loaded.close_flows()
            self.loaded.loaded.maps["clock"].update(_ZERO, self.clock)
        self.found.append(self.program.run(self.frame, self.repeat)[1])


@dataclass(frozen=True)
class Cost:
    """ns that a subject adds to a packet: on average, amortising windows' ends, and for one that closes a window."""

    added_ns: float
    closing_ns: float
    facts: Mapping[str, Any]


def subjects_of(probe: Probe, features: Sequence[str] | None, hooks: Sequence[str] | None) -> list[Subject]:
    """The probe itself, then every other feature set and hook asked for, without a model: it fits its own set alone."""
    own = Subject(probe.features, probe.hook, True)
    if not features and not hooks:
        return [own]
    sets = features or [probe.features]
    return [own, *(Subject(name, hook, False) for hook in hooks or [probe.hook] for name in sets)]


def measure(
    probe: Probe, traces: Sequence[Trace], subjects: Sequence[Subject], closings: float, rounds: int, repeat: int
) -> dict[str, Cost]:
    """Time all subjects in turns on one packet of each kind in ``traces``, of which ``closings`` each close windows.

    Packets are those of the traces of the first one's client; nothing is returned where none has a flow.
    """
    traces = [trace for trace in traces if trace.client == traces[0].client]
    kinds = find_kinds(traces)
    if not kinds:
        return {}
    found: dict[str, dict[str, dict[str, _Item]]] = {}
    stretches: dict[str, dict[str, float]] = {}
    before = os.getloadavg()[0]
    with ExitStack() as stack:
        for subject in subjects:
            live, replayed = (
                stack.enter_context(_load(probe, subject, traces[0].client, replay=replay)) for replay in (False, True)
            )
            found[subject.name] = {
                kind.name: dict(_items(live, replayed, traces[kind.trace], kind.packet, repeat)) for kind in kinds
            }
            if subject.hook != "xdp":
                stretches[subject.name] = _run_stretch(replayed, max(traces, key=lambda one: len(one.packets)), rounds)
        for _ in range(rounds):
            for own in found.values():
                for items in own.values():
                    for item in items.values():
                        item.run()
    costs = {}
    for subject in subjects:
        times = {
            kind: {what: item.found for what, item in items.items()} for kind, items in found[subject.name].items()
        }
        facts = {
            "rounds": rounds,
            "repeat": repeat,
            "load_average": round(before, 2),
            "packets": {kind.name: {"share": round(kind.share, 4), **_spread(times[kind.name])} for kind in kinds},
            **({"stretch": stretches[subject.name]} if subject.name in stretches else {}),
        }
        costs[subject.name] = _sum_up(kinds, times, closings, facts)
    return costs


def _items(
    live: LoadedProbe, replayed: LoadedProbe, trace: Trace, packet: int, repeat: int
) -> Iterator[tuple[str, _Item]]:
    """What is run of a packet: it passes, is counted at the kernel's own time or a given one, or closes a window."""
    one = frames_of(trace.packets.take(np.array([packet])))
    frame = _lead(live) + one.data.tobytes()
    gap = int(trace.packets.ts[-1] - trace.packets.ts[0]) // max(1, len(trace.packets) - 1)
    now = live_clock(_LONG, time.monotonic_ns()).tobytes()
    yield "passing", _Item(live, live.floor, frame, repeat, None)
    yield "packet", _Item(live, live.program, frame, repeat, now)
    yield "replayed", _Item(replayed, replayed.program, frame, repeat, _stepped(_LONG, min(gap, _LONG // repeat)))
    yield "closing", _Item(replayed, replayed.program, frame, min(repeat, _CLOSINGS), _stepped(_SHORT, _SHORT))


def _lead(loaded: LoadedProbe) -> bytes:
    """What a socket's test run takes away ahead of a frame."""
    return bytes(ETHERNET) if loaded.options.hook == "socket" else b""


def _load(probe: Probe, subject: Subject, client: str, replay: bool) -> LoadedProbe:
    changes: dict[str, Any] = {"features": subject.features, "hook": subject.hook, "replay": replay, "results": _QUEUE}
    return LoadedProbe(options_of(probe, client, **changes, **({} if subject.model else {"blob": b""})))


def _stepped(window: int, step: int) -> bytes:
    clock = np.zeros((), CLOCK)
    clock["window"], clock["shift"], clock["units"], clock["step"] = window, 10, window >> 10, step
    return clock.tobytes()


def _sum_up(
    kinds: Sequence[Kind], found: Mapping[str, Mapping[str, list[int]]], closings: float, facts: dict[str, Any]
) -> Cost:
    def mean(first: str, second: str) -> float:
        return sum(kind.share * (min(found[kind.name][first]) - min(found[kind.name][second])) for kind in kinds)

    packet, closing = mean("packet", "passing"), mean("closing", "passing")
    added = packet + closings * mean("closing", "replayed")
    facts = {
        **facts,
        "packet_ns": round(packet, 2),
        "reading_the_clock_ns": round(packet - mean("replayed", "passing"), 2),
        "closing_ns": round(closing, 2),
        "added_ns": round(added, 2),
        "closings_per_packet": closings,
    }
    return Cost(added, closing, facts)


def _spread(found: Mapping[str, list[int]]) -> dict[str, list[float]]:
    """Least, median and greatest of the rounds."""
    return {what: [min(times), float(np.median(times)), max(times)] for what, times in found.items()}


def _run_stretch(loaded: LoadedProbe, trace: Trace, rounds: int) -> dict[str, float]:
    """Run a trace's first packets one by one; each packet's least of the rounds, less the passing program's."""
    frames = frames_of(trace.packets.take(slice(0, _STRETCH)))
    bounds = frames.offsets.tolist()
    parts = [_lead(loaded) + frames.data[bounds[at] : bounds[at + 1]].tobytes() for at in range(len(frames))]
    found: dict[str, list[list[int]]] = {"probe": [], "passing": []}
    clock = next(iter(clocks_of(trace, loaded.bundle)))[0]
    for _ in range(rounds):
        loaded.close_flows()
        for what, program in (("passing", loaded.floor), ("probe", loaded.program)):
            times = []
            for part, now in zip(parts, frames.times.tolist(), strict=True):
                clock["now"] = now
                loaded.loaded.maps["clock"].update(_ZERO, clock.tobytes())
                times.append(program.run(part)[1])
            found[what].append(times)
    least = {what: np.min(times, axis=0) for what, times in found.items()}
    added = least["probe"] - least["passing"]
    return {
        "packets": len(parts),
        "added_ns": round(float(added.mean()), 1),
        "passing_ns": round(float(least["passing"].mean()), 1),
        "greatest_ns": float(added.max(initial=0)),
    }
