"""What a trace's notes and labels say of it, in words: titles and captions of pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import NANOSECONDS, Trace

Series = NDArray[np.float64]

# Notes are of unknown origin: a longer series is no one's rate trace or buffer.
_LONGEST = 100_000
_LINE = 100
# Mbit/s below which nothing is played: the testbed's outages are 0.
_OUTAGE = 0.02


def shown(text: str) -> str:
    """Return text of unknown origin as one short line that any page or picture can hold."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def file_stem(text: str) -> str:
    """Return a file's name for text of unknown origin: itself where it may be one, else told apart by a digest."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:_LINE].lstrip(".")
    return plain if plain == text else f"{plain}-{sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def read_series(notes: Mapping[str, Any], *names: str) -> Series | None:
    """Return the series of [second, value] pairs at ``notes[names[0]][names[1]]…``, float64 [n, 2], in time order.

    None where there is none, or where it isn't pairs of finite numbers.
    """
    value: Any = notes
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, list | tuple) or not 0 < len(value) <= _LONGEST:
        return None
    for pair in value:
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(type(one) in (int, float) for one in pair)):
            return None
    try:
        series = np.array(value, np.float64)
    except OverflowError:
        return None
    if not np.isfinite(series).all() or (np.diff(series[:, 0]) < 0).any():
        return None
    return series


def link_rate(trace: Trace) -> Series | None:
    """Return the link's rate downwards as steps, [second, Mbit/s], where the notes have it.

    Seconds count from the trace's first packet where ``has_link_clock``, else from the session's start before it.
    """
    steps = read_series(trace.notes, "link", "down")
    if steps is None:
        return None
    began = trace.notes["link_began"] if has_link_clock(trace) else 0.0
    return np.asarray(steps + np.array([began, 0.0]), np.float64)


def has_link_clock(trace: Trace) -> bool:
    """Tell whether the notes say when the link's second 0 was: ``link_began``, seconds since the first packet."""
    began: Any = trace.notes.get("link_began")
    return type(began) in (int, float) and abs(began) < 1e9


def mean_rate(steps: Series, duration: float) -> float:
    """Return the mean of a rate given as steps over ``duration`` seconds, in its own unit."""
    edges = np.clip(np.append(steps[:, 0], math.inf), 0.0, max(duration, 1e-9))
    edges[0] = 0.0
    return float((np.diff(edges) * steps[:, 1]).sum() / edges[-1])


def outages(trace: Trace) -> list[tuple[float, float]]:
    """Return when the link passed nothing: (from, to) in seconds, within the trace's duration."""
    steps = link_rate(trace)
    if steps is None:
        return []
    found: list[tuple[float, float]] = []
    ends = np.append(steps[1:, 0], math.inf)
    for (begin, rate), end in zip(steps.tolist(), ends.tolist(), strict=True):
        begin, end = max(begin, 0.0), min(end, trace.condition.duration)
        if rate >= _OUTAGE or begin >= end:
            continue
        if found and found[-1][1] >= begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def stall_parts(trace: Trace) -> tuple[Series, Series]:
    """Split each window's stall, s, into the wait before the first frame and what came after it.

    The startup delay is the earliest part of the time stalled (``Labels.stall`` counts both).
    """
    stall = np.nan_to_num(np.asarray(trace.labels.stall, np.float64))
    startup = 0.0 if math.isnan(trace.labels.startup) else trace.labels.startup
    before = np.minimum(np.cumsum(stall), startup)
    opening = np.diff(before, prepend=0.0)
    later = np.maximum(stall - opening, 0.0)
    # Logs are sampled at 2 Hz: what is left over of a startup by rounding isn't a stall.
    return opening, np.where(later < 0.1, 0.0, later)


def main_packets(trace: Trace) -> NDArray[np.bool_]:
    """Tell which packets are the video's, bool [n].

    Those of all flows but the ones at ``notes["cross_port"]``, where the testbed's traffic of others goes; without
    that note, those of the flow with most bytes down (ties: first seen).
    """
    flows, fields = trace.flows, trace.packets.fields
    placed = flows.index >= 0
    port = trace.notes.get("cross_port")
    if type(port) is int:
        return np.asarray(placed & (fields.sport != port) & (fields.dport != port))
    if flows.count == 0:
        return placed
    down = placed & ~flows.up
    total = np.bincount(flows.index[down], trace.packets.length[down], minlength=flows.count)
    return np.asarray(flows.index == total.argmax())


