"""Quality models: how large one may be, and what its size costs and buys."""

from __future__ import annotations

from typing import Any

from bpf.report.page import COLOURS, DASH, Picture, Section, count, escape, share, spread, table
from bpf.report.study import OK, Run, Study, number
from bpf.report.targets import FEATURES, MODEL

_HEADINGS = (
    *("model", "trees × depth", "nodes", "blob, bytes", "accuracy", "error", "verified instructions"),
    *("closing, ns", "ns added", "maps, bytes", "quantisation agrees"),
)


def write(study: Study) -> Section:
    """Show every model that this kernel ran on tc, by dataset, and those that couldn't be had."""
    section = Section("Models", "How large may a model be?")
    runs = [
        run
        for run in study.where(router="host", hook="tc", loader="libbpf", generator="resample")
        if run.model("bytes") is not None and (run.choice("probe") != MODEL or run.setting("features") == FEATURES)
    ]
    if len(runs) < 2:
        section.lacks.append("models beside each other on router=host (experiment=kernel_models, kernel_sizes)")
        return section
    runs = _apart(runs)
    for dataset in sorted({run.choice("dataset") for run in runs}, reverse=True):
        chosen = sorted((run for run in runs if run.choice("dataset") == dataset), key=_order)
        task = chosen[0].task
        section.blocks.append(f"dataset={dataset}, task {task}:\n\n" + table(_HEADINGS, [_row(run) for run in chosen]))
    largest = max(runs, key=lambda run: (run.model("bytes") or 0, run.order))
    slowest = max(runs, key=lambda run: (run.figure("closing_ns") or 0, run.order))
    section.answer = (
        f"The largest that ran is {_name(largest)}, {largest.model('bytes'):,.0f} bytes, of "
        f"{count(largest.figure('verified_insns'))} verified instructions; the slowest packet that ends a window took "
        f"{(slowest.figure('closing_ns') or 0) / 1e3:,.1f} µs ({_name(slowest)}). Packets that end none took "
        f"{spread(_plain(runs))} ns on {FEATURES}, whatever the model."
    )
    section.blocks.append(_limits(study))
    section.pictures.append(
        Picture("kernel-models", "accuracy and closing time against a model's size", 2, lambda axes: _draw(axes, runs))
    )
    return section


def _plain(runs: list[Run]) -> list[float]:
    """ns of packets that end no window, of every run on the targets' feature set."""
    notes = [run.note("timing", f"{FEATURES} tc", "packet_ns") for run in runs if run.setting("features") == FEATURES]
    return [found for note in notes if (found := number(note)) is not None]


def _apart(runs: list[Run]) -> list[Run]:
    """One run of each model: of those that differ by what else was measured, the first that timed it."""
    found: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.figure("closing_ns") is None, run.order)):
        found.setdefault(run.apart_from("router"), run)
    return list(found.values())


def _order(run: Run) -> tuple[Any, ...]:
    return (run.choice("probe"), run.setting("features"), run.model("bytes") or 0, run.order)


def _name(run: Run) -> str:
    options = run.options
    size = f" of {options['trees']} trees to depth {options.get('depth')}" if "trees" in options else ""
    return f"{escape(run.choice('probe'))}{size} on {run.setting('features')} ({run.choice('dataset')})"


def _row(run: Run) -> list[str]:
    options = run.options
    size = f"{options.get('trees', 1)} × {options['depth']}" if "depth" in options else DASH
    quantised = run.record.probe.get("model", {}).get("quantisation_validation") or {}
    error = f"kernel.error.{run.task}"
    found = run.value(error)
    return [
        f"{run.choice('probe')} {run.setting('features')}",
        size,
        count(run.model("nodes")),
        count(run.model("bytes")),
        share(run.value(run.accuracy), run.interval(run.accuracy)),
        count(found, ".2f"),
        count(run.figure("verified_insns")),
        count(run.figure("closing_ns")),
        count(run.figure("added_ns"), ",.1f"),
        count(run.figure("map_bytes")),
        count(quantised.get("agreement"), ".4f"),
    ]


def _limits(study: Study) -> str:
    refused = [run for run in study.runs if run.record.status != OK and run.choice("router") == "host"]
    if not refused:
        return "No model of these records met a limit."
    rows = [
        [
            f"{run.choice('probe')} {run.setting('features')} ({run.choice('dataset')})",
            _size(run),
            run.record.status,
            run.record.reason,
        ]
        for run in refused
    ]
    return "Limits that were met:\n\n" + table(["model", "trees × depth", "status", "reason"], rows)


def _size(run: Run) -> str:
    return f"{run.options.get('trees', 1)} × {run.options.get('depth', DASH)}"


def _draw(axes: Any, runs: list[Run]) -> None:
    names = sorted({run.choice("probe") for run in runs})
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        own = [run for run in runs if run.choice("probe") == name]
        for axis, metric in ((axes[0], "accuracy"), (axes[1], "closing")):
            points = [
                (run.model("bytes"), run.value(run.accuracy) if metric == "accuracy" else run.figure("closing_ns"))
                for run in own
                if metric == "closing" or run.choice("dataset") == "streaming"
            ]
            whole = [(x, y) for x, y in points if x is not None and y is not None]
            axis.plot([x for x, _ in whole], [y for _, y in whole], "o", color=colour, label=name, markersize=5)
    for axis in axes:
        axis.set_xscale("log")
        axis.set_xlabel("model, bytes")
    axes[1].set_yscale("log")
    axes[0].set_ylabel("accuracy of the rung, streaming")
    axes[1].set_ylabel("packet that ends a window, ns")
    axes[1].legend(frameon=False, fontsize=8)
