"""One model in several places: user space, this kernel, an emulated kernel. Do they say the same?"""

from __future__ import annotations

from bpf.report.page import DASH, Section, count, share, table
from bpf.report.study import Run, Study


def write(study: Study) -> Section:
    """Hold the predictions of cells against each other that differ by their router alone."""
    section = Section("The same predictions everywhere", "Does a kernel say what the model says in user space?")
    groups: dict[str, list[Run]] = {}
    for run in study.runs:
        if run.ok:
            groups.setdefault(run.apart_from("router"), []).append(run)
    shared = [runs for runs in groups.values() if len({run.choice("router") for run in runs}) > 1]
    told = [run for run in study.runs if run.ok and run.value("kernel.agreement") is not None]
    if not told:
        section.lacks.append("a router that says how far it agrees with the reference")
        return section
    windows = sum(int(run.note("replay", "rows") or 0) for run in told)
    alike = sum(int(run.note("replay", "rows_as_the_reference") or 0) for run in told)
    same = [run for run in told if run.value("kernel.agreement") == 1]
    section.answer = (
        f"{len(same)} of {len(told)} runs in a kernel say of every flow and window what the integer model says in user "
        f"space. On this kernel {alike:,} of {windows:,} replayed rows have every feature as the reference has it."
    )
    for runs in shared:
        section.blocks.append(_compare(runs))
    if not shared:
        section.lacks.append("cells that differ by their router alone (router=none,host,qemu_arm64)")
    return section


def _compare(runs: list[Run]) -> str:
    """One table of routers."""
    first = runs[0]
    fits = {run.record.stages.get("fit", {}).get("key", "") for run in runs}
    models = {run.record.stages.get("model", {}).get("key", "") for run in runs}
    digests = {run.record.probe.get("predictions", "") for run in runs}
    title = (
        f"generator={first.choice('generator')} probe={first.choice('probe')} features={first.setting('features')}: "
        f"{'one fit' if len(fits) == 1 else f'{len(fits)} fits'}, "
        f"{'one model' if len(models) == 1 else f'{len(models)} models'}, "
        f"{'one digest' if len(digests) == 1 else f'{len(digests)} digests'} of all predictions."
    )
    rows = [
        [
            run.choice("router"),
            str(run.record.probe.get("predictions", ""))[:12],
            share(run.value(run.accuracy), run.interval(run.accuracy)),
            count(run.value("kernel.agreement"), ".6g"),
            count(run.figure("seen")),
            count(run.figure("unaccounted")),
            str(run.note("kernel", "version") or run.note("kernel") or DASH),
        ]
        for run in runs
    ]
    return f"{title}\n\n" + table(
        ["router", "digest", "accuracy", "agreement", "packets", "unaccounted", "kernel"], rows
    )
