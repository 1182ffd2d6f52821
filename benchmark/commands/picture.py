"""Pictures of traces: what people would rather look at than read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from benchmark.trace import NANOSECONDS, Trace

matplotlib.use("Agg")
from matplotlib import pyplot as plt

UP, DOWN, ASKED = "#c2410c", "#1d4ed8", "#111111"
# Dots beyond this many hide each other; every k-th packet is drawn then.
DOTS = 6_000


def draw_comparison(pairs: Sequence[tuple[Trace, Trace]], path: Path, method: str, ladder: Sequence[int] = ()) -> None:
    """Draw a real trace beside the synthetic one that was asked for with its condition.

    The pair is the one whose real trace has the median number of packets. Nothing is drawn without pairs.
    """
    if not pairs:
        return
    ordered = sorted(pairs, key=lambda pair: (len(pair[0].packets), pair[0].name))
    real, made = ordered[len(ordered) // 2]
    draw_traces([("real", real), (method, made)], path, ladder)


def draw_traces(titled: Sequence[tuple[str, Trace]], path: Path, ladder: Sequence[int] = ()) -> None:
    """Draw traces in columns: packet sizes over time, gaps, and throughput a window with the quality asked."""
    figure, axes = plt.subplots(
        3, len(titled), figsize=(6 * len(titled), 8), sharey="row", squeeze=False, constrained_layout=True
    )
    for column, (title, trace) in enumerate(titled):
        axes[0][column].set_title(f"{title}: {trace.condition.application}, {len(trace.packets):,} packets")
        _sizes(axes[0][column], trace)
        _gaps(axes[1][column], trace)
        _throughput(axes[2][column], trace, ladder)
    axes[0][0].set_ylabel("IP length, bytes (up is negative)")
    axes[1][0].set_ylabel("gap to the packet before, s")
    axes[2][0].set_ylabel("down, Mbit/s")
    dots, names = axes[0][0].get_legend_handles_labels()
    figure.legend(dots, names, loc="outside upper right", ncols=2, markerscale=6, frameon=False)
    figure.savefig(path, dpi=90, format="png", metadata={"Software": ""})
    plt.close(figure)


def _seconds(trace: Trace) -> NDArray[np.float64]:
    return np.asarray(trace.packets.ts / NANOSECONDS, np.float64)


def _sizes(axis: Any, trace: Trace) -> None:
    step = max(1, len(trace.packets) // DOTS)
    seconds, up = _seconds(trace)[::step], trace.flows.up[::step]
    signed = np.where(up, -trace.packets.length[::step], trace.packets.length[::step])
    for chosen, colour, label in ((~up, DOWN, "down"), (up, UP, "up")):
        axis.plot(seconds[chosen], signed[chosen], ".", color=colour, markersize=1.5, label=label, rasterized=True)
    axis.set_xlabel("s")


def _gaps(axis: Any, trace: Trace) -> None:
    step = max(1, len(trace.packets) // DOTS)
    seconds = _seconds(trace)
    gaps = np.maximum(np.diff(seconds), 1e-6)
    axis.semilogy(seconds[1:][::step], gaps[::step], ".", color="#4b5563", markersize=1.5, rasterized=True)
    axis.set_xlabel("s")


def _throughput(axis: Any, trace: Trace, ladder: Sequence[int]) -> None:
    window = trace.condition.window
    count = max(1, len(trace.labels))
    down = ~trace.flows.up & (trace.windows() < count)
    total = np.bincount(trace.windows()[down], trace.packets.length[down], minlength=count)[:count]
    starts = np.arange(count) * window
    heights = total * 8 / window / 1e6
    axis.bar(starts, heights, width=window * 0.9, align="edge", color=DOWN, alpha=0.6)
    for start, height, rung in zip(starts, heights, trace.labels.rung, strict=False):
        if rung >= 0 and rung < len(ladder):
            axis.annotate(f"{ladder[rung]}p", (start + window * 0.45, height), ha="center", va="bottom", color=ASKED)
    axis.set_xlabel("s; above each window the rung fetched (real) or asked for (synthetic)")
