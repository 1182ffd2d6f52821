"""Loaders: what it costs a router to have the program compiled where it runs."""

from __future__ import annotations

from bpf.report.page import Section, count, table
from bpf.report.study import Run, Study, dig, number

_ROWS = (
    ("process, start to loaded, s", "start_s", ",.2f"),
    ("loading, s", "load_s", ",.2f"),
    ("loading, processor s", "load_cpu_s", ",.2f"),
    ("peak memory, MiB", "peak_rss_mb", ",.0f"),
    ("memory that loading added, MiB", "added_rss_mb", ",.1f"),
    ("packages beyond Python's, MiB", "disk_mb", ",.1f"),
    ("verified instructions", "verified_insns", ",.0f"),
    ("machine code, bytes", "jited_bytes", ",.0f"),
)


def write(study: Study) -> Section:
    """Set libbpf beside bcc."""
    section = Section("Loaders", "What does bcc cost beside libbpf?")
    section.lacks += [f"the loaders ({reason})" for reason in study.refusals("loaders")]
    runs = study.noting("loaders")
    if not runs:
        section.lacks += [] if section.lacks else ["the loaders (router.options.parts with 'loaders')"]
        return section
    run = runs[0]
    names = sorted(run.note("loaders", "found"), reverse=True)
    found = {name: run.note("loaders", "found", name) for name in names}
    section.answer = _answer(run)
    rows = [[title, *(count(number(found[name].get(key)), form) for name in names)] for title, key, form in _ROWS]
    section.blocks.append(table([f"{run.setting('features')} at {run.setting('hook')}", *names], rows))
    section.blocks.append(_alike(study))
    return section


def _answer(run: Run) -> str:
    def times(key: str) -> float | None:
        one, other = (number(dig(run.note("loaders", "found"), name, key)) for name in ("libbpf", "bcc"))
        return other / one if one and other is not None else None

    words = [
        f"{ratio:,.1f} times the {what}"
        for what, key in (
            ("time to load", "load_s"), ("processor time", "load_cpu_s"),
            ("memory that loading adds", "added_rss_mb"), ("disk", "disk_mb"),
        )
        if (ratio := times(key)) is not None
    ]  # fmt: skip
    return f"bcc takes {', '.join(words)}." if words else ""


def _alike(study: Study) -> str:
    """Cells that differ by the loader: what a packet costs, and whether they say the same."""
    rows = []
    for run in study.where(router="host", loader="bcc"):
        wanted = {name: run.setting(name) for name in ("features", "hook")}
        names = {axis: run.choice(axis) for axis in ("dataset", "generator", "probe")}
        others = study.where(router="host", loader="libbpf", **wanted, **names)
        same = [other for other in others if other.options == run.options]
        rows += [_row(one) for one in (run, *same) if one.figure("added_ns") is not None]
    if not rows:
        return "No cell of these records was loaded by bcc."
    return "Cells of one model by either loader:\n\n" + table(
        ["loader", "ns added", "closing, ns", "unaccounted", "agreement", "digest of predictions"], rows
    )


def _row(run: Run) -> list[str]:
    return [
        run.setting("loader"),
        count(run.figure("added_ns"), ",.1f"),
        count(run.figure("closing_ns")),
        count(run.figure("unaccounted")),
        count(run.value("kernel.agreement"), ".6g"),
        str(run.record.probe.get("predictions", ""))[:12],
    ]
