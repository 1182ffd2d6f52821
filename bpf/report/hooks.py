"""Hooks: which of them sees both directions, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpf.report.page import Picture, Section, count, listed, share, table
from bpf.report.study import Study

WAYS = ("up", "down")


def write(study: Study) -> Section:
    """Show what each hook counted of traces that were sent past it live."""
    section = Section("Hooks", "Which hook captures both directions without loss?")
    section.lacks += [f"live traffic ({reason})" for reason in study.refusals("live")]
    runs = study.noting("live")
    if not runs:
        section.lacks += [] if section.lacks else ["live traffic (router.options.parts with 'live')"]
    else:
        tried = [attempt for run in runs for attempt in run.note("live", "tried")]
        section.answer = _answer(tried)
        section.blocks.append(_counted(tried))
        seconds = sorted({one["seconds"] for attempt in tried for one in attempt["traces"]})
        section.blocks.append(
            f"Each trace went through a bridge of its own for up to {max(seconds):g} s at its own pace, packet by "
            f"packet, with an MTU of {runs[0].note('live', 'mtu')} bytes. *Lost* is what was sent and not seen by the "
            "program; *bytes alike* and *labels alike* are the shares of flows and windows with the down bytes and the "
            "label that the reference gives them."
        )
        section.pictures.append(
            Picture("kernel-hooks", "share of packets counted by each hook", 1, lambda axis: _draw(axis, tried))
        )
    timed = _timed(study)
    if timed:
        section.blocks.append("A packet's time at each hook, in one run, without a model:\n\n" + timed)
    else:
        section.lacks.append("hooks timed in one run (router.options.timing.hooks)")
    return section


def _place(attempt: Mapping[str, Any]) -> str:
    return f"{attempt['hook']} on {' and '.join(attempt['devices'])}"


def _totals(attempt: Mapping[str, Any]) -> dict[str, int]:
    """Packets sent and counted by direction, and lost."""
    traces = attempt["traces"]
    found = {
        f"{what} {way}": sum(int(one[what][way]) for one in traces) for what in ("sent", "counted") for way in WAYS
    }
    return found | {"lost": sum(int(one["lost"]) for one in traces)}


def _both(totals: Mapping[str, int]) -> bool:
    return totals["lost"] == 0 and all(totals[f"counted {way}"] == totals[f"sent {way}"] for way in WAYS)


def _answer(tried: list[Mapping[str, Any]]) -> str:
    whole = [_place(attempt) for attempt in tried if _both(_totals(attempt))]
    blind = [
        f"{_place(attempt)} (no packet {way})"
        for attempt in tried
        for way in WAYS
        if (totals := _totals(attempt))[f"sent {way}"] and not totals[f"counted {way}"]
    ]
    words = f"All packets of both directions: {listed(whole)}." if whole else "No hook counted all of both directions."
    return words + (f" One direction only: {listed(blind)}." if blind else "")


def _counted(tried: list[Mapping[str, Any]]) -> str:
    rows = []
    for attempt in tried:
        totals = _totals(attempt)
        told = [one for one in attempt["traces"] if one.get("windows")]
        windows = sum(one["windows"] for one in told)
        alike = [
            sum(one[name] * one["windows"] for one in told) / windows if windows else None
            for name in ("same_bytes", "same_label")
        ]
        late = max(one["late_ms"][0] for one in attempt["traces"])
        rows.append(
            [
                _place(attempt),
                *(f"{totals[f'counted {way}']:,} of {totals[f'sent {way}']:,}" for way in WAYS),
                f"{totals['lost']:,}",
                *map(share, alike),
                count(late, ".2f"),
            ]
        )
    return table(
        [
            "hook and devices",
            "up counted",
            "down counted",
            "lost",
            "bytes alike",
            "labels alike",
            "sent late, ms (median)",
        ],
        rows,
    )


def _draw(axis: Any, tried: list[Mapping[str, Any]]) -> None:
    names = [_place(attempt) for attempt in tried]
    for offset, way, colour in ((-0.2, "up", "#c2410c"), (0.2, "down", "#1d4ed8")):
        totals = [_totals(attempt) for attempt in tried]
        shares = [one[f"counted {way}"] / max(1, one[f"sent {way}"]) for one in totals]
        axis.barh([place + offset for place in range(len(names))], shares, 0.38, color=colour, label=way)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel("counted / sent")
    axis.set_xlim(0, 1.05)
    axis.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def timings(study: Study) -> dict[str, Mapping[str, Any]]:
    """Notes of the one run that timed most feature sets and hooks in turns, by "F4 tc"; the probe's own left out."""
    best: dict[str, Mapping[str, Any]] = {}
    for run in study.where(router="host"):
        notes = run.note("timing") or {}
        found = {name.removesuffix(" without model"): note for name, note in notes.items() if "without" in name}
        best = found if len(found) > len(best) else best
    return best


def _timed(study: Study) -> str:
    notes = timings(study)
    hooks = list(dict.fromkeys(name.split()[1] for name in notes))
    if len(hooks) < 2:
        return ""
    sets = sorted({name.split()[0] for name in notes})
    rows = [[f"{hook}, ns", *(count(_packet_ns(notes, f"{one} {hook}"), ".0f") for one in sets)] for hook in hooks]
    return table(["", *sets], rows)


def _packet_ns(notes: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    return float(notes[name]["packet_ns"]) if name in notes else None