def other_flows(trace: Trace) -> int:
    """Return the number of flows beside the video's."""
    index = trace.flows.index
    return len(np.unique(index[~main_packets(trace) & (index >= 0)]))


def other_share(trace: Trace) -> float:
    """Return the share of bytes that aren't the video's."""
    length = np.maximum(trace.packets.length.astype(np.int64), 0)
    return float(length[~main_packets(trace)].sum() / max(1, length.sum()))


def is_synthetic(trace: Trace) -> bool:
    """Tell whether a trace's labels are what was asked for: by its name, which generators give."""
    return trace.name.startswith("synthetic-")


def dominating_rung(trace: Trace) -> tuple[int, int]:
    """Return the rung fetched in most windows (ties to the lower) and in how many; (-1, 0) where none is known."""
    known = trace.labels.rung[trace.labels.rung >= 0]
    if len(known) == 0:
        return -1, 0
    counts = np.bincount(known)
    return int(counts.argmax()), int(counts.max())


def describe_setting(trace: Trace) -> str:
    """Say who played over what: player, link, outages, the traffic of others."""
    notes = trace.notes
    parts = [
        shown(str(notes[name])) for name in ("player", "protocol", "codec", "congestion") if _is_word(notes.get(name))
    ]
    said = [", ".join(parts)] if parts else []
    steps = link_rate(trace)
    if steps is not None:
        rate = mean_rate(steps, trace.condition.duration)
        low, high = steps[:, 1].min(), steps[:, 1].max()
        spread = "" if low == high else f" ({low:.3g} to {high:.3g})"
        said.append(f"link {rate:.3g} Mbit/s{' mean' if spread else ''}{spread}{_delay(notes['link'])}")
        gone = outages(trace)
        if gone:
            total = sum(end - begin for begin, end in gone)
            said.append(f"{len(gone)} outage{'s' if len(gone) > 1 else ''} of {total:.0f} s")
        else:
            said.append("no outage")
    if not said:
        seconds = trace.packets.ts[-1] / NANOSECONDS if len(trace.packets) else 0.0
        said.append(f"{len(trace.packets):,} packets, {_counted(trace.flows.count, 'flow')}, {seconds:.3g} s")
    others = other_flows(trace)
    if others > 0:
        cross = notes.get("cross")
        kind = f" ({shown(str(cross))})" if _is_word(cross) and cross != "none" else ""
        said.append(f"{_percent(other_share(trace))} of bytes in {_counted(others, 'other flow')}{kind}")
    return "; ".join(said)


def describe_quality(trace: Trace, ladder: Sequence[int] = ()) -> str:
    """Say what quality the labels tell of, "" where they're silent."""
    labels = trace.labels
    said: list[str] = []
    rung, count = dominating_rung(trace)
    if 0 <= rung < len(ladder):
        verb = "asked for" if is_synthetic(trace) else "fetched"
        said.append(f"{verb} {ladder[rung]}p in {count} of {len(labels)} windows")
    fps = labels.fps[np.isfinite(labels.fps)]
    if len(fps):
        said.append(f"{fps.mean():.0f} frames/s")
    rate = labels.bitrate[np.isfinite(labels.bitrate)]
    if len(rate):
        said.append(f"{'video' if len(fps) else 'media'} {rate.mean() / 1e6:.2g} Mbit/s")
    if not math.isnan(labels.startup):
        said.append(f"startup {labels.startup:.1f} s")
    if np.isfinite(labels.stall).any():
        later = float(stall_parts(trace)[1].sum())
        after = "" if math.isnan(labels.startup) else " after startup"
        said.append(f"stalled {later:.1f} s{after}" if later >= 0.05 else f"no stall{after}")
    return ", ".join(said)


def _delay(link: Any) -> str:
    parts = []
    delay, loss = link.get("delay_ms", link.get("delay")), link.get("loss")
    if type(delay) in (int, float) and math.isfinite(delay):
        parts.append(f"{delay:.3g} ms one way")
    if type(loss) in (int, float) and 0 < loss <= 1:
        parts.append(f"{loss * 100:.2g} % loss")
    return "".join(f", {part}" for part in parts)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 40


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
