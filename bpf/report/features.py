"""Feature sets: what each costs and what it buys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.quality.features import feature_names
from benchmark.quality.names import FEATURE_SETS
from benchmark.statistics.resampling import paired_difference
from bpf.report.hooks import timings
from bpf.report.page import COLOURS, DASH, Picture, Section, count, listed, share, table
from bpf.report.study import Run, Study
from bpf.report.targets import HOOK, MODEL, TREES

REAL = "resample"
"""The generator that hands on real training traces: what a model is worth that real traffic trained."""
_COSTS = (
    ("instructions, ARM64", "qemu_arm64", "added_insns", ",.1f"),
    ("verified instructions", "host", "verified_insns", ",.0f"),
    ("machine code, bytes", "host", "jited_bytes", ",.0f"),
    ("stack, bytes", "host", "stack_bytes", ",.0f"),
    ("maps, bytes", "host", "map_bytes", ",.0f"),
    ("load, ms", "host", "load_ms", ",.0f"),
)


def write(study: Study) -> Section:
    """Set accuracy on real test traces against time, instructions and bytes."""
    section = Section("Feature sets", "What does each feature set cost, and what does it buy?")
    host = {one: _run(study, "host", one) for one in FEATURE_SETS}
    guest = {one: _run(study, "qemu_arm64", one) or _any_guest(study, one) for one in FEATURE_SETS}
    for router, runs in (("host", host), ("qemu_arm64", guest)):
        missing = [one for one, run in runs.items() if run is None]
        if missing:
            section.lacks.append(f"{', '.join(missing)} at {HOOK} with a {MODEL} of {TREES} trees on router={router}")
    known = [one for one in FEATURE_SETS if host[one] or guest[one]]
    if not known:
        return section
    bought = _bought(study, known)
    same_run = {one: note["packet_ns"] for one in known if (note := timings(study).get(f"{one} {HOOK}"))}
    section.answer = _answer(known, host, guest, bought)
    section.blocks.append(_accuracies(bought, known))
    section.blocks.append(_costs(known, host, guest, same_run))
    section.blocks.append(
        "Accuracy is the share of windows of real test traces whose rung class (below 480p, 480p, HD) is told, with "
        f"its interval of 95 %; `{REAL}` hands on real training traces, so its rows are what real traffic teaches. "
        "*Own run* is the mean added to a packet with the model and the ends of windows; *one run* is a packet that "
        "ends no window, without a model, all feature sets timed in turns, and compares them best."
    )
    if not same_run:
        section.lacks.append("all feature sets timed in one run (router.options.timing.features)")
    section.pictures.append(
        Picture(
            "kernel-features",
            "accuracy of each feature set against what it costs",
            2,
            lambda axes: _draw(axes, guest, same_run, bought),
        )
    )
    return section


def _run(study: Study, router: str, features: str, generator: str = REAL) -> Run | None:
    found = study.where(
        router=router, features=features, hook=HOOK, probe=MODEL, loader="libbpf", generator=generator,
        dataset="streaming",
    )  # fmt: skip
    plain = [run for run in found if run.options.get("trees") == TREES and run.options.get("depth") == 10]
    # Of those that were timed, the one that measured least beside it is the one that is alike for all sets.
    return min(
        plain, key=lambda run: (run.figure("added_ns") is None, len(run.note("timing") or {}), run.order), default=None
    )


def _any_guest(study: Study, features: str) -> Run | None:
    """A run with any generator's model: who trained it matters only to the few packets that end a window."""
    generators = sorted({run.choice("generator") for run in study.runs})
    return next(filter(None, (_run(study, "qemu_arm64", features, generator) for generator in generators)), None)


def _bought(study: Study, known: Sequence[str]) -> dict[str, dict[str, Run]]:
    """Runs by generator and feature set; the same model says the same on any router, so any will do."""
    generators = {run.choice("generator") for run in study.runs if run.ok}
    found = {}
    for generator in sorted(generators, key=lambda name: (name != REAL, name)):
        each = {
            one: [_run(study, router, one, generator) for router in ("host", "none", "qemu_arm64")] for one in known
        }
        runs = {one: run for one, tried in each.items() if (run := next(filter(None, tried), None))}
        if len(runs) > 1:
            found[generator] = {one: run for one, run in runs.items() if run.value(run.accuracy) is not None}
    return found


