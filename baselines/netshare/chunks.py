"""Flows as chunks of packets: what the generator is told of each, its attributes, and its series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.parts.fixed_symbols import SIZES, kinds_of
from baselines.parts.sketches import gaps_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition

FloatArray = NDArray[np.float32]
KINDS = 2 * SIZES
SHORTEST, LONGEST = 2.0, 11.0  # log10 of a gap in ns
_NARROWEST = 0.01  # half range of a chunk's gaps, as a share of the whole
RUNGS = 12  # 0: nothing asked, then the rungs from the lowest on


@dataclass(frozen=True)
class Told:
    """What a chunk's generator is told: application, rung of the window it begins in, whether it opens the flow."""

    applications: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers that ``encode`` gives."""
        return len(self.applications) + 1 + RUNGS + 1

    def encode(self, condition: Condition, moment: int, opens: bool) -> FloatArray:
        """Return it as ones and zeros, float32 [width], for a chunk at ``moment`` ns of the trace."""
        told = np.zeros(self.width, np.float32)
        known = condition.application in self.applications
        told[1 + self.applications.index(condition.application) if known else 0] = 1
        rungs = condition.labels.rung
        window = int(moment / NANOSECONDS / condition.window)
        rung = int(rungs[min(window, len(rungs) - 1)]) if len(rungs) else -1
        told[len(self.applications) + 1 + int(np.clip(rung + 1, 0, RUNGS - 1))] = 1
        told[-1] = opens
        return told


def normalise(logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log10 gaps of chunks [n, rows] over each chunk's own range, and that range: middle, half width [n, 2].

    All are within 0 and 1. A chunk's range as an attribute of its own is DoppelGANger's way to keep chunks of all
    speeds from being made alike.
    """
    share = (np.clip(logs, SHORTEST, LONGEST) - SHORTEST) / (LONGEST - SHORTEST)
    low, high = share.min(axis=1, keepdims=True), share.max(axis=1, keepdims=True)
    half = np.maximum((high - low) / 2, _NARROWEST)
    middle = (high + low) / 2
    return (share - middle) / (2 * half) + 0.5, np.concatenate([middle, 2 * half], axis=1)


def restore(series: NDArray[np.float64], attributes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log10 gaps [n, rows] of what ``normalise`` gave."""
    share = (series - 0.5) * attributes[:, 1:] + attributes[:, :1]
    return np.asarray(np.clip(share, 0, 1) * (LONGEST - SHORTEST) + SHORTEST)


class ChunkSet:
    """The chunks that training flows hold: ``rows`` consecutive packets, from any packet on."""

    def __init__(self, sketches: Sequence[Sketch], conditions: Sequence[Condition], told: Told, rows: int) -> None:
        """conditions: what is asked for, as the conditioning shows it, of each sketch."""
        self.rows, self._told = rows, told
        self._conditions, self._sketches = list(conditions), list(sketches)
        self._kinds = [kinds_of(sketch) for sketch in sketches]
        self._logs = [np.log10(np.maximum(gaps_of(sketch), 1)) for sketch in sketches]
        self._lengths = np.array([max(0, len(sketch) - rows + 1) for sketch in sketches], float)
        self.count = int(self._lengths.sum())

    def draw(self, random: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what is told [n, width], attributes [n, 2] and series [n, rows, KINDS + 1]; flows by their length.

        One chunk in sixteen opens its flow, so that openings are learnt.
        """
        flows = random.choice(len(self._lengths), count, p=self._lengths / self._lengths.sum())
        first = (random.random(count) * self._lengths[flows]).astype(np.int64)
        first[random.random(count) < 1 / 16] = 0
        told = np.zeros((count, self._told.width), np.float32)
        logs, kinds = np.zeros((count, self.rows)), np.zeros((count, self.rows), np.int64)
        for row, (flow, begin) in enumerate(zip(flows, first, strict=True)):
            span, sketch = slice(begin, begin + self.rows), self._sketches[flow]
            moment = int(sketch.ts[begin]) + sketch.began
            told[row] = self._told.encode(self._conditions[flow], moment, begin == 0)
            logs[row], kinds[row] = self._logs[flow][span], self._kinds[flow][span]
        series, attributes = normalise(logs)
        packets = np.concatenate([np.eye(KINDS)[kinds], series[..., None]], axis=2)
        return told, attributes.astype(np.float32), packets.astype(np.float32)
