"""Throughput: what routing loses to the probe, as far as noise lets it be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpf.report.page import Picture, Section, count, listed, table
from bpf.report.study import Run, Study

_NAMES = ("nothing", "passing", "probe")


def write(study: Study) -> Section:
    """Show routed Gbit/s with nothing, a passing program and the probe, and the changes with their intervals."""
    section = Section("Throughput", "What does a router's throughput lose?")
    section.lacks += [f"throughput ({reason})" for reason in study.refusals("throughput")]
    runs = study.noting("throughput")
    if not runs:
        section.lacks += [] if section.lacks else ["throughput (router.options.parts with 'throughput')"]
        return section
    section.answer = _answer(runs)
    heading = ["hook, offloads", *(f"{name}, Gbit/s" for name in _NAMES)]
    heading += ["probe over nothing", "probe over passing", "load"]
    section.blocks.append(table(heading, [_row(run) for run in runs]))
    settings = runs[0].note("throughput", "settings")
    section.blocks.append(
        f"iperf3 through three namespaces, {settings['rounds']} rounds of {settings['seconds']} s each in turns, "
        f"congestion control {settings['congestion']}; medians, and the change round by round with its interval of "
        "95 % by order statistics. Client, router and server share this machine's cores. *Passing* is an empty program "
        "at the same hook: what it loses is the hook's price, such as XDP's on a virtual device, and not the probe's."
    )
    section.pictures.append(
        Picture("kernel-throughput", "routed throughput, every run", 1, lambda axis: _draw(axis, runs))
    )
    return section


def _title(run: Run) -> str:
    offloads = "on" if run.note("throughput", "settings", "offloads") else "off"
    return f"{run.setting('hook')}, offloads {offloads}"


def _answer(runs: list[Run]) -> str:
    verdicts: dict[str, list[str]] = {}
    for run in runs:
        verdicts.setdefault(run.note("throughput", "probe_over_passing", "verdict"), []).append(_title(run))
    told = [f"{verdict} ({listed(where)})" for verdict, where in sorted(verdicts.items())]
    return f"Of the probe over a passing program: {'; '.join(told)}."


def _row(run: Run) -> list[str]:
    note = run.note("throughput")
    medians = [count(note["median"].get(name), ".2f") for name in _NAMES]
    return [
        _title(run),
        *medians,
        _change(note["probe_over_nothing"]),
        _change(note["probe_over_passing"]),
        f"{note['load_average']:.1f}",
    ]


def _change(found: Mapping[str, Any]) -> str:
    interval = found.get("interval")
    spread = f" [{interval[0]:+.1%}, {interval[1]:+.1%}]" if interval else ""
    return f"{found['change']:+.1%}{spread}"


def _draw(axis: Any, runs: list[Run]) -> None:
    for place, run in enumerate(runs):
        for offset, name, colour in zip((-0.22, 0, 0.22), _NAMES, ("#9ca3af", "#60a5fa", "#c2410c"), strict=True):
            values = run.note("throughput", "gbit_per_s", name)
            axis.plot(
                values,
                [place + offset] * len(values),
                "o",
                color=colour,
                markersize=3.5,
                label=name if not place else None,
            )
    axis.set_yticks(range(len(runs)), [_title(run) for run in runs])
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("Gbit/s down to the client")
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
