"""Acknowledgements by rule: left out of a sketch, and put back as the receiver's habits in training say.

One habit a transport: a share of an acknowledgement for each data packet down, a delay after the packet that
completes one, its payload, and one more where data wait for 40 ms. RTP has no acknowledgements.
Source: delayed acknowledgements of RFC 9293 §3.8.6.3 and RFC 9000 §13.2; 40 ms is Linux's shortest delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.sketches import TRANSPORTS, request_bytes
from benchmark.synthesis.sketch import Sketch

LONGEST_DELAY = 40_000_000  # ns


class AcknowledgementRule:
    """Habits of the client, by transport: float64 [transports, 3]: acknowledgements a data packet, ns, bytes."""

    def __init__(self) -> None:
        self._habits = np.zeros((len(TRANSPORTS), 3))

    def fit(self, sketches: Sequence[Sketch]) -> None:
        """Learn the habits from training sketches."""
        for way, name in enumerate(TRANSPORTS):
            own = [sketch for sketch in sketches if sketch.transport == name]
            dropped = [acknowledges(sketch) for sketch in own]
            count = sum(int(drop.sum()) for drop in dropped)
            down = sum(int((~sketch.up).sum()) for sketch in own)
            if not count or not down:
                continue
            delays = np.concatenate([_delays(s, drop) for s, drop in zip(own, dropped, strict=True)])
            payloads = np.concatenate([s.payload[drop] for s, drop in zip(own, dropped, strict=True)])
            delay = float(np.median(delays)) if len(delays) else 0.0
            self._habits[way] = min(1.0, count / down), min(delay, LONGEST_DELAY), float(np.median(payloads))

    def remove(self, sketch: Sketch) -> Sketch:
        """Return the sketch without acknowledgements."""
        kept = ~acknowledges(sketch)
        return Sketch(sketch.transport, sketch.ts[kept], sketch.up[kept], sketch.payload[kept], sketch.round_trip)

    def restore(self, sketch: Sketch) -> Sketch:
        """Return the sketch with acknowledgements put back, at most one a data packet."""
        share, delay, payload = self._habits[TRANSPORTS.index(sketch.transport)]
        if not share or not len(sketch):
            return sketch
        due = np.zeros(len(sketch), np.int64)
        made = due[: _answer(sketch.ts, sketch.up, share, int(delay), due)]
        ts = np.concatenate([sketch.ts, made])
        order = np.argsort(ts, kind="stable")
        up = np.concatenate([sketch.up, np.ones(len(made), np.bool_)])
        sizes = np.concatenate([sketch.payload, np.full(len(made), round(payload), np.int32)])
        return Sketch(sketch.transport, ts[order], up[order], sizes[order], sketch.round_trip)

    def facts(self) -> dict[str, Any]:
        """What ``recall`` needs, as JSON values."""
        return {"habits": self._habits.tolist()}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Read what ``facts`` gave."""
        self._habits = np.array(facts["habits"], float)


def acknowledges(sketch: Sketch) -> NDArray[np.bool_]:
    """Tell which rows up only acknowledge, bool [n]: no payload over TCP, less than a request's over QUIC."""
    if sketch.transport == "rtp":
        return np.zeros(len(sketch), np.bool_)
    limit = 1 if sketch.transport == "tcp" else request_bytes(sketch.transport)
    return np.asarray(sketch.up & (sketch.payload < limit))


def _delays(sketch: Sketch, dropped: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how long after the last packet down each acknowledgement came, ns."""
    downs = np.flatnonzero(~sketch.up)
    before = np.searchsorted(downs, np.flatnonzero(dropped)) - 1
    rows = np.flatnonzero(dropped)[before >= 0]
    return np.asarray(sketch.ts[rows] - sketch.ts[downs[before[before >= 0]]])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _answer(ts: Any, up: Any, share: float, delay: int, due: Any) -> int:
    """Write when acknowledgements are due; return how many."""
    made = 0
    credit = 0.0
    last: Any = np.int64(-1)  # when data last came that nothing has answered yet
    for i in range(len(ts)):
        if last >= 0 and ts[i] - last > LONGEST_DELAY:
            due[made] = last + LONGEST_DELAY
            made += 1
            credit = 0.0
            last = -1
        if up[i]:
            continue
        credit += share
        last = ts[i]
        if credit >= 1.0:
            due[made] = ts[i] + delay
            made += 1
            credit -= 1.0
            last = -1
    if last >= 0:
        due[made] = last + LONGEST_DELAY
        made += 1
    return made