def _accuracies(bought: dict[str, dict[str, Run]], known: Sequence[str]) -> str:
    rows = [
        [
            generator,
            *(
                share(run.value(run.accuracy), run.interval(run.accuracy)) if (run := runs.get(one)) else DASH
                for one in known
            ),
        ]
        for generator, runs in bought.items()
    ]
    return "Accuracy, by the traffic that trained the model:\n\n" + table(["trained on", *known], rows)


def _gain(first: Run, last: Run) -> str:
    """Difference of accuracy with its interval of 95 %, by a bootstrap over the test traces that both told."""
    one, other = (run.record.per_trace.get(run.accuracy, {}) for run in (first, last))
    names = sorted(one.keys() & other.keys())
    change = (last.value(last.accuracy) or 0) - (first.value(first.accuracy) or 0)
    if len(names) < 2:
        return f"{change:+.3f}"
    found = paired_difference(np.array([other[name] for name in names]), np.array([one[name] for name in names]))
    low, high = (bound - found.value + change for bound in found.interval)
    return f"{change:+.3f} [{low:+.3f}, {high:+.3f}]"


def _costs(
    known: Sequence[str], host: dict[str, Run | None], guest: dict[str, Run | None], same_run: dict[str, float]
) -> str:
    def figures(runs: dict[str, Run | None], name: str, form: str) -> list[str]:
        return [count(run.figure(name) if (run := runs[one]) else None, form) for one in known]

    rows = [["features", *(str(len(feature_names(one))) for one in known)]]
    rows.append(["ns added, own run", *figures(host, "added_ns", ",.1f")])
    rows.append(["ns a packet, one run", *(count(same_run.get(one), ",.1f") for one in known)])
    rows.append(["ns that end a window, own run", *figures(host, "closing_ns", ",.0f")])
    rows += [[title, *figures(host if router == "host" else guest, name, form)] for title, router, name, form in _COSTS]
    return "Cost:\n\n" + table(["", *known], rows)


def _answer(
    known: Sequence[str], host: dict[str, Run | None], guest: dict[str, Run | None], bought: dict[str, dict[str, Run]]
) -> str:
    first, last = known[0], "F4" if "F4" in known else known[-1]
    words = []
    for runs, name, unit in ((host, "added_ns", "ns"), (guest, "added_insns", "ARM64 instructions")):
        low, high = ((run.figure(name) if (run := runs[one]) else None) for one in (first, last))
        if low is not None and high is not None:
            words.append(f"{high - low:+,.0f} {unit} a packet ({low:,.0f} to {high:,.0f})")
    gains = [
        f"{_gain(runs[first], runs[last])} trained on {generator}"
        for generator, runs in bought.items()
        if first in runs and last in runs
    ]
    words += [f"accuracy {listed(gains)}, where an interval with 0 in it tells no gain"] if gains else []
    return f"From {first} to {last}: {'; '.join(words)}." if words else ""


def _draw(
    axes: Any,
    guest: dict[str, Run | None],
    same_run: dict[str, float],
    bought: dict[str, dict[str, Run]],
) -> None:
    told = {name: {one: run.value(run.accuracy) or 0 for one, run in runs.items()} for name, runs in bought.items()}
    insns = {one: found for one, run in guest.items() if run and (found := run.figure("added_insns")) is not None}
    for axis, label, cost in (
        (axes[0], "ns a packet, one run, without a model", same_run),
        (axes[1], "instructions added to a packet, ARM64", insns),
    ):
        for (generator, values), colour in zip(told.items(), COLOURS * len(told), strict=False):
            sets = [one for one in values if one in cost]
            axis.plot([cost[one] for one in sets], [values[one] for one in sets], "o-", color=colour, label=generator)
        for one in cost:
            top = max((values[one] for values in told.values() if one in values), default=None)
            if top is not None:
                axis.annotate(one, (cost[one], top), textcoords="offset points", xytext=(0, 6), ha="center")
        if not cost:
            axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center")
        axis.set_xlabel(label)
        axis.margins(0.12)
    axes[0].set_ylabel("accuracy of the rung")
    if told:
        axes[0].legend(frameon=False, fontsize=8, title="trained on", title_fontsize=8)
