"""Dumps of chrome://webrtc-internals, reduced to what a receiver's getStats says of its video second by second.

The form is that which VCAML reads (Sharma et al., "Estimating WebRTC Video QoE Metrics Without Using Application
Headers", IMC 2023): ``PeerConnections.*.stats["IT01V<ssrc>-framesPerSecond"] = {startTime, endTime, values}`` with
``values`` a list in text, one a second; older browsers say ``RTCInboundRTPVideoStream_<ssrc>``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.errors import CorpusError

# Column of a window's label: names of the statistic, the first that is there.
_STATISTICS = {
    "fps": ("[framesReceived/s]", "[framesDecoded/s]", "framesPerSecond"),
    "bitrate": ("[bytesReceived_in_bits/s]",),
    "height": ("frameHeight",),
    "stall": ("totalFreezesDuration", "totalFreezesDuration*"),
}
_CUMULATIVE = ("stall",)
_STREAM = re.compile(r"(IT\d+V\d+|RTCInboundRTPVideoStream_\d+)-(.+)")
Series = dict[str, dict[int, float]]


def read_webrtc_dump(path: Path) -> Series:
    """Return each label's value by the second (since 1970) at which it was read, of the stream with most frames.

    Raises CorpusError for a file that isn't such a dump, or has no video received.
    """
    try:
        content = json.loads(path.read_bytes())
        connections = content["PeerConnections"].values()
        streams: dict[str, dict[str, Any]] = {}
        for number, connection in enumerate(connections):
            for name, entry in connection["stats"].items():
                if match := _STREAM.fullmatch(name):
                    streams.setdefault(f"{number} {match[1]}", {})[match[2]] = entry
        received = [stream for stream in streams.values() if _first(stream, "fps")]
        if not received:
            raise CorpusError(f"{path}: the dump has no video received (no framesPerSecond of an inbound stream)")
        best = max(received, key=lambda stream: sum(_numbers(stream[_first(stream, "fps")]).values()))
        found = {name: _numbers(best[_first(best, name)]) for name in _STATISTICS if _first(best, name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(f"{path}: not a dump of chrome://webrtc-internals ({error!r})") from error
    return {name: _gains(values) if name in _CUMULATIVE else values for name, values in found.items()}


def reduce_series(series: Series, epoch_ns: int, window: float) -> dict[int, dict[str, float]]:
    """Reduce readings to labels of windows of ``window`` seconds from ``epoch_ns`` on.

    A reading at second s speaks of the second before it; it counts for the window that holds that second's middle.
    fps and bitrate are means, height is the commonest (ties to the lower; 0 is none), stall is a sum.
    """
    gathered: dict[int, dict[str, list[float]]] = {}
    for name, values in series.items():
        for second, value in values.items():
            index = math.floor((second - 0.5 - epoch_ns / 1e9) / window)
            if index >= 0:
                gathered.setdefault(index, {}).setdefault(name, []).append(value)
    windows: dict[int, dict[str, float]] = {}
    for index, columns in gathered.items():
        windows[index] = {
            name: sum(columns[name]) / len(columns[name]) for name in ("fps", "bitrate") if name in columns
        }
        if "stall" in columns:
            windows[index]["stall"] = min(sum(columns["stall"]), window)
        heights = [height for height in columns.get("height", ()) if height > 0]
        if heights:
            windows[index]["height"] = min(set(heights), key=lambda height: (-heights.count(height), height))
    return windows


def _first(stream: Mapping[str, Any], label: str) -> str:
    return next((name for name in _STATISTICS[label] if name in stream), "")


def _numbers(entry: Mapping[str, Any]) -> dict[int, float]:
    """Return a statistic's values by second; those that aren't numbers from 0 on are unknown."""
    start = datetime.fromisoformat(entry["startTime"])
    begin = math.floor((start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp())
    values = json.loads(entry["values"]) if isinstance(entry["values"], str) else entry["values"]
    numbers = {}
    for offset, value in enumerate(values):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
            numbers[begin + offset] = float(value)
    return numbers


def _gains(values: dict[int, float]) -> dict[int, float]:
    """Return what a counter gained in each second whose predecessor is known."""
    return {second: max(value - values[second - 1], 0.0) for second, value in values.items() if second - 1 in values}
