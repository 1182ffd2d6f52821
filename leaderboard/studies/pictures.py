"""Pictures of studies: values with their intervals against an axis, as curves or as points with names."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from leaderboard.board import Interval
from leaderboard.figures import Figure

COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0f766e", "#be123c", "#4b5563")
MARKERS = "osD^vPX*<>"


class Point(NamedTuple):
    """A place on the horizontal axis, and what was measured there."""

    place: float
    measured: Interval


@dataclass(frozen=True)
class Panel:
    """One pair of axes. curves: name to points in order; joined: whether lines join them.

    across: what the horizontal axis says; logarithmic: it is drawn so. lines: name to a level drawn across.
    """

    figure: Figure
    curves: Mapping[str, Sequence[Point]]
    across: str
    joined: bool = True
    logarithmic: bool = True
    lines: Mapping[str, float] | None = None
    dashed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A picture of a section. name: of its file. meaning: what a reader sees who doesn't see it."""

    name: str
    meaning: str
    panels: Sequence[Panel]


def render(picture: Picture) -> bytes:
    """Draw a picture as PNG; the same figures give the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    count = len(picture.panels)
    names = list(dict.fromkeys(name for panel in picture.panels for name in panel.curves))
    legend_rows = -(-len(names) // 5)
    size = (4.6 * count, 3.4 + 0.2 * legend_rows)
    figure, axes = plt.subplots(1, count, figsize=size, constrained_layout=True, squeeze=False)
    for axis, panel in zip(axes[0], picture.panels, strict=True):
        _draw(axis, panel, names)
    handles = {text: line for axis in axes[0] for line, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=5, frameon=False, fontsize=8
        )
    file = io.BytesIO()
    figure.savefig(file, dpi=100, format="png", metadata={"Software": ""})
    plt.close(figure)
    return file.getvalue()


def _draw(axis: Any, panel: Panel, names: Sequence[str]) -> None:
    for name, points in panel.curves.items():
        order = names.index(name)
        means = [point.measured.mean for point in points]
        axis.errorbar(
            [point.place for point in points], means, yerr=_reaches(points), label=_plain(name), capsize=2,
            color=COLOURS[order % len(COLOURS)], marker=MARKERS[order % len(MARKERS)], markersize=4.5, linewidth=1.2,
            linestyle=("--" if name in panel.dashed else "-") if panel.joined else "none", elinewidth=0.9,
        )  # fmt: skip
    for name, level in (panel.lines or {}).items():
        axis.axhline(level, color="#6b7280", linewidth=0.8, linestyle=":")
        axis.annotate(_plain(name), (0.01, level), xycoords=("axes fraction", "data"), fontsize=7, color="#6b7280",
                      va="bottom")  # fmt: skip
    places = sorted({point.place for points in panel.curves.values() for point in points})
    if panel.logarithmic and places:
        axis.set_xscale("log", base=2)
        axis.set_xlim(places[0] / 1.4, places[-1] * 1.4)
        ticks = places if panel.joined else _ticks(places[0] / 1.4, places[-1] * 1.4)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
        axis.minorticks_off()
    axis.set_xlabel(_plain(panel.across))
    axis.set_ylabel(panel.figure.heading)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)


def _ticks(low: float, high: float) -> list[float]:
    """Round places within a range, at most eight of them."""
    ticks = [step * 10.0**power for power in range(-6, 10) for step in (1, 2, 5)]
    within = [tick for tick in ticks if low <= tick <= high]
    return within[:: -(-len(within) // 8)] if within else []


def _reaches(points: Sequence[Point]) -> list[list[float]]:
    """How far intervals reach below and above the values."""
    ends = [[one.mean if bound is None else bound for bound in (one.low, one.high)] for _, one in points]
    return [
        [max(0.0, point.measured.mean - low) for point, (low, _) in zip(points, ends, strict=True)],
        [max(0.0, high - point.measured.mean) for point, (_, high) in zip(points, ends, strict=True)],
    ]


def _plain(text: str) -> str:
    """Text without what would be read as mathematics, or hidden from the legend."""
    return text[:60].replace("$", r"\$").lstrip("_") or "?"
