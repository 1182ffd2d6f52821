"""When packets of a segment pass: how a gap is told in its segment's pace, and how a writer keeps to the header."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from baselines.tokenizations.segments.alphabet import OPEN_LATER, OPEN_NOW, REQUEST, RTP, SHORT, USUAL_RATE
from baselines.tokenizations.segments.state import (
    FIRST,
    GOT,
    LATER,
    LED,
    NOW,
    OPENED,
    PHASE,
    SPACING,
    SPEED,
    TARGET,
    TCP,
    WAIT,
    WAY,
)
from benchmark.trace import NANOSECONDS

_LATENESS, _LATE, _FASTEST = 0.05, 0.05, 2.0
_PAUSE, _PAUSED = 0.3, 100.0  # seconds from which a gap is a pause, and how much longer it is told
TOLD_PAUSE = round(_PAUSE * _PAUSED * NANOSECONDS)  # ns, the shortest pause as it is told
_FULL = 1448.0  # bytes of a full packet


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def tell_gap(gap: float, speed: float, way: int) -> float:
    """Return a gap, seconds, as a segment of rate ``speed`` tells it: as it would be at the usual rate.

    The path paces a segment's packets, so that one gap, told by what its rate would bring meanwhile, serves all rates.
    A pause is the same at any rate; it is told above all other gaps. Without a rate a gap is told as it is.
    """
    if way == RTP:
        return gap
    if gap >= _PAUSE:
        return gap * _PAUSED
    return min(gap * speed / USUAL_RATE, _PAUSE * _PAUSED) if speed > 0 else gap


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def tell_gaps(gaps: Any, speeds: Any, way: int) -> Any:
    """Tell many gaps, each of a segment of its own rate; 0 where it is in none."""
    told = np.zeros(len(gaps))
    for i in range(len(gaps)):
        told[i] = tell_gap(gaps[i], speeds[i], way)
    return told


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def heed_gap(told: float, real: Any, whole: Any) -> float:
    """Return the gap, seconds, that ``tell_gap`` told of; a led row shortens it where it is behind its header's rate.

    Each gap is drawn for itself, and what they lack adds up; nothing is slowed down, since pauses are real.
    """
    speed = real[SPEED]
    if whole[WAY] == RTP:
        return told
    if told >= _PAUSE * _PAUSED:
        return told / _PAUSED
    if speed <= 0:
        return min(told, _PAUSE)
    late = 0.0
    if whole[LED] and real[GOT] < real[TARGET]:
        lag = (real[NOW] - real[OPENED]) - real[GOT] / speed
        late = min(max(lag / (_LATENESS * (real[TARGET] / speed) + _LATE), 0.0), 1.0)
    # A class of gaps may reach across the border between the two; what isn't a pause is shorter than one.
    return float(min(told * USUAL_RATE / speed * _FASTEST**-late, _PAUSE))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _latest(real: Any, whole: Any, gap: float) -> float:
    """Return when the next packet must pass if the header is to be kept: data by its end, what follows by the next."""
    if whole[WAY] == RTP:
        return real[NOW] + gap
    if real[SPEED] > 0 and real[GOT] < real[TARGET]:
        return max(real[NOW], real[OPENED] + real[TARGET] / real[SPEED]) + _FULL / real[SPEED]
    if whole[LATER] > 0:
        return real[OPENED] + real[WAIT]
    return real[NOW] + min(gap, _PAUSE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def time_of(real: Any, whole: Any, kind: int, gap: float) -> float:
    """Return when the next packet passes, seconds: after its gap, as far as openings and requests allow."""
    now = real[NOW] + gap
    if whole[LED]:
        now = min(now, max(real[NOW], _latest(real, whole, gap)))
    spaced = real[OPENED] + SPACING
    if kind == OPEN_LATER:
        return max(real[NOW] + 1e-6, real[OPENED] + real[WAIT])
    if kind == OPEN_NOW:
        return now if whole[PHASE] == FIRST else max(now, spaced)
    asks = (kind == REQUEST and whole[WAY] != RTP) or (kind == SHORT and whole[WAY] == TCP)
    if asks and real[NOW] < spaced:
        return max(real[NOW], min(now, spaced - 1e-6))
    return now
