"""The panels of a trace's picture: throughput, the player's buffer, resolution, stalls, rates of calls, packet sizes.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), told apart by colour-blind people; in grey, hatches and
the kind of line tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmark.commands.account import (
    has_link_clock,
    is_synthetic,
    link_rate,
    main_packets,
    other_flows,
    read_series,
    stall_parts,
)
from benchmark.trace import NANOSECONDS, Trace

BLUE, SKY, ORANGE, VERMILION, GREEN, GREY = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#6b7280"
# Seconds a bar of throughput may last, and the most bars that still show their shape.
_STEPS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# Dots beyond this many hide each other; every k-th packet is drawn then.
_DOTS = 6_000


@dataclass(frozen=True)
class Panel:
    """One row of a picture: its share of the height and what draws it."""

    height: float
    draw: Callable[[Any], None]


def throughput_panels(trace: Trace, most: int) -> list[Panel]:
    """Return the panels of the bytes down, and of those up below them; ``most`` bars each."""
    return [
        Panel(1.7, lambda axis: _throughput(axis, trace, most, down=True)),
        Panel(0.7, lambda axis: _throughput(axis, trace, most, down=False)),
    ]


def quality_panels(trace: Trace, ladder: Sequence[int]) -> tuple[list[Panel], list[str]]:
    """Return the panels that notes and labels have data for, and what is missing for the others."""
    labels = trace.labels
    rung, height = bool((labels.rung >= 0).any()), bool((labels.height > 0).any())
    fps, bitrate, stall = (bool(np.isfinite(row).any()) for row in (labels.fps, labels.bitrate, labels.stall))
    if not (rung or height or fps or bitrate or stall):
        return [Panel(1.3, lambda axis: _sizes(axis, trace))], ["quality: there are no labels"]
    panels: list[Panel] = []
    missing: list[str] = []
    if link_rate(trace) is not None and not has_link_clock(trace):
        missing.append("link's rate: the notes don't say when its second 0 was (link_began)")
    buffer = read_series(trace.notes, "buffer")
    if buffer is not None:
        panels.append(Panel(1.0, lambda axis: _buffer(axis, buffer)))
    elif isinstance(trace.notes.get("buffer"), list):
        missing.append("buffer: the notes' buffer isn't a list of [second, seconds buffered] in time order")
    elif not fps:
        missing.append("buffer: the trace's notes don't have it")
    if fps:
        panels.append(Panel(0.9, lambda axis: _windows(axis, trace, labels.fps, "frames/s", GREEN)))
        if bitrate:
            panels.append(Panel(0.9, lambda axis: _bitrate(axis, trace)))
    if height or (rung and ladder):
        panels.append(Panel(1.3, lambda axis: _resolution(axis, trace, ladder)))
    if not height:
        missing.append("height played: no label")
    if rung and not ladder:
        missing.append("rung fetched: the ladder isn't known here")
    if stall:
        panels.append(Panel(0.8, lambda axis: _stalls(axis, trace)))
    else:
        missing.append("stalls: no label")
    return panels, missing


def _throughput(axis: Any, trace: Trace, most: int, down: bool) -> None:
    """Draw bytes of one direction over time, the main flow's below the others'; up hangs downwards."""
    duration = seconds_of(trace)
    step = next((step for step in _STEPS if duration / step <= most), duration / most)
    count = max(1, int(np.ceil(duration / step)))
    packets, flows = trace.packets, trace.flows
    since = (packets.ts - packets.ts[0]) / NANOSECONDS if len(packets) else np.zeros(0)
    place = np.clip(since / step, 0, count - 1).astype(np.int64)
    chosen = ~flows.up if down else flows.up
    bits = 8.0 * np.maximum(packets.length, 0) / step
    own = main_packets(trace)
    rows = [np.bincount(place[which], bits[which], minlength=count) for which in (chosen & own, chosen & ~own)]
    peak = float((rows[0] + rows[1]).max())
    scale, unit = (1e6, "Mbit/s") if peak >= 5e5 else (1e3, "kbit/s")
    edges = np.arange(count + 1) * step
    others = other_flows(trace)
    name = "largest flow" if not _is_labelled(trace) else "video's flow" + ("s" if flows.count - others > 1 else "")
    axis.stairs(rows[0] / scale, edges, fill=True, color=BLUE, linewidth=0, label=name)
    if rows[1].any():
        axis.stairs(
            (rows[0] + rows[1]) / scale, edges, baseline=rows[0] / scale, fill=True, facecolor=ORANGE, linewidth=0,
            hatch="////", edgecolor="white", label=f"{others:,} other flow{'' if others == 1 else 's'}",
        )  # fmt: skip
    axis.set_ylim(0, 1.08 * max(peak / scale, 1e-3))
    if not down:
        axis.invert_yaxis()
        axis.tick_params(axis="x", length=0)
        axis.spines["bottom"].set_visible(False)
        axis.set_ylabel(f"up\n{unit}")
        axis.yaxis.set_major_locator(MaxNLocator(nbins=3, prune="lower"))
        return
    _link(axis, trace, scale, peak)
    axis.set_ylabel(f"down\n{unit}")
    axis.tick_params(axis="x", length=0)
    axis.text(0.0, 1.03, f"throughput, bars of {step:g} s", transform=axis.transAxes, fontsize="small", color=GREY)
    _legend(axis)


def _link(axis: Any, trace: Trace, scale: float, peak: float) -> None:
    """Draw what the link could carry, where the notes tell when, and as far as the traffic's own scale goes."""
    steps = link_rate(trace)
    if steps is None or not has_link_clock(trace):
        return
    seconds = np.append(steps[:, 0], max(seconds_of(trace), steps[-1, 0]))
    rates = np.append(steps[:, 1], steps[-1, 1]) * 1e6 / scale
    highest = max(peak / scale, min(float(rates.max()), 1.6 * peak / scale))
    axis.set_ylim(0, 1.08 * highest)
    axis.step(seconds, rates, where="post", color="black", linewidth=1.0, linestyle=(0, (4, 2)), label="link's rate")


