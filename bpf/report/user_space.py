"""User space on the same traces: where its time goes, beside what the kernel adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpf.report.page import DASH, Picture, Section, count, listed, table
from bpf.report.published import PUBLISHED
from bpf.report.study import Run, Study, dig, number

STEPS = ("parsing", "flows", "features", "inference")
_COLOURS = ("#9ca3af", "#60a5fa", "#1d4ed8", "#c2410c", "#15803d")


def write(study: Study) -> Section:
    """Show the time of each step, a packet, for each probe that was run in user space too."""
    section = Section("User space", "Where does inference in user space spend its time?")
    section.lacks += [f"user space ({reason})" for reason in study.refusals("user_space")]
    runs = study.noting("user_space")
    if not runs:
        section.lacks += [] if section.lacks else ["user space (router.options.parts with 'user_space')"]
        section.blocks.append(_published(study))
        return section
    steps = [(run, _steps(run)) for run in runs]
    section.answer = _answer(steps)
    section.blocks.append(_table(steps))
    first = runs[0].note("user_space")
    section.blocks.append(
        f"Processor time, least of {first['settings']['rounds']} rounds. Receiving is one system call a packet from a "
        "packet socket, by Python; the reference then parses, tells flows, computes features and infers with numpy and "
        "compiled loops over whole traces, which flatters it: a monitor that answers as packets come has no such "
        "batches. NFStream is given files, computes its own statistics and infers nothing. The kernel's figure holds "
        "all of its steps."
    )
    section.lacks += [f"NFStream ({reason})" for reason in _refused(runs)]
    section.blocks.append(_published(study))
    section.pictures.append(
        Picture("kernel-user-space", "user space's time a packet by step", 1, lambda axis: _draw(axis, steps))
    )
    return section


def _steps(run: Run) -> dict[str, float]:
    """ns a packet by step; the median of receiving."""
    note = run.note("user_space")
    received = dig(note, "receive", "ns_per_packet")
    found = {"receiving": float(received[1])} if isinstance(received, list) and len(received) == 3 else {}
    told: Mapping[str, float] = dig(note, "reference", "ns_per_packet") or {}
    return found | {name: float(told[name]) for name in STEPS if name in told}


def _title(run: Run) -> str:
    return f"{run.choice('probe')} {run.setting('features')}, {run.choice('dataset')}"


def _answer(steps: list[tuple[Run, dict[str, float]]]) -> str:
    words = []
    for run, found in steps:
        total, most = sum(found.values()), max(found, key=lambda name: (found[name], name))
        kernel = run.figure("added_ns")
        beside = f"; the kernel adds {kernel:,.0f}" if kernel is not None else ""
        words.append(f"{_title(run)}: {total:,.0f} ns a packet, of which {most} {found[most] / total:.0%}{beside}")
    return "; ".join(words) + "."


def _table(steps: list[tuple[Run, dict[str, float]]]) -> str:
    names = ["receiving", *STEPS]
    rows = [[f"{name}, ns", *(count(found.get(name), ",.1f") for _, found in steps)] for name in names]
    rows.append(["all, ns", *(count(sum(found.values()), ",.1f") for _, found in steps)])
    rows.append(
        [
            "inference a window, µs",
            *(
                count(_thousandth(dig(run.note("user_space"), "reference", "inference_ns_per_window")), ",.1f")
                for run, _ in steps
            ),
        ]
    )
    rows.append(
        [
            "NFStream, ns",
            *(count(number(dig(run.note("user_space"), "nfstream", "ns_per_packet")), ",.0f") for run, _ in steps),
        ]
    )
    rows.append(["kernel: added, ns", *(count(run.figure("added_ns"), ",.1f") for run, _ in steps)])
    rows.append(
        ["kernel: ending a window, µs", *(count(_thousandth(run.figure("closing_ns")), ",.1f") for run, _ in steps)]
    )
    rows.append(["packets", *(count(number(dig(run.note("user_space"), "packets"))) for run, _ in steps)])
    return table(["a packet", *(_title(run) for run, _ in steps)], rows)


def _thousandth(value: Any) -> float | None:
    found = number(value)
    return None if found is None else found / 1e3


def _refused(runs: list[Run]) -> list[str]:
    reasons = {dig(run.note("user_space"), "nfstream", "unsupported") for run in runs}
    return sorted(str(reason).removeprefix("NFStream: ") for reason in reasons if reason)


def _published(study: Study) -> str:
    """Published figures, beside those of the rebuilds where they ask the same."""
    rows = [[one.what, one.figure, _ours(study, one.probe), one.source] for one in PUBLISHED]
    return (
        "Published, on other machines and other corpora, so that the columns don't compare; *here* is what the rebuilt "
        "model reaches in this kernel:\n\n" + table(["figure", "published", "here", "source"], rows)
    )


def _ours(study: Study, probe: str) -> str:
    runs = study.where(probe=probe) if probe else []
    told = []
    for run in runs:
        right, error = run.value(run.accuracy), run.value(f"kernel.error.{run.task}")
        words = [f"{run.task} right in {right:.1%}"] if right is not None else []
        words += [f"mean error {error:.2f}"] if error is not None else []
        told.append(", ".join(words))
    return listed(list(dict.fromkeys(filter(None, told)))) or DASH


def _draw(axis: Any, steps: list[tuple[Run, dict[str, float]]]) -> None:
    names = [*(_title(run) for run, _ in steps)]
    left = [0.0] * len(steps)
    for name, colour in zip(("receiving", *STEPS), _COLOURS, strict=True):
        widths = [found.get(name, 0.0) for _, found in steps]
        axis.barh(names, widths, left=left, color=colour, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    known = [(place, value) for place, (run, _) in enumerate(steps) if (value := run.figure("added_ns")) is not None]
    ends = [[place + side for place, _ in known] for side in (-0.25, 0.25)]
    axis.vlines([value for _, value in known], *ends, color="black", linewidth=2, label="the kernel adds")
    axis.invert_yaxis()
    axis.set_xlabel("ns a packet")
    axis.legend(frameon=False, fontsize=7, loc="lower left", bbox_to_anchor=(-0.3, 1), ncols=3)
