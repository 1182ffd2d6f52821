"""Maps: the memory that a probe takes, by the kernel's own account."""

from __future__ import annotations

from benchmark.quality.names import FEATURE_SETS
from bpf.report.page import Section, count, table
from bpf.report.study import Run, Study
from bpf.report.targets import HOOK, MODEL


def write(study: Study) -> Section:
    """Show bytes and entries of each map for each feature set."""
    section = Section("Maps", "How much memory does it take, and for what?")
    found: dict[str, Run] = {}
    for one in FEATURE_SETS:
        runs = study.where(router="host", features=one, hook=HOOK, probe=MODEL, loader="libbpf", dataset="streaming")
        runs = [run for run in runs if run.note("maps") and run.options.get("trees") == 10]
        if runs:
            found[one] = runs[0]
    if not found:
        section.lacks.append("bytes by map (router=host)")
        return section
    names = sorted({name for run in found.values() for name in run.note("maps")})
    last = found["F4"] if "F4" in found else next(reversed(found.values()))
    biggest = max(names, key=lambda name: (bytes_of(last, name) or 0, name))
    total = last.figure("map_bytes") or 0
    section.answer = (
        f"{last.setting('features')} takes {total:,.0f} bytes, {total / 2**20:.2f} MiB, of which {biggest} "
        f"{bytes_of(last, biggest) or 0:,.0f} for {last.note('maps', biggest, 'entries'):,} entries."
    )
    rows = [
        [
            f"{name} ({last.note('maps', name, 'entries') or 0:,})",
            *(count(bytes_of(run, name)) for run in found.values()),
        ]
        for name in names
    ]
    rows.append(["all", *(count(run.figure("map_bytes")) for run in found.values())])
    section.blocks.append(table(["map (entries)", *found], rows))
    return section


def bytes_of(run: Run, name: str) -> float | None:
    """Bytes of one map."""
    found = run.note("maps", name, "bytes")
    return None if found is None else float(found)
