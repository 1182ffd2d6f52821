"""A router under emulation: the same bytecode on another architecture's kernel.

Emulation counts instructions and says nothing of time: no latency is reported. All traces are replayed; the first boot
is repeated, and what a packet costs is reported only where all of its boots counted the same.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, Unsupported, nearest
from benchmark.probe import Probe, ProbeResult, Verdicts
from benchmark.trace import Trace
from bpf.build import object_path
from bpf.elf import Bundle, read_object
from bpf.replay import tailor
from bpf.routers.guest import Guest, open_guest
from bpf.routers.kinds import Kind, find_kinds
from bpf.routers.machine import Machine
from bpf.routers.replay_script import Costs, ReplayScript, Timed

OPTIONS: Mapping[str, int] = {"boots": 3, "repeat": 10_000, "packets": 100_000, "seconds": 300}
"""boots: of the first traces, others have one. repeat: of a measured packet. packets, seconds: of a boot, at most."""
_PROGRAMS = {"tc": ("tc", "tc"), "tcx": ("tc", "tc"), "xdp": ("tc", "xdp"), "socket": ("socket", "socket")}
"""Hooks, and whose programs replay and are measured: an XDP test run takes milliseconds, and tc accounts alike."""


@dataclass(frozen=True)
class _Part:
    """Traces of one boot, by their places in the list of all, and their client's prefix; ``first`` of that prefix."""

    places: tuple[int, ...]
    client: str
    first: bool


@dataclass(frozen=True)
class _Outcome:
    """What the boots of one script gave; ``timed`` and ``costs`` hold an entry a boot, or one for all of them."""

    verdicts: list[Verdicts]
    timed: list[Timed]
    counters: Mapping[str, Any]
    sizes: Mapping[str, float]
    costs: list[dict[str, Costs]]
    seconds: list[float]


