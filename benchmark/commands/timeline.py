"""One trace over time, as a picture: its name and account, then panels (``panels``) above one axis of seconds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from benchmark.commands.account import describe_quality, describe_setting, has_link_clock, outages, shown
from benchmark.commands.panels import Panel, quality_panels, seconds_of, throughput_panels
from benchmark.errors import ConfigError
from benchmark.trace import Trace

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FORMATS = ("png", "svg", "pdf")
# Inches left free at the edges.
_MARGIN = 0.1


@dataclass(frozen=True)
class Look:
    """How large a picture is. width: inches. row: inches of a panel of height 1. dots: an inch. bars: at most."""

    width: float
    row: float
    dots: int
    font: float
    bars: int


PAGE = Look(width=9.0, row=1.15, dots=150, font=9.0, bars=240)
SMALL = Look(width=6.0, row=0.72, dots=100, font=7.0, bars=120)


def draw_timeline(
    trace: Trace, path: Path, ladder: Sequence[int] = (), title: str = "", look: Look = PAGE
) -> list[str]:
    """Draw a trace and return what was left out, with the reason.

    path: its suffix (png, svg or pdf) is the format; written aside, then renamed. ladder: heights of the rungs.
    title: the first line (default: the trace's name and application). Raises ConfigError for another suffix.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ConfigError(f"{path}: a picture ends in .{', .'.join(FORMATS)}")
    quality, missing = quality_panels(trace, ladder)
    settings: Any = {
        "font.size": look.font,
        "svg.hashsalt": "tracearena",
        "axes.axisbelow": True,
        "text.parse_math": False,
    }
    with plt.rc_context(settings):
        figure = _figure(trace, [*throughput_panels(trace, look.bars), *quality], look)
        inches = figure.get_figheight()
        heading = shown(title) or shown(f"{trace.name}: {trace.condition.application}")
        lines = [line for line in (describe_setting(trace), describe_quality(trace, ladder)) if line]
        figure.text(_MARGIN / look.width, 1 - _MARGIN / inches, heading, va="top", weight="bold", size=look.font + 2)
        below = _MARGIN + 1.7 * (look.font + 2) / 72
        figure.text(_MARGIN / look.width, 1 - below / inches, "\n".join(lines), va="top", color="#333333")
        _save(figure, path, kind, look)
    return missing


def _figure(trace: Trace, panels: Sequence[Panel], look: Look) -> Any:
    # Inches for the title, two lines of account and a legend above; for the axis below; between panels, a legend.
    line = look.font / 72
    above, below, between, left = 7.4 * line, 3.4 * line, 1.9 * line, 8.2 * line
    rows = [panel.height * look.row for panel in panels]
    inches = above + sum(rows) + between * (len(rows) - 2) + below
    figure = plt.figure(figsize=(look.width, inches))
    top, first = inches - above, None
    for place, (panel, row) in enumerate(zip(panels, rows, strict=True)):
        # Up hangs below down, from one line of zero.
        top -= row + (between if place > 1 else 0.0)
        box = (left / look.width, top / inches, 1 - (left + _MARGIN) / look.width, row / inches)
        axis = figure.add_axes(box, sharex=first)
        first = first or axis
        _dress(axis, trace, "outage" if place == 0 else "")
        panel.draw(axis)
        axis.yaxis.label.set_multialignment("center")
        axis.yaxis.set_label_coords(-5.4 * line / (look.width - left - _MARGIN), 0.5)
        if place < len(panels) - 1:
            axis.tick_params(axis="x", labelbottom=False)
    axis.set_xlim(0, seconds_of(trace))
    axis.set_xlabel("seconds since the first packet")
    return figure


def _dress(axis: Any, trace: Trace, name: str) -> None:
    """Draw what all panels share; the first outage is in the legend by ``name``, if that isn't ""."""
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for begin, end in outages(trace) if has_link_clock(trace) else ():
        axis.axvspan(
            begin,
            end,
            facecolor="#eeeeee",
            edgecolor="#aaaaaa",
            hatch="....",
            linewidth=0,
            zorder=0,
            label=name or None,
        )
        name = ""


def _save(figure: Any, path: Path, kind: str, look: Look) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    # No dates and versions: the same trace gives the same bytes.
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    try:
        figure.savefig(aside, format=kind, dpi=look.dots, metadata=metadata)
        os.replace(aside, path)
    finally:
        plt.close(figure)
        aside.unlink(missing_ok=True)
