"""The label rule: what a player's or a call's own log says of the quality in each window.

Rule 1. Windows count from the trace's first packet, the player's or cross traffic's; how long they are is the
corpus's choice. A player's log and the capture share one clock. Nothing outside a window decides its label,
save that rung is carried forward.

Streaming, from the log's ``segs`` ([completed, unix ms; name; bytes; ms it took; …]) and its ``samples``, 2 a
second or more:

* rung: the modal representation of the video segments (cR-N.m4s with R a rung of the ladder; neither audio
  nor init segments) completed in the window, ties to the lower; where none completes, that of the window
  before; -1 ahead of the first.
* height: the modal ``h`` of the window's samples since whose predecessor the playhead moved, ties to the
  lower; -1 if there is none. ``h`` alone would tell the init segment's height before a frame is shown.
* the playhead moves between two samples if it advances by more than 0 and at most twice the time between
  them plus 0.25 s (more is a seek to the start offset).
* startup: seconds from the moment playback is wanted (the player's start, or the first packet if that is
  later) to the first move, taken back from the sample that shows it by what it shows.
* stall: seconds of the window in which playback was wanted and the playhead stood for want of media: the
  startup delay's share of it, and then what the player's own counter of rebuffering time (``bt`` or
  ``stall``) gained, spread evenly between samples. Dropped frames aren't stalls.
* bitrate: bits of the media segments (video and audio) completed in the window, over its length.
* fps: unknown.

Calls, from the receiver's ``getStats``, once a second or more often, cumulative counters interpolated at the windows'
ends: fps from frames decoded, bitrate from the video's bytes received. Stall from the freezes, which the receiver
counts when they are over: what a sample adds is frozen time just ahead of it. Height is the modal frame height of the
window's samples. Windows that the samples don't span are unknown; rung and startup too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Labels

RULE = 1
LADDER = (144, 240, 360, 480, 720, 1080)
_SEGMENT = re.compile(r"c(\d+)-\d+\.m4s")
_AUDIO = len(LADDER)


def label_streaming(log: Mapping[str, Any], first_packet: float, window: float, windows: int) -> Labels:
    """Return the labels of a streaming session; ``first_packet`` in unix seconds."""
    edges = first_packet + window * np.arange(windows + 1)
    fetched: list[list[int]] = [[] for _ in range(windows)]
    media = np.zeros(windows)
    for completed, name, size, *_ in log["segs"]:
        match = _SEGMENT.fullmatch(name)
        index = math.floor((completed / 1000 - first_packet) / window)
        if match is None or not 0 <= index < windows:
            continue
        media[index] += 8 * size
        if int(match[1]) < _AUDIO:
            fetched[index].append(int(match[1]))
    wanted = max(log["t0"] / 1000, first_packet)
    times, moves = playhead_moves(log["samples"])
    heights: list[list[int]] = [[] for _ in range(windows)]
    for sample, moved in zip(log["samples"][1:], moves, strict=True):
        index = math.floor((sample["t"] / 1000 - first_packet) / window)
        if moved > 0 and sample["h"] and 0 <= index < windows:
            heights[index].append(int(sample["h"]))
    rungs = [mode(rung) for rung in fetched]
    for index in range(1, windows):
        if rungs[index] < 0:
            rungs[index] = rungs[index - 1]
    began = math.nan
    if (moves > 0).any():
        first = int(np.flatnonzero(moves > 0)[0])
        began = float(times[first + 1] - moves[first])
    return Labels(
        rung=np.array(rungs, np.int8),
        height=np.array([mode(height) for height in heights], np.int16),
        stall=_stalls(log["samples"], times, edges, wanted, began).astype(np.float32),
        fps=np.full(windows, np.nan, np.float32),
        bitrate=(media / window).astype(np.float32),
        startup=round(began - wanted, 3),
    )


def label_call(log: Mapping[str, Any], first_packet: float, window: float, windows: int) -> Labels:
    """Return the labels of a call, as its receiver (the client) counted; ``first_packet`` in unix seconds."""
    edges = first_packet + window * np.arange(windows + 1)
    samples = [sample for sample in log["client"] if "in_video" in sample]
    times = np.array([sample["t"] / 1000 for sample in samples])
    heights: list[list[int]] = [[] for _ in range(windows)]
    for sample, time in zip(samples, times, strict=True):
        index = math.floor((time - first_packet) / window)
        if 0 <= index < windows and sample["in_video"].get("frameHeight"):
            heights[index].append(int(sample["in_video"]["frameHeight"]))

    def gained(counter: str) -> NDArray[np.float64]:
        counts = np.array([sample["in_video"].get(counter, 0) for sample in samples], float)
        return np.diff(np.interp(edges, times, counts, left=math.nan, right=math.nan))

    return Labels(
        rung=np.full(windows, -1, np.int8),
        height=np.array([mode(height) for height in heights], np.int16),
        stall=np.round(_frozen(samples, times, edges), 3).astype(np.float32),
        fps=np.round(gained("framesDecoded") / window, 2).astype(np.float32),
        bitrate=np.round(8 * gained("bytesReceived") / window).astype(np.float32),
    )


def _frozen(
    samples: Sequence[Mapping[str, Any]], times: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the seconds frozen in each window, NaN where the samples don't span it.

    The receiver counts a freeze when it is over, all of it at once, so what a sample adds lies ahead of it.
    """
    counts = np.array([sample["in_video"].get("totalFreezesDuration", 0) for sample in samples], float)
    frozen = np.where((edges[:-1] >= times[0]) & (edges[1:] <= times[-1]), 0.0, math.nan)
    for end, lasted in zip(times[1:], np.diff(counts), strict=True):
        if lasted > 0:
            frozen += np.diff(np.clip(edges, end - lasted, end))
    return np.minimum(frozen, np.diff(edges))


def playhead_moves(samples: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the samples' times in unix seconds [n], and how far the playhead moved up to each but the first.

    Moves are float64 [n - 1], in seconds; 0 where it stood or was moved by a seek.
    """
    times = np.array([sample["t"] / 1000 for sample in samples])
    moves = np.diff(np.array([sample["ct"] for sample in samples], float))
    return times, np.where((moves > 0) & (moves <= 2 * np.diff(times) + 0.25), moves, 0.0)


def mode(values: Sequence[int]) -> int:
    """Return the most frequent value, ties to the lower; -1 of none."""
    if not values:
        return -1
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def _stalls(
    samples: Sequence[Mapping[str, Any]],
    times: NDArray[np.float64],
    edges: NDArray[np.float64],
    wanted: float,
    began: float,
) -> NDArray[np.float64]:
    """Return the seconds stalled in each window."""
    if math.isnan(began):
        return np.diff(np.maximum(edges, wanted))
    waited = np.diff(np.clip(edges, wanted, began))
    counter = "bt" if "bt" in samples[0] else "stall"
    counts = np.array([sample[counter] for sample in samples], float)
    playing = times >= began
    if not playing.any():
        return waited
    return np.round(waited + np.diff(np.interp(edges, times[playing], counts[playing])), 3)