class EmulatedRouter:
    """Replays traces through a probe in a guest; see ``benchmark.probe.Router``."""

    def __init__(self, machine: Machine, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in OPTIONS:
                raise ConfigError(f"router.options: no option '{name}'{nearest(name, OPTIONS)}")
        self.machine = machine
        self.options = {**OPTIONS, **options}

    def run(self, probe: Probe, traces: Sequence[Trace]) -> ProbeResult:
        """Return the guest's own predictions and what they cost in instructions.

        Raises Unsupported where the emulator, the kernel or the compiler is missing, AgentError where a guest fails.
        """
        guest = open_guest(self.machine)
        bundle = read_object(_find_object(probe.features, self.machine.byte_order))
        kinds = find_kinds(traces)
        parts = list(self._divide(traces))
        outcomes = [self._try(guest, bundle, probe, traces, part, kinds) for part in parts]
        verdicts: dict[int, Verdicts] = {}
        for part, outcome in zip(parts, outcomes, strict=True):
            verdicts.update(zip(part.places, outcome.verdicts, strict=True))
        figures, reasons, notes = _summarise(probe, outcomes, kinds, self.machine)
        notes = {"kernel": guest.kernel.facts(), "emulator": _version(self.machine), **notes}
        return ProbeResult([verdicts[place] for place in range(len(traces))], figures, reasons, notes)

    def _divide(self, traces: Sequence[Trace]) -> Iterator[_Part]:
        """Boots: traces of one client prefix, as many as fit."""
        for client in dict.fromkeys(trace.client for trace in traces):
            places: list[int] = []
            packets, first = 0, True
            for place, trace in enumerate(traces):
                if trace.client != client:
                    continue
                if places and packets + len(trace.packets) > self.options["packets"]:
                    yield _Part(tuple(places), client, first)
                    places, packets, first = [], 0, False
                places.append(place)
                packets += len(trace.packets)
            yield _Part(tuple(places), client, first)

    def _try(
        self, guest: Guest, bundle: Bundle, probe: Probe, traces: Sequence[Trace], part: _Part, kinds: Sequence[Kind]
    ) -> _Outcome:
        replayed, measured = _PROGRAMS[probe.hook]
        tailored = tailor(bundle, probe.model.blob, part.client, no_ethernet=probe.hook == "socket")
        script = ReplayScript(tailored, replayed, measured)
        for place in part.places:
            script.replay(traces[place])
        script.count()
        places = {
            kind.name: script.measure(traces[kind.trace], kind.packet, self.options["repeat"])
            for kind in kinds
            if part.first and traces[kind.trace].client == part.client
        }
        count = self.options["boots"] if part.first else 1
        boots = [guest.run(script.script, self.options["seconds"]) for _ in range(count)]
        first = boots[0].answers
        return _Outcome(
            script.verdicts(first),
            [script.timed(boot.answers) for boot in boots],
            script.counters(first),
            script.sizes(first),
            [{name: script.costs(boot.answers, place) for name, place in places.items()} for boot in boots],
            [round(boot.seconds, 1) for boot in boots],
        )


def _find_object(features: str, byte_order: str) -> Path:
    path = object_path(features, "bpfel" if byte_order == "<" else "bpfeb")
    if not path.is_file():
        raise Unsupported(f"{path.name} is missing from bpf/objects; run: python -m bpf.build")
    return path


def _summarise(
    probe: Probe, outcomes: Sequence[_Outcome], kinds: Sequence[Kind], machine: Machine
) -> tuple[dict[str, float], dict[str, str], dict[str, Any]]:
    """Figures, reasons for those that aren't there, and notes."""
    seen, accounted, skipped, closed, lost = _count([outcome.counters for outcome in outcomes])
    repeated = [outcome for outcome in outcomes if outcome.costs[0]] or outcomes[:1]
    timed: list[Timed] = []
    costs: list[dict[str, Costs]] = []
    for boot in range(len(repeated[0].seconds)):
        timed.append(sum((one.timed[min(boot, len(one.timed) - 1)] for one in outcomes), Timed(0, 0, 0, 0)))
        costs.append({name: cost for one in repeated for name, cost in one.costs[boot].items()})
    closings = closed / max(1, accounted)
    estimates = [_estimate(kinds, boot, closings) for boot in costs]
    replayed = [boot.added for boot in timed]
    added = estimates if probe.hook == "xdp" else replayed
    figures = {
        **outcomes[0].sizes,
        "seen": float(seen),
        "accounted": float(accounted),
        "skipped": float(skipped),
        "unaccounted": float(seen - accounted - skipped),
        "lost_results": float(lost),
    }
    reasons = {"": f"not measured on {machine.name}"}
    if not seen:
        reasons["added_insns"] = "the traces have no packet"
    elif all(boot == timed[0] for boot in timed) and all(boot == costs[0] for boot in costs):
        figures["added_insns"] = round(added[0], 2)
    else:
        reasons["added_insns"] = f"boots differ: {', '.join(f'{one:.2f}' for one in added)}"
    notes = {
        "boot_seconds": [outcome.seconds for outcome in outcomes],
        "repeated_packets": sum(outcome.timed[0].packets for outcome in repeated),
        "added_insns_replayed": [round(one, 3) for one in replayed],
        "added_insns_by_kind": [round(one, 3) for one in estimates],
        "closings_per_packet": closings,
        "packets": {kind.name: {"share": round(kind.share, 4), **asdict(costs[0][kind.name])} for kind in kinds},
    }
    return figures, reasons, notes


def _estimate(kinds: Sequence[Kind], costs: Mapping[str, Costs], closings: float) -> float:
    """What a packet adds by the kinds that were measured, of which the share ``closings`` closes a window."""
    packet = sum(kind.share * (costs[kind.name].packet - costs[kind.name].passing) for kind in kinds)
    return packet + closings * sum(kind.share * (costs[kind.name].closing - costs[kind.name].packet) for kind in kinds)


def _count(counters: Sequence[Mapping[str, Any]]) -> tuple[int, int, int, int, int]:
    """Packets seen, accounted and skipped; windows closed, and those that user space never got."""
    columns = [
        (one["seen"], one["accounted"], sum(one["skipped"]), one["closed"], one["overwritten"] + one["unpublished"])
        for one in counters
    ]
    seen, accounted, skipped, closed, lost = (sum(column) for column in zip(*columns, strict=True))
    return seen, accounted, skipped, closed, lost


def _version(machine: Machine) -> str:
    done = subprocess.run([machine.emulator, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout.splitlines() or [""])[0]
