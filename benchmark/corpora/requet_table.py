"""The 100 ms tables of Requet, and their reduction to labels of windows.

Source: Gutterman et al., "Requet: Real-Time QoE Detection for Encrypted YouTube Traffic", MMSys 2019, and the
README of its data set. A row holds packets and bytes up and down, and the newest sample of YouTube's IFrame API.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS

# Playback qualities from "tiny" on; the first, "unlabelled", is none.
HEIGHTS = (144, 240, 360, 480, 720, 1080, 1440, 2160)
COLUMNS = ("t_s", "pkts_up", "pkts_down", "ev_paused", "ev_playing", "epoch_ms", "playback_s", "video_len_s")
_ROW = 0.1
_LAGS = np.arange(-2.0, 2.0 + 1e-9, 0.01)
# Below this the table is of another session: pairs that belong together reach 0.8 and more.
LEAST_FIT = 0.5
_HEAD = re.compile(r"\[\s*([\d.eE+-]+),\s*(\d+),\s*(\d+),")
_TAIL = re.compile(
    r"\[\[([01, ]+)\],\s*([\d.eE+-]+),[^,]*,([^,]*),([^,]*),\s*\[([01, ]+)\],([^,]*),[^,]*,[^,\]]*\]\]\s*$"
)


@dataclass(frozen=True, eq=False)
class PlayerTable:
    """Rows of about 100 ms, arrays [n]: time (s), packets, progress (s), length of the video (s), quality, health (s).

    sampled: the player had reported by then. playing, paused: it reported that event. quality: 0 is none.
    """

    time: NDArray[np.float64]
    packets: NDArray[np.float64]
    sampled: NDArray[np.bool_]
    playing: NDArray[np.bool_]
    paused: NDArray[np.bool_]
    progress: NDArray[np.float64]
    length: NDArray[np.float64]
    quality: NDArray[np.int64]
    health: NDArray[np.float64]


@dataclass(frozen=True)
class Reduction:
    """windows: labels by window and column. startup: seconds. health: mean buffer (s) by window."""

    windows: dict[int, dict[str, float]]
    startup: float
    health: list[float]


def read_player_table(path: Path) -> PlayerTable:
    """Read a ``…_merged.txt`` as published, or the same as CSV. Raises CorpusError naming file and line."""
    rows = _read_csv(path) if path.suffix == ".csv" else _read_merged(path)
    if len(rows) < 2:
        raise CorpusError(f"{path}: a label table of {len(rows)} rows")
    table = np.array(rows, np.float64)
    if (np.diff(table[:, 0]) <= 0).any():
        line = int(np.flatnonzero(np.diff(table[:, 0]) <= 0)[0]) + 2
        raise CorpusError(f"{path}: row {line} isn't later than the one ahead of it: its windows overlap")
    return PlayerTable(
        time=table[:, 0], packets=table[:, 1], sampled=table[:, 4] > 0, playing=table[:, 3] > 0,
        paused=table[:, 2] > 0, progress=table[:, 5], length=table[:, 6], quality=table[:, 7].astype(np.int64),
        health=table[:, 8],
    )  # fmt: skip


def _read_csv(path: Path) -> list[list[float]]:
    rows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                numbers = [float(row[name]) for name in COLUMNS]
                health = float(row["buffer_health_s"]) if row["buffer_frac"] not in ("", "nan") else math.nan
                both = numbers[1] + numbers[2]
                rows.append([numbers[0], both, *numbers[3:], max(float(row["quality_idx"]), 0.0), health])
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path}: line {len(rows) + 2} isn't a row of a Requet table ({error!r})") from error
    return rows


def _read_merged(path: Path) -> list[list[float]]:
    rows = []
    number = 0
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                head, tail = _HEAD.match(line), _TAIL.search(line)
                if head is None or tail is None:
                    raise CorpusError(f"{path}: line {number} isn't a row of a Requet table")
                events, levels = ([int(flag) for flag in tail[group].replace(" ", "").split(",")] for group in (1, 5))
                # Two levels in one row: the player has just switched to the higher or lower; the higher stands.
                quality = max((level for level, flag in enumerate(levels) if flag), default=0)
                health = math.nan if "null" in tail[6] else float(tail[6])
                packets = float(head[2]) + float(head[3])
                state = [events[1], events[2], float(tail[2]), float(tail[3]), float(tail[4])]
                rows.append([float(head[1]), packets, *state, quality, health])
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise CorpusError(f"{path}: line {number} isn't a row of a Requet table ({error!r})") from error
    return rows


def fit_lag(table: PlayerTable, ts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the seconds by which the capture's clock is ahead of the table's, and how well they then agree.

    ts: int64 [n], nanoseconds of the capture's packets, in order. The table was counted by another machine, so the
    lag is that of the highest correlation between its packets per row and the capture's, over 2 s either way.
    """
    seconds = ts / NANOSECONDS
    best = (0.0, -1.0)
    for lag in sorted(_LAGS, key=abs):
        edges = np.searchsorted(seconds, np.append(table.time, table.time[-1] + _ROW) + lag)
        counted = np.diff(edges).astype(np.float64)
        spread = counted.std() * table.packets.std()
        fit = (
            0.0 if spread == 0 else float(((counted - counted.mean()) * (table.packets - table.packets.mean())).mean())
        )
        fit = fit / spread if spread else 0.0
        if fit > best[1]:
            best = (float(lag), fit)
    return round(best[0], 3), round(best[1], 4)


