"""Tasks: what a quality model is asked to tell from a window's features, and the labelled examples of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.quality.features import FeatureTable, feature_names
from benchmark.quality.models import IntArray, add_history, history_names
from benchmark.trace import Labels, Trace

FloatArray = NDArray[np.float64]
Read = Callable[[Trace, tuple[int, ...]], FloatArray]

STALLED = 0.5  # seconds of a window above which it counts as stalled


@dataclass(frozen=True)
class Task:
    """One question asked of a window.

    name: as in metric names. label: the field of ``Labels`` that answers it. read: labels of a trace, given
    the ladder: float64 [w], NaN where there is none. unit: of the label, "" for classes. classes: the label
    is a class; else a number. history: the features of the windows before are given too. opening: asked of
    a trace's first window only. balanced: classes count alike, however few windows they have.
    """

    name: str
    label: str
    read: Read
    meaning: str
    unit: str = ""
    classes: bool = True
    history: bool = False
    opening: bool = False
    balanced: bool = False


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled windows: features int64 [n, columns], labels float64 [n], trace int64 [n] (its place in the
    list), window int64 [n] (its index in the trace, never a feature)."""

    features: IntArray
    labels: FloatArray
    trace: IntArray
    window: IntArray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.bool_]) -> Examples:
        """Select examples by a mask."""
        return Examples(self.features[chosen], self.labels[chosen], self.trace[chosen], self.window[chosen])

    @property
    def traces(self) -> int:
        """How many traces have an example."""
        return len(np.unique(self.trace))


def definition(height: NDArray[np.float64]) -> FloatArray:
    """Return the class of each picture height: 0 below 480 lines, 1 below 720, 2 (HD) from there; NaN
    stays."""
    return np.where(np.isnan(height), np.nan, (height >= 480).astype(float) + (height >= 720))


def _rung(trace: Trace, ladder: tuple[int, ...]) -> FloatArray:
    return definition(_rung_height(trace, ladder))


def _rung_height(trace: Trace, ladder: tuple[int, ...]) -> FloatArray:
    rung = trace.labels.rung.astype(np.int64)
    known = (rung >= 0) & (rung < len(ladder))
    heights = np.array([*ladder, 0], np.float64)
    return np.where(known, heights[np.where(known, rung, -1)], np.nan)


def _rung6(trace: Trace, ladder: tuple[int, ...]) -> FloatArray:
    return np.where(np.isnan(_rung_height(trace, ladder)), np.nan, trace.labels.rung.astype(np.float64))


def _height(trace: Trace, _ladder: tuple[int, ...]) -> FloatArray:
    height = trace.labels.height.astype(np.float64)
    return definition(np.where(height > 0, height, np.nan))


def _startup(trace: Trace, _ladder: tuple[int, ...]) -> FloatArray:
    labels = np.full(len(trace.labels), np.nan)
    labels[:1] = trace.labels.startup
    return labels


def past_startup(labels: Labels) -> NDArray[np.bool_]:
    """Tell which windows lie past the startup delay, bool [w]: those after the first with a played height.

    Windows up to that one hold the delay's share of the stalled time. Where no height is known, or playback
    never began, there is none.
    """
    played = labels.height > 0
    return np.asarray(np.cumsum(played) - played > 0)


def _stall(trace: Trace, _ladder: tuple[int, ...]) -> FloatArray:
    stall = trace.labels.stall.astype(np.float64)
    return np.where(past_startup(trace.labels) & (stall >= 0), (stall > STALLED).astype(float), np.nan)


def _number(field: str) -> Read:
    def read(trace: Trace, _ladder: tuple[int, ...]) -> FloatArray:
        values = getattr(trace.labels, field).astype(np.float64)
        return np.where(values >= 0, values, np.nan)

    return read


TASKS = {
    task.name: task
    for task in (
        Task("rung", "rung", _rung, "rung fetched, as below 480p, 480p or HD"),
        Task("rung6", "rung", _rung6, "rung fetched, each rung a class"),
        Task(
            "height",
            "height",
            _height,
            "height played, as below 480p, 480p or HD, with history",
            history=True,
        ),
        Task("startup", "startup", _startup, "startup delay, from the first window", "s", False, opening=True),
        Task(
            "stall",
            "stall",
            _stall,
            f"stalled for more than {STALLED} s of a window past startup, or not, with history",
            history=True,
            # Stalls are rare: the majority's plain accuracy would leave nothing to gain, and the median is 0 s.
            balanced=True,
        ),
        Task("fps", "fps", _number("fps"), "frame rate", "1/s", False),
        Task("bitrate", "bitrate", _number("bitrate"), "video bit rate received", "bit/s", False),
    )
}


def gather(
    task: Task,
    traces: Sequence[Trace],
    tables: Sequence[FeatureTable],
    ladder: tuple[int, ...] = (),
    feature_set: str = "F5",
) -> Examples:
    """Return the windows of ``traces`` that have a label, with the features of ``feature_set``.

    tables: of each trace, of that feature set or a larger one. The window's index isn't among the features.
    """
    names = feature_names(feature_set)
    columns = len(names)
    features, labels, places, windows = [], [], [], []
    for place, (trace, table) in enumerate(zip(traces, tables, strict=True)):
        values = table.values[:, :columns]
        values = add_history(values, names) if task.history else values
        wanted = task.read(trace, ladder)
        known = np.isfinite(wanted)
        if task.opening:
            known &= np.arange(len(known)) == 0
        features.append(values[known])
        labels.append(wanted[known])
        places.append(np.full(int(known.sum()), place))
        windows.append(np.flatnonzero(known))
    width = len(history_names(names)) if task.history else columns
    return Examples(
        np.concatenate([np.zeros((0, width), np.int64), *features]),
        np.concatenate([np.zeros(0), *labels]),
        np.concatenate([np.zeros(0, np.int64), *places]),
        np.concatenate([np.zeros(0, np.int64), *windows]),
    )
