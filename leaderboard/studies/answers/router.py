"""Does it run on a router?"""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.studies.answers.runs import EMULATED, Run, most_alike
from leaderboard.studies.measures import MEASURES
from leaderboard.studies.page import Section, escape, listed, named, plural, table

ACCURACY, AGREEMENT = MEASURES["kernel.accuracy.rung"], MEASURES["kernel.agreement"]
RUNS = (
    "`python run.py experiment=kernel_agreement`, as root, makes such runs, `python -m bpf report --keep "
    "results/kernel_study` keeps them."
)


def write(runs: Sequence[Run]) -> Section:
    """Say where the model ran, whether kernels say what user space says, and how often that is right."""
    section = Section("Router", "Does it run on a router?")
    inside = [run for run in runs if run.router != "none"]
    if not inside:
        section.lacks.append(f"No record has a model that ran in a kernel. {RUNS}")
        return section
    told = [run for run in inside if run.record.value(AGREEMENT.metric) is not None]
    alike = [run for run in told if run.record.value(AGREEMENT.metric) == 1]
    answer = (
        f"It runs in {_places(inside)}: in {len(alike)} of {plural(len(told), 'run')} the kernel says of every flow "
        "and window of the real test traces what the model says in user space."
    )
    chosen = most_alike(runs)
    section.answer = f"{answer} {_right(chosen)}".rstrip()
    section.blocks.append(_table(chosen))
    section.blocks.append("[kernel.md](kernel.md) has hooks, feature sets, models, loaders, overload and throughput.")
    if not any(run.router == "ssh" for run in inside):
        section.lacks.append("No router has been measured: the records have no run with `router=ssh`.")
    return section


def _places(runs: Sequence[Run]) -> str:
    routers = sorted({run.router for run in runs})
    own = [name for name in routers if not name.startswith(EMULATED)]
    emulated = [name for name in routers if name.startswith(EMULATED)]
    words = [f"the kernel of {named(own)}"] if own else []
    words += [f"an emulated kernel ({named(emulated)})"] if emulated else []
    return listed(words)


def _right(chosen: Sequence[Run]) -> str:
    """How often the kernel is right, by what the model was trained on; one run each, since kernels agree."""
    values: dict[str, Run] = {}
    for run in chosen:
        if run.record.value(ACCURACY.metric) is not None:
            values.setdefault(run.trained_on, run)
    if not values:
        return ""
    told = listed([f"{run.text(ACCURACY)} trained on {named([name])}" for name, run in sorted(values.items())])
    probe = escape(next(iter(values.values())).probe)
    sentence = f"With {probe} the share of windows whose rung class is told is {told}."
    bounds = [run.record.scores[ACCURACY.metric]["interval"] for run in values.values()]
    if len(values) > 1 and all(bounds):
        apart = max(low for low, _ in bounds) > min(high for _, high in bounds)
        sentence += (
            " The least and the greatest of these intervals don't overlap." if apart
            else " Their intervals overlap, so that which is better can't be told."
        )  # fmt: skip
    seeds = {run.record.seed for run in chosen}
    if len(seeds) < 3:
        sentence += f" That is {plural(len(seeds), 'seed')}: the intervals are over test traces alone."
    return sentence


def _table(chosen: Sequence[Run]) -> str:
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in chosen:
        groups.setdefault((run.router, run.trained_on), []).append(run)
    rows = []
    for (router, trained_on), own in sorted(groups.items()):
        lost = [run.figure("unaccounted") for run in own]
        told = [value for value in lost if value is not None]
        rows.append(
            [router, trained_on, str(len(own)), own[0].text(ACCURACY), own[0].text(AGREEMENT),
             f"{sum(told):,.0f}" if told else "–"]
        )  # fmt: skip
    return table(["router", "trained on", "runs", "rung told", AGREEMENT.heading, "packets unaccounted"], rows)
