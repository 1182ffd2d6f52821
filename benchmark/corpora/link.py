"""The path that a session was on, from what its capture noted of the link."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from benchmark.trace import Network, Trace

_MEGA = 1e6
_STEP = 1.0  # seconds, fine enough to show outages that stall a player
_MOST_STEPS = 100_000


def network_of(trace: Trace) -> Network | None:
    """Return the network of a trace whose notes hold its link, None where they hold none that makes sense.

    The link's rate is a course of steps, [seconds since the link began, Mbit/s], averaged over each second here.
    """
    link, began = trace.notes.get("link"), trace.notes.get("link_began", 0.0)
    if not isinstance(link, Mapping) or not _is_number(began):
        return None
    steps, delay, loss = link.get("down"), link.get("delay"), link.get("loss")
    if not (_is_number(delay) and _is_number(loss) and isinstance(steps, list) and 0 < len(steps) <= _MOST_STEPS):
        return None
    if not all(isinstance(step, list) and len(step) == 2 and all(map(_is_number, step)) for step in steps):
        return None
    starts, rates = np.array(steps, float).T
    if np.any(np.diff(starts) < 0):
        return None
    edges = np.arange(len(trace.labels) * trace.condition.window / _STEP + 1) * _STEP - began
    # Bits that the link could have brought by each edge.
    brought = np.concatenate([[0.0], np.cumsum(rates[:-1] * np.diff(starts))])
    place = np.clip(np.searchsorted(starts, edges, "right") - 1, 0, len(starts) - 1)
    total = brought[place] + rates[place] * (edges - starts[place])
    mean = np.maximum(np.diff(total) / _STEP, 0) * _MEGA
    return Network(mean.astype(np.float32), _STEP, float(delay) / 1e3, float(loss))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
