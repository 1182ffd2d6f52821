"""Overload: what is lost when more packets come than the machine takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpf.report.page import Section, count, share, table
from bpf.report.study import Run, Study, number

_WATCHERS = ("nobody", "probe", "user_space")
_COLUMNS = (
    *(
        ("packets_per_s", "sent a second"),
        ("delivered", "delivered"),
        ("seen", "seen"),
        ("unseen", "delivered, not seen"),
    ),
    *(("unaccounted", "unaccounted"), ("results_overwritten", "windows lost"), ("flows_evicted", "flows evicted")),
)


def write(study: Study) -> Section:
    """Show what each flood delivered, and what was seen of it."""
    section = Section("Overload", "What is lost when packets come as fast as they can be sent?")
    section.lacks += [f"overload ({reason})" for reason in study.refusals("overload")]
    runs = study.noting("overload")
    if not runs:
        section.lacks += [] if section.lacks else ["overload (router.options.parts with 'overload')"]
        return section
    rows = [_row(run, who) for run in runs for who in _WATCHERS if isinstance(run.note("overload", who), Mapping)]
    section.blocks.append(table(["who looks", *(title for _, title in _COLUMNS)], rows))
    settings = runs[0].note("overload", "settings")
    section.blocks.append(
        f"Floods of {settings['seconds']:g} s, {settings['flows']:,} flows in turn, where the flow map holds 4,096; "
        f"windows of {settings['window']:g} s. *Windows lost* were closed and overwritten before they were read, as "
        "nothing reads the queue during a flood. Each evicted flow takes its open window with it. A flood is as fast "
        "as the machine lets its sender be at that moment, so the rates don't compare."
    )
    section.answer = _answer(runs)
    return section


def _row(run: Run, who: str) -> list[str]:
    found = run.note("overload", who)
    name = {"nobody": "nobody", "probe": f"the probe at {run.setting('hook')}", "user_space": "a thread in user space"}[
        who
    ]
    return [name, *(count(number(found.get(key))) for key, _ in _COLUMNS)]


def _answer(runs: list[Run]) -> str:
    words = []
    for title, who in (("The probe", "probe"), ("a thread that reads a packet socket", "user_space")):
        notes: list[Mapping[str, Any]] = [run.note("overload", who) for run in runs if run.note("overload", who)]
        delivered, unseen = (sum(int(note[name]) for note in notes) for name in ("delivered", "unseen"))
        if delivered:
            words.append(f"{title} missed {share(unseen / delivered)} of {delivered:,} delivered packets")
    unaccounted = sum(int(run.note("overload", "probe", "unaccounted") or 0) for run in runs)
    return f"{'; '.join(words)}. The probe left {unaccounted:,} packets unaccounted for."