def _buffer(axis: Any, series: NDArray[np.float64]) -> None:
    axis.fill_between(series[:, 0], series[:, 1], color=SKY, alpha=0.5, linewidth=0)
    axis.plot(series[:, 0], series[:, 1], color=BLUE, linewidth=1.0)
    axis.set_ylim(0, 1.1 * max(1.0, float(series[:, 1].max())))
    axis.set_ylabel("buffer\ns")


def _resolution(axis: Any, trace: Trace, ladder: Sequence[int]) -> None:
    """Draw the rung fetched and the height played on one scale, a step a rung."""
    labels = trace.labels
    heights = np.asarray(labels.height, np.int64)
    fetched = np.full(len(labels), -1)
    inside = (labels.rung >= 0) & (labels.rung < len(ladder))
    if len(ladder):
        fetched[inside] = np.asarray(ladder)[labels.rung[inside]]
    levels = sorted({*ladder, *heights[heights > 0].tolist()})
    rows = [
        np.array([levels.index(height) if height > 0 else np.nan for height in row.tolist()])
        for row in (fetched, heights)
    ]
    edges = np.arange(len(labels) + 1) * trace.condition.window
    asked = " asked for" if is_synthetic(trace) else ""
    if inside.any():
        name = f"rung{asked or ' fetched'}"
        axis.stairs(rows[0], edges, baseline=None, color=SKY, linewidth=5, label=name)
    if (heights > 0).any():
        name = f"height{asked or ' played'}"
        axis.stairs(rows[1], edges, baseline=None, color="black", linewidth=1.3, linestyle="--", label=name)
    axis.set_yticks(range(len(levels)), [f"{level}p" for level in levels])
    axis.set_ylim(-0.5, len(levels) - 0.5)
    axis.set_ylabel("resolution")
    _legend(axis)


def _windows(axis: Any, trace: Trace, values: Any, unit: str, colour: str) -> None:
    edges = np.arange(len(values) + 1) * trace.condition.window
    row = np.asarray(values, np.float64)
    axis.stairs(np.nan_to_num(row), edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    axis.stairs(row, edges, baseline=None, color=colour, linewidth=1.4)
    axis.set_ylim(0, 1.15 * max(1e-3, float(np.nanmax(row))))
    axis.set_ylabel(unit)


def _bitrate(axis: Any, trace: Trace) -> None:
    rate = np.asarray(trace.labels.bitrate, np.float64)
    scale, unit = (1e6, "Mbit/s") if np.nanmax(rate) >= 1e6 else (1e3, "kbit/s")
    _windows(axis, trace, rate / scale, f"video\n{unit}", BLUE)


def _stalls(axis: Any, trace: Trace) -> None:
    """Draw the seconds stalled in each window: before the first frame hatched, after it solid."""
    opening, later = stall_parts(trace)
    window = trace.condition.window
    starts = np.arange(len(opening)) * window
    width = 0.92 * window
    if opening.any():
        axis.bar(starts, opening, width, align="edge", facecolor="white", edgecolor=GREY, hatch="////", label="startup")
    if later.any():
        name = "frozen" if np.isnan(trace.labels.startup) else "after startup"
        axis.bar(starts, later, width, bottom=opening, align="edge", color=VERMILION, label=name)
    if not (opening.any() or later.any()):
        axis.text(0.5, 0.5, "none", transform=axis.transAxes, ha="center", va="center", color=GREY)
    axis.set_ylim(0, window)
    axis.set_ylabel("stalled\ns")
    if opening.any() or later.any():
        _legend(axis)


def _sizes(axis: Any, trace: Trace) -> None:
    """Draw packet sizes, up below zero: all that a capture without labels has to show beside throughput."""
    step = max(1, len(trace.packets) // _DOTS)
    packets, up = trace.packets, trace.flows.up[::step]
    seconds = (packets.ts[::step] - (packets.ts[0] if len(packets) else 0)) / NANOSECONDS
    signed = np.where(up, -packets.length[::step], packets.length[::step])
    for chosen, colour, mark, name in ((~up, BLUE, "o", "down"), (up, VERMILION, "x", "up")):
        axis.plot(seconds[chosen], signed[chosen], mark, color=colour, markersize=1.8, label=name, rasterized=True)
    axis.axhline(0, color="black", linewidth=0.6)
    axis.set_ylabel("IP length\nbytes")
    _legend(axis)


def _legend(axis: Any) -> None:
    count = len(axis.get_legend_handles_labels()[1])
    axis.legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=count, frameon=False, borderpad=0, borderaxespad=0.2,
        fontsize="small", handlelength=1.6, columnspacing=1.2, markerscale=2,
    )  # fmt: skip


def seconds_of(trace: Trace) -> float:
    """Return how long a trace is drawn: as long as was asked for, or as its packets last."""
    packets = trace.packets
    last = float(packets.ts[-1] - packets.ts[0]) / NANOSECONDS if len(packets) else 0.0
    return max(trace.condition.duration, last, 1e-3)


def _is_labelled(trace: Trace) -> bool:
    labels = trace.labels
    return bool((labels.rung >= 0).any() or (labels.height > 0).any() or np.isfinite(labels.fps).any())