def reduce_table(table: PlayerTable, lag: float, window: float) -> Reduction:
    """Reduce a table to labels of windows of ``window`` seconds from the capture's first packet.

    A row plays where the playhead advances, over five rows, by half of the time or more; from the first sample on
    every other row is stalled, save after a pause and at the video's end. rung: the modal quality reported, ties to
    the lower; height: the modal one of rows that play. A window counts if the player reports in half of its rows.
    """
    time = table.time + lag
    rows = np.arange(len(time))
    early, late = np.maximum(rows - 2, 0), np.minimum(rows + 2, len(rows) - 1)
    advance = table.progress[late] - table.progress[early]
    moving = table.sampled & (advance >= 0.5 * (table.time[late] - table.time[early])) & (table.progress > 0)
    begun = np.maximum.accumulate(moving)
    event = np.maximum.accumulate(np.where(table.paused | table.playing, rows, -1))
    halted = (event >= 0) & table.paused[event] & ~table.playing[event]
    ended = (table.length > 0) & (table.progress >= table.length - 1.0)
    stalled = table.sampled & ~moving & ~halted & ~(ended & begun)
    windows: dict[int, dict[str, float]] = {}
    health: list[float] = []
    index = np.floor(time / window).astype(np.int64)
    for number in range(int(index[-1]) + 1):
        inside = index == number
        known = inside & table.sampled
        buffered = table.health[known & np.isfinite(table.health)]
        health.append(round(float(buffered.mean()), 3) if len(buffered) else -1.0)
        if 2 * known.sum() < round(window / _ROW) or not known.any():
            continue
        windows[number] = {
            "rung": _mode(table.quality[known]) - 1,
            "height": HEIGHTS[_mode(table.quality[known & moving]) - 1] if _mode(table.quality[known & moving]) else -1,
            "stall": min(float(stalled[inside].sum()) * _ROW, window),
        }
    return Reduction(windows, _startup(table, time, moving), health)


def _startup(table: PlayerTable, time: NDArray[np.float64], moving: NDArray[np.bool_]) -> float:
    """Seconds from the first sample, or the first packet if later, to the first row whose playhead stands past 0."""
    if not moving.any() or not table.sampled.any():
        return math.nan
    shown = int(np.flatnonzero(table.sampled & (table.progress > 0))[0])
    wanted = max(float(time[int(np.argmax(table.sampled))]), 0.0)
    return round(max(float(time[shown]) - wanted, 0.0), 3)


def _mode(quality: NDArray[np.int64]) -> int:
    """Return the commonest quality, ties to the lower; 0 if none is known."""
    known = np.bincount(quality[quality > 0], minlength=2)
    return int(known.argmax()) if known.any() else 0
