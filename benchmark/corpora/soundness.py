"""What can't be right in a labelled trace, whatever its corpus: its clock, its windows, its labels."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from benchmark.trace import NANOSECONDS, Labels, Trace

# A player with a full buffer is silent for tens of seconds; longer, and the capture's clock was set anew. A corpus
# of long windows may be silent for three of them.
LONGEST_SILENCE = 30.0
_SILENT_WINDOWS = 3.0
# Labels are kept in 32 bits, so that a window stalled throughout may be a hair longer than itself.
_ROUNDING = 1.001
_FASTEST = 1000.0


def fault_of(trace: Trace, window: float, ladder: Sequence[int], unscored: Container[str]) -> str:
    """Say what of a trace can't be right ("has ..."), or return "".

    window: seconds, of the corpus. ladder: heights of the rungs. unscored: tasks whose labels may be missing.
    """
    return (
        _presence_fault(trace)
        or _window_fault(trace, window)
        or _clock_fault(trace, window)
        or _range_fault(trace.labels, window, len(ladder))
        or _missing_fault(trace.labels, unscored)
    )


def _presence_fault(trace: Trace) -> str:
    labels = trace.labels
    if len(trace.packets) == 0:
        return "has labels but no packets"
    known = [labels.rung >= 0, labels.height > 0, *(np.isfinite(row) for row in (labels.stall, labels.fps))]
    return "" if any(row.any() for row in known) else "has packets but no labels"


def _window_fault(trace: Trace, window: float) -> str:
    condition = trace.condition
    if condition.window != window:
        return f"has windows of {condition.window} s, not {window} s"
    if abs(len(trace.labels) * window - condition.duration) > 1e-6 * condition.duration:
        covered = f"{len(trace.labels)} windows of {window} s"
        kind = "overlap" if len(trace.labels) * window > condition.duration else "leave a part unlabelled"
        return f"has labels for {covered} in a duration of {condition.duration} s: its windows {kind}"
    return ""


def _clock_fault(trace: Trace, window: float) -> str:
    ts = trace.packets.ts
    if ts[0] != 0:
        return f"has its first packet at {ts[0] / NANOSECONDS:.6f} s; times count from the first packet"
    if len(ts) > 1:
        gaps = np.diff(ts)
        back, ahead = int(gaps.argmin()), int(gaps.argmax())
        if gaps[back] < 0:
            return f"has a clock step: packet {back + 1} is {-gaps[back] / NANOSECONDS:.6f} s before packet {back}"
        longest = max(LONGEST_SILENCE, _SILENT_WINDOWS * window)
        if gaps[ahead] > longest * NANOSECONDS:
            silence = f"{gaps[ahead] / NANOSECONDS:.3f} s of silence before packet {ahead + 1}"
            return f"has a clock step: {silence}, more than {longest:g} s"
    last = ts[-1] / NANOSECONDS
    if last >= len(trace.labels) * window:
        return f"has packets to {last:.3f} s, beyond its labels' {len(trace.labels)} windows"
    return ""


def _range_fault(labels: Labels, window: float, rungs: int) -> str:
    numbers = {"stall": _ROUNDING * window, "fps": _FASTEST, "bitrate": 1e12}
    for name, most in numbers.items():
        row = getattr(labels, name)
        wrong = np.flatnonzero(~np.isnan(row) & ~((row >= 0) & (row <= most)))
        if len(wrong):
            return f"has a {name} of {row[wrong[0]]:g} in window {wrong[0]}, not one of 0 to {most:g}"
    for name, lowest, most in (("rung", -1, rungs - 1), ("height", -1, 1 << 15)):
        row = getattr(labels, name)
        wrong = np.flatnonzero((row < lowest) | (row > most))
        if len(wrong):
            beyond = " beyond the ladder" if name == "rung" and row[wrong[0]] > most else ""
            return f"has a {name}{beyond}: {row[wrong[0]]} in window {wrong[0]}"
    startup = labels.startup
    if not (np.isnan(startup) or 0 <= startup < float("inf")):
        return f"has a startup of {startup} s"
    return ""


def _missing_fault(labels: Labels, unscored: Container[str]) -> str:
    """A task of the corpus needs an answer from each trace; playback that never began has no height and no startup."""
    known = {
        "rung": bool((labels.rung >= 0).any()),
        "height": bool((labels.height > 0).any()),
        "startup": bool(np.isfinite(labels.startup)),
    }
    known |= {name: bool(np.isfinite(getattr(labels, name)).any()) for name in ("stall", "fps", "bitrate")}
    for name in ("rung", "stall", "fps", "bitrate"):
        if not known[name] and name not in unscored:
            return f"has no label {name} in any window, and the manifest's unscored doesn't say why"
    for name, other in (("startup", "height"), ("height", "startup")):
        if known[other] and not known[name] and name not in unscored:
            return f"has a label {other} but no {name}, and the manifest's unscored doesn't say why"
    return ""
