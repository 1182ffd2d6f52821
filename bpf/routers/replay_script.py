"""One boot's work: a probe's maps and programs, traces to replay through them, and what is read of the answers."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.probe import Verdicts
from benchmark.trace import Trace
from bpf.agent.answer import read_facts
from bpf.agent.script import Relocation, Script
from bpf.elf import RODATA, Bundle
from bpf.replay import clocks_of, frames_of, read_verdicts

CLOSE = "close_flow"
_FLOOR_PACKETS = 500
"""Packets of a trace that the passing program is timed on: it costs the same whatever the packet is."""
_ROUNDS = 3
_LONG_WINDOW, _SHORT_WINDOW = 1 << 40, 1 << 20
"""ns of a window that no measured packet closes, and of one that each closes; a clock counts 2^32 units of 1024 ns."""


@dataclass(frozen=True)
class Timed:
    """Instructions of replays: of the probe on all ``packets``, ``floor`` of the passing program on ``sampled``."""

    packets: int
    probe: int
    sampled: int
    floor: int

    def __add__(self, other: Timed) -> Timed:
        return Timed(
            self.packets + other.packets,
            self.probe + other.probe,
            self.sampled + other.sampled,
            self.floor + other.floor,
        )

    @property
    def added(self) -> float:
        """What the probe adds to a packet, on average; NaN where there is none."""
        if not self.packets:
            return float("nan")
        return self.probe / self.packets - self.floor / self.sampled


@dataclass(frozen=True)
class Costs:
    """Instructions of one packet, run over and over: passed, counted, and counted while each closes a window."""

    passing: int
    packet: int
    closing: int


class ReplayScript:
    """The script of one boot, which grows call by call, and the reader of its answers.

    ``bundle`` is tailored to the traces' client and to the model. Traces are replayed by the programs of the hook
    ``replayed`` (tc or socket), single packets measured by those of the hook ``measured`` (xdp, too).
    """

    def __init__(self, bundle: Bundle, replayed: str, measured: str) -> None:
        self.bundle, self.replayed, self.measured = bundle, replayed, measured
        self.script = Script(bundle.byte_order)
        self._maps: dict[str, int] = {}
        self._programs: dict[str, int] = {}
        self._charges: list[int] = []
        self._loads: dict[str, int] = {}
        self._replays: list[tuple[Trace, int, tuple[int, ...], int]] = []
        self._counters = -1
        self._create_maps()
        self._load(CLOSE)
        for hook in dict.fromkeys((replayed, measured)):
            self._load(f"pass_{hook}")
            self._load(f"probe_{hook}")

    def _create_maps(self) -> None:
        for name, spec in self.bundle.maps.items():
            self._charges.append(len(self.script.commands))
            self._maps[name] = self.script.create_map(
                name.lstrip("."), spec.kind, spec.key_size, spec.value_size, spec.max_entries, spec.flags
            )
            if spec.contents:
                self.script.update(self._maps[name], bytes(4), spec.contents)
            if name.startswith(RODATA):
                self.script.freeze(self._maps[name])

    def _load(self, name: str) -> None:
        program = self.bundle.programs[name]
        places = [Relocation(at.instruction, self._maps[at.map], at.source, at.offset) for at in program.references]
        self._loads[name] = len(self.script.commands)
        self._programs[name] = self.script.load(name, program.kind, program.instructions, places)

    def replay(self, trace: Trace) -> None:
        """Replay a trace and close its flows; time the passing program on its first packets."""
        script, clock, queue = self.script, self._maps["clock"], self._maps["results"]
        now = self._field("clock", "now")[1]
        frames = list(frames_of(trace))
        parts = []
        passing, program = (self._programs[f"{what}_{self.replayed}"] for what in ("pass", "probe"))
        floor = script.replay(passing, clock, self._idle_clock(), now, frames[:_FLOOR_PACKETS])
        for value, part in clocks_of(trace, self.bundle):
            parts.append(script.replay(program, clock, value.tobytes(), now, frames[part], queue))
        close = script.close(self._programs[CLOSE], self._maps["flows"], queue)
        self._replays.append((trace, floor, tuple(parts), close))

    def count(self) -> None:
        """Ask for the counters, as they stand after the replays so far."""
        self._counters = self.script.dump(self._maps["counters"])

    def measure(self, trace: Trace, packet: int, repeat: int) -> tuple[int, int, int]:
        """Measure one packet of a trace; return the places of its costs, for ``costs``.

        It comes again after the trace's mean gap, and then so late that each one closes a window.
        """
        frame = next(part for number, (_, part) in enumerate(frames_of(trace)) if number == packet)
        gap = int(trace.packets.ts[-1] - trace.packets.ts[0]) // max(1, len(trace.packets) - 1)
        passing = self.script.measure(self._programs[f"pass_{self.measured}"], frame, repeat, _ROUNDS)
        return (
            passing,
            self._measure(frame, _LONG_WINDOW, min(gap, _LONG_WINDOW // (repeat * _ROUNDS + 1)), repeat),
            self._measure(frame, _SHORT_WINDOW, _SHORT_WINDOW, repeat),
        )

    def _measure(self, frame: bytes, window: int, step: int, repeat: int) -> int:
        clock = np.zeros((), self.bundle.types.record("clock"))
        clock["window"], clock["shift"], clock["units"], clock["step"] = window, 10, window >> 10, step
        self.script.clear(self._maps["flows"])
        self.script.update(self._maps["clock"], bytes(4), clock.tobytes())
        return self.script.measure(self._programs[f"probe_{self.measured}"], frame, repeat, _ROUNDS)

    def _idle_clock(self) -> bytes:
        return bytes(self.bundle.types.record("clock").itemsize)

    def verdicts(self, answers: Sequence[bytes]) -> list[Verdicts]:
        """What was inferred of each trace, in the order of the replays."""
        return [
            read_verdicts(trace, b"".join([*(answers[at][8:] for at in parts), answers[close]]), self.bundle)
            for trace, _, parts, close in self._replays
        ]

    def timed(self, answers: Sequence[bytes]) -> Timed:
        """What all replays took."""
        total = Timed(0, 0, 0, 0)
        for trace, floor, parts, _ in self._replays:
            packets = len(trace.packets)
            probe = sum(self._wide(answers[at]) for at in parts)
            total += Timed(packets, probe, min(packets, _FLOOR_PACKETS), self._wide(answers[floor]))
        return total

    def counters(self, answers: Sequence[bytes]) -> dict[str, Any]:
        """The probe's own counters, summed over CPUs."""
        layout, offset = self._field("local", "counters")
        size = -(-self.bundle.maps["counters"].value_size // 8) * 8
        values = np.frombuffer(answers[self._counters][4:], np.uint8).reshape(-1, size)
        found = np.ascontiguousarray(values[:, offset : offset + layout.itemsize]).view(layout)[:, 0]
        return {name: found[name].sum(axis=0).astype(np.int64).tolist() for name in layout.names or ()}

    def _field(self, record: str, name: str) -> tuple[np.dtype[Any], int]:
        """Layout and byte offset of a struct's field."""
        fields: Mapping[str, Any] = self.bundle.types.record(record).fields or {}
        layout, offset = fields[name][:2]
        return layout, offset

    def costs(self, answers: Sequence[bytes], places: tuple[int, int, int]) -> Costs:
        """What a packet costs: the least of its rounds."""
        layout = f"{self.bundle.byte_order}{_ROUNDS}I"
        return Costs(*(min(struct.unpack(layout, answers[place])) for place in places))

    def sizes(self, answers: Sequence[bytes]) -> Mapping[str, float]:
        """What the kernel says of the probe's program and of all maps, by the names of ``benchmark.probe.FIGURES``."""
        facts = read_facts(answers[self._loads[f"probe_{self.measured}"]], self.bundle.byte_order)
        figures = {
            "map_bytes": float(sum(self._wide(answers[at]) for at in self._charges)),
            "verified_insns": float(facts.verified_instructions),
            "jited_bytes": float(facts.jited_bytes),
        }
        for name, pattern in (("verified_states", r"total_states (\d+)"), ("stack_bytes", r"stack depth (\d+)")):
            found = re.search(pattern, facts.log)
            if found:
                figures[name] = float(found[1])
        return figures

    def _wide(self, answer: bytes) -> int:
        return int(struct.unpack_from(self.bundle.byte_order + "Q", answer)[0])
