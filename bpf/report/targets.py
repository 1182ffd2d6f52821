"""The targets: a forest of ten trees on the segment features, at tc, held against what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpf.report.page import Section, spread, table
from bpf.report.study import Run, Study

FEATURES, HOOK, MODEL, TREES = "F4", "tc", "forest", 10


@dataclass(frozen=True)
class Target:
    """A figure, the router that tells it, and the most that it may be; strict: it must lie below."""

    name: str
    figure: str
    router: str
    most: float
    unit: str
    form: str
    strict: bool = False

    def met(self, value: float) -> bool:
        """Whether a figure meets the target."""
        return value < self.most if self.strict else value <= self.most


TARGETS = (
    Target("time added to a packet, ends of windows included", "added_ns", "host", 100, "ns", ",.0f", strict=True),
    Target("time of a packet that closes a window", "closing_ns", "host", 5_000, "ns", ",.0f"),
    Target("instructions added to a packet, ARM64", "added_insns", "qemu_arm64", 600, "", ",.0f"),
    Target("all maps, 4,096 flows", "map_bytes", "host", 2 << 20, "bytes", ",.0f"),
    Target("packets unaccounted for, this kernel", "unaccounted", "host", 0, "", ",.0f"),
    Target("packets unaccounted for, ARM64", "unaccounted", "qemu_arm64", 0, "", ",.0f"),
)


def write(study: Study) -> Section:
    """Hold the probe of the targets against them."""
    section = Section(
        "Targets", f"Does {FEATURES} with a forest of {TREES} trees at {HOOK} cost as little as was asked?"
    )
    rows, verdicts = [], []
    for target in TARGETS:
        found = measured(study, target)
        if not found:
            section.lacks.append(f"{target.name} (router={target.router})")
            continue
        values = [value for _, value in found]
        verdict = _verdict(target, values)
        verdicts.append(verdict)
        sign = "< " if target.strict else "≤ " if target.most else ""
        unit = f" {target.unit}" if target.unit else ""
        shown = spread(values, target.form) + unit
        rows.append([target.name, f"{sign}{target.most:{target.form}}{unit}", shown, str(len(values)), verdict])
    if rows:
        met = sum(verdict == "met" for verdict in verdicts)
        section.answer = f"{met} of {len(TARGETS)} targets are met in every run."
        section.blocks = [table(["figure", "asked", "measured", "runs", "verdict"], rows), *_drivers(study)]
    return section


def measured(study: Study, target: Target) -> list[tuple[Run, float]]:
    """Runs of the targets' probe that tell a figure, with what they tell."""
    found = study.where(router=target.router, probe=MODEL, features=FEATURES, hook=HOOK, loader="libbpf")
    return [
        (run, value)
        for run in found
        if run.options.get("trees") == TREES and run.choice("dataset") == "streaming"
        if (value := run.figure(target.figure)) is not None
    ]


def _verdict(target: Target, values: Sequence[float]) -> str:
    met = sum(target.met(value) for value in values)
    if met == len(values):
        return "met"
    return "missed" if not met else f"met in {met} of {len(values)}"


def _drivers(study: Study) -> list[str]:
    """What the added time is made of, as far as the notes tell."""
    lines: list[str] = []
    for words in (_of_time(study), _of_insns(study)):
        lines += [words] if words else []
    return lines


def _of_time(study: Study) -> str:
    found = [run.note("timing", f"{FEATURES} {HOOK}") for run, _ in measured(study, TARGETS[0])]
    notes = [note for note in found if note]
    if not notes:
        return ""
    note = min(notes, key=lambda one: (one["added_ns"], one["packet_ns"]))
    words = (
        f"In the quickest of these runs a packet took {note['packet_ns']:.1f} ns, of which "
        f"{note['reading_the_clock_ns']:.1f} ns read the clock; a packet closes {note['closings_per_packet']:.5f} "
        f"windows on average, and so the ends of windows add {note['added_ns'] - note['packet_ns']:.1f} ns to each."
    )
    stretches = [one["stretch"]["added_ns"] for one in notes if one.get("stretch")]
    if stretches:
        words += (
            f" Run one by one, in their own order, packets of a trace took {spread(stretches)} ns more than passing."
        )
    return words


def _of_insns(study: Study) -> str:
    runs = [run for run, _ in measured(study, TARGETS[2]) if run.note("packets")]
    if not runs:
        return ""
    run = max(runs, key=_boots)
    kinds = run.note("packets")
    rows = [
        [name, f"{kind['share']:.1%}", *(f"{kind[what] - kind['passing']:,.0f}" for what in ("packet", "closing"))]
        for name, kind in sorted(kinds.items(), key=lambda item: (-item[1]["share"], item[0]))
    ]
    heading = ["kind of packet", "share", "instructions added", "ending a window"]
    boots = f"{_boots(run)} boots, which counted alike" if _boots(run) > 1 else "one boot"
    return f"By kind of packet, on ARM64, in {boots}:\n\n" + table(heading, rows)


def _boots(run: Run) -> int:
    """How often each kind of packet was booted and run; a figure stands only where all counted alike."""
    return max((len(seconds) for seconds in run.note("boot_seconds") or []), default=0)


def summarise(study: Study) -> str:
    """The targets' table alone, as the README shows it."""
    section = write(study)
    return next(iter(section.blocks), "No record holds a figure yet.")
