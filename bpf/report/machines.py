"""Where the records were made, and how busy it was there."""

from __future__ import annotations

from pathlib import Path

from bpf.report.page import Section, escape, listed, spread, table
from bpf.report.study import OK, Study

EXPERIMENTS = Path(__file__).resolve().parents[2] / "conf" / "experiment"
_PARTS = ("live", "overload", "throughput", "user_space", "loaders")


def write(study: Study) -> Section:
    """List machines, code and load of all runs, what failed, and the commands that make such records."""
    section = Section("How it was measured", "On what, by which code, and how to do it again?")
    rows = sorted({_machine(run.record.machine) for run in study.runs})
    section.blocks.append(table(["processor", "cores", "memory", "system"], rows))
    loads = [
        float(note["load_average"])
        for run in study.runs
        for note in (*(run.note("timing") or {}).values(), *(run.note(part) or {} for part in _PARTS))
        if isinstance(note, dict) and "load_average" in note
    ]
    if loads:
        cores = min(int(run.record.machine.get("cores") or 1) for run in study.runs)
        shared = "so other work ran beside it" if max(loads) > cores else "so nothing else kept it from its cores"
        section.blocks.append(
            f"The load average was {spread(loads)} on {cores} cores when measuring began, {shared}. Times on this "
            "kernel are minima of the rounds of one run, with a passing program's time taken off, of test runs that "
            "repeat one packet with warm caches: lower bounds, to be compared within one machine, best within one "
            "run. Instructions on ARM64 are counted by an emulator, alike in every boot; they are no times. "
            "Predictions, counts and sizes don't depend on the load."
        )
    section.blocks.append(_code(study))
    failed = [run for run in study.runs if run.record.status != OK]
    if failed:
        lines = [f"- {' '.join(run.order[:-1])}: {run.record.status}: {escape(run.record.reason)}" for run in failed]
        section.blocks.append("\n\n".join(["Runs that didn't finish:", "\n".join(lines)]))
    commands = commands_of(EXPERIMENTS)
    if commands:
        shown = "\n".join(f"    {line}" for line in commands)
        section.blocks.append(f"The project's records are made by these, and kept by the last:\n\n{shown}")
    return section


def commands_of(folder: Path) -> list[str]:
    """Commands of the kernel's experiments, as their files' headers give them, and of this page."""
    lines = [
        line.strip("# \n") for path in sorted(folder.glob("kernel_*.yaml")) for line in path.read_text().splitlines()
        if line.startswith("#   python")
    ]  # fmt: skip
    return [*lines, "python -m bpf report --keep results/kernel_study"] if lines else []


def _machine(facts: dict[str, object]) -> tuple[str, str, str, str]:
    memory = facts.get("memory_mb")
    shown = f"{memory / 1024:.0f} GiB" if isinstance(memory, int | float) else ""
    return str(facts.get("processor", "")), str(facts.get("cores", "")), shown, str(facts.get("system", ""))


def _code(study: Study) -> str:
    revisions = sorted({str(run.record.code.get("revision", ""))[:12] for run in study.runs} - {""})
    dirty = any(run.record.code.get("dirty") for run in study.runs)
    days = sorted({run.record.ended[:10] for run in study.runs} - {""})
    words = f"{len(study.runs)} runs, {listed(days)}, at revision {listed(revisions)}" if days and revisions else ""
    return words + (", with changes that weren't committed." if dirty and words else "." if words else "")
