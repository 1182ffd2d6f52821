"""This machine's own kernel as a router: its predictions on traces, and what they cost.

Parts are chosen by ``options.parts``: replay (always) and timing are quick; live, overload, throughput and user_space
send packets through network namespaces of this process's own, and loaders starts processes; they take seconds each.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.errors import ConfigError, Unsupported, nearest
from benchmark.probe import Probe, ProbeResult
from benchmark.trace import Trace
from bpf import bcc_cost
from bpf.kernel import require
from bpf.probe import LoadedProbe
from bpf.routers import live, overload, throughput, timing, user_space
from bpf.routers.replaying import Replays, options_of, replay

_PARTS: Mapping[str, Mapping[str, Any]] = {
    "replay": {},
    "timing": {"rounds": 7, "repeat": 10_000, "features": None, "hooks": None},
    "live": live.OPTIONS,
    "overload": overload.OPTIONS,
    "throughput": throughput.OPTIONS,
    "user_space": user_space.OPTIONS,
    "loaders": bcc_cost.OPTIONS,
}
_FURTHER: Mapping[str, Callable[[Probe, Sequence[Trace], Mapping[str, Any]], dict[str, Any]]] = {
    "live": live.run,
    "overload": overload.run,
    "throughput": throughput.run,
    "user_space": user_space.run,
    "loaders": bcc_cost.run,
}
_LOADS = 2
_NOT_ASKED = "router.options.parts has no '{}'"


def build(options: Mapping[str, Any]) -> Host:
    """Return the router. options: ``parts``, and a mapping of settings by the name of each part that has some."""
    parts = list(options.get("parts") or ("replay", "timing"))
    for part in parts:
        if part not in _PARTS:
            raise ConfigError(f"router.options.parts: no part '{part}'{nearest(part, _PARTS)}")
    settings = {part: dict(defaults) for part, defaults in _PARTS.items()}
    for part, chosen in options.items():
        if part == "parts":
            continue
        if part not in _PARTS:
            raise ConfigError(f"router.options: no option '{part}'{nearest(part, ('parts', *_PARTS))}")
        for name, value in (chosen or {}).items():
            if name not in settings[part]:
                raise ConfigError(f"router.options.{part}: no option '{name}'{nearest(name, settings[part])}")
            settings[part][name] = value
    return Host(parts, settings)


class Host:
    """Replays traces through a probe in this machine's kernel; see ``benchmark.probe.Router``."""

    def __init__(self, parts: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.parts, self.settings = parts, settings

    def run(self, probe: Probe, traces: Sequence[Trace]) -> ProbeResult:
        """Return the kernel's own predictions, its figures, and each further part's findings as notes.

        Raises Unsupported without root or bpf(2). A part that this machine can't do leaves its reason among the notes.
        """
        require()
        done = replay(probe, traces)
        sizes, maps = _load_again(probe, traces)
        figures = {
            **sizes,
            "seen": float(done.counters["seen"]),
            "accounted": float(done.counters["accounted"]),
            "skipped": float(sum(done.skipped.values())),
            "unaccounted": float(done.unaccounted),
            "lost_results": float(done.counters["overwritten"] + done.counters["unpublished"]),
        }
        reasons = {"": "not measured on the host", "added_insns": "the host's kernel tells no instructions of a packet"}
        notes: dict[str, Any] = {"kernel": f"{platform.release()} {platform.machine()}", "replay": _facts(done)}
        notes["maps"] = maps
        if "timing" in self.parts:
            costs = self._time(probe, traces, done)
            if costs:
                own = next(iter(costs.values()))
                figures |= {"added_ns": own.added_ns, "closing_ns": own.closing_ns}
            else:
                reasons |= dict.fromkeys(("added_ns", "closing_ns"), "no packet of the traces has a flow")
            notes["timing"] = {name: dict(cost.facts) for name, cost in costs.items()}
        else:
            reasons |= dict.fromkeys(("added_ns", "closing_ns"), _NOT_ASKED.format("timing"))
        for part, work in _FURTHER.items():
            if part in self.parts:
                notes[part] = _try(work, probe, traces, self.settings[part])
        return ProbeResult([done.verdicts[place] for place in range(len(traces))], figures, reasons, notes)

    def _time(self, probe: Probe, traces: Sequence[Trace], done: Replays) -> dict[str, timing.Cost]:
        settings = self.settings["timing"]
        subjects = timing.subjects_of(probe, settings["features"], settings["hooks"])
        return timing.measure(probe, traces, subjects, done.closings, settings["rounds"], settings["repeat"])


def _try(
    work: Callable[[Probe, Sequence[Trace], Mapping[str, Any]], dict[str, Any]],
    probe: Probe,
    traces: Sequence[Trace],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    load = os.getloadavg()[0]
    try:
        return {"settings": dict(settings), "load_average": round(load, 2), **work(probe, traces, settings)}
    except Unsupported as reason:
        return {"settings": dict(settings), "unsupported": str(reason)}


def _load_again(probe: Probe, traces: Sequence[Trace]) -> tuple[dict[str, float], dict[str, dict[str, int]]]:
    """Sizes of the probe as a router loads it, results without features, and bytes and entries of each of its maps.

    The load time is the least of several.
    """
    found = []
    for _ in range(_LOADS):
        with LoadedProbe(options_of(probe, traces[0].client if traces else "", replay=False)) as loaded:
            found.append(loaded.figures())
            memory, maps = loaded.map_bytes(), loaded.loaded.maps
            sizes = {name: {"bytes": memory[name], "entries": one.max_entries} for name, one in maps.items()}
    return {**found[0], "load_ms": min(one["load_ms"] for one in found)}, sizes


def _facts(done: Replays) -> dict[str, Any]:
    return {
        "program": done.program,
        "packets": done.handed,
        "counters": {name: int(count) for name, count in done.counters.items()},
        "skipped": {name: int(count) for name, count in done.skipped.items() if count},
        "closings_per_packet": done.closings,
        "rows": done.rows,
        "rows_as_the_reference": done.same_rows,
    }
