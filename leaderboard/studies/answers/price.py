"""At what price, for a router's packets and for those who make the traffic?"""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.studies.answers.router import RUNS
from leaderboard.studies.answers.runs import EMULATED, Run, most_alike, span
from leaderboard.studies.evidence import Evidence
from leaderboard.studies.measures import FIT, MEASURES, MEMORY, PARAMETERS, SPEED, TOKENS
from leaderboard.studies.missing import makes
from leaderboard.studies.page import Section, name_of, table
from leaderboard.studies.provenance import results

COSTS = (
    ("ns added to a packet", "added_ns", ",.1f"),
    ("ns of a packet that closes a window", "closing_ns", ",.0f"),
    ("instructions added to a packet", "added_insns", ",.0f"),
    ("bytes of all maps", "map_bytes", ",.0f"),
    ("verified instructions", "verified_insns", ",.0f"),
)


def write(runs: Sequence[Run], evidence: Evidence) -> Section:
    """Show what a packet costs a router, and what a method's traffic costs to make."""
    section = Section("Price", "At what price?")
    sentences = []
    inside = [run for run in most_alike(runs) if run.router != "none"]
    if inside:
        sentences.append(_router(inside))
        section.blocks.append(_table(inside))
    else:
        section.lacks.append(f"What a router pays: no record has a model that ran in a kernel. {RUNS}")
    known = [entry for entry in (*evidence.entries, *evidence.references) if entry.scores(SPEED) is not None]
    if known:
        sentences += _making(evidence)
        section.blocks.append(results(known, (FIT, SPEED, TOKENS, PARAMETERS, MEMORY), "making traffic"))
    else:
        section.lacks.append(f"What making traffic costs: no record has {SPEED}. {makes('first_light')}")
    section.answer = " ".join(sentences)
    return section


def _router(inside: Sequence[Run]) -> str:
    own = [run for run in inside if not run.router.startswith(EMULATED)]
    emulated = [run for run in inside if run.router.startswith(EMULATED)]
    parts = []
    if any(run.figure("added_ns") is not None for run in own):
        parts.append(f"{span([run.figure('added_ns') for run in own], ',.0f')} ns to a packet on a real kernel")
    if any(run.figure("added_insns") is not None for run in emulated):
        insns = span([run.figure("added_insns") for run in emulated], ",.0f")
        parts.append(f"{insns} instructions on an emulated one, whose time says nothing")
    added = f"adds {'; '.join(parts)}; and it " if parts else ""
    memory = span([run.figure("map_bytes") for run in inside], ",.0f")
    return f"The probe {name_of(inside[0].probe)} {added}takes {memory} bytes of maps."


def _table(inside: Sequence[Run]) -> str:
    routers = sorted({run.router for run in inside})
    rows = [
        [title, *(span([run.figure(name) for run in inside if run.router == router], form) for router in routers)]
        for title, name, form in COSTS
    ]
    return table([f"a router pays for {inside[0].probe}", *routers], rows)


def _making(evidence: Evidence) -> list[str]:
    known = [
        (fit.mean, speed.mean, entry.name)
        for entry in evidence.entries
        if (fit := entry.interval(FIT)) and (speed := entry.interval(SPEED))
    ]
    if not known:
        return []
    slowest, fastest = (choose(known, key=lambda one: one[1]) for choose in (min, max))
    told = [
        f"{name_of(name)} is fitted in {MEASURES[FIT].text(fit)} s and samples {MEASURES[SPEED].text(speed)} packets/s"
        for fit, speed, name in dict.fromkeys((slowest, fastest))
    ]
    which = "The method slowest to sample, and the fastest" if len(told) > 1 else "The one method"
    return [f"{which}: {'; '.join(told)}."]
