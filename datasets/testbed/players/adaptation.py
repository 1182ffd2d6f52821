"""How a light player picks the rung of its next segment. Pure: no clocks, no sockets.

* ``Throughput``: the highest rung whose bits fit into a safe share of the harmonic mean of the last segments'
  throughput (Jiang et al., "Improving fairness, efficiency, and stability in HTTP-based adaptive video streaming with
  FESTIVE", CoNEXT 2012).
* ``Occupancy``: BBA-0 (Huang et al., "A buffer-based approach to rate adaptation", SIGCOMM 2014, algorithm 1), with its
  start-up held: the first rung stays until the map allows it, or the buffer no longer rises. BBA-0 as printed begins
  each session at the lowest rung, so that the time since the start would tell the rung. The paper's buffer is 240 s;
  in one of 10 to 40 s a single segment can empty it, so that a rung is taken only if its segment should come before
  the buffer runs dry (dash.js's InsufficientBufferRule, which stands beside BOLA there).

Both begin with an estimate from before the session, as browsers and players keep one.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

SAFETY = 0.8
MEMORY = 5
MISTAKE = 0.5  # standard deviation of the first estimate's logarithm
RESERVOIR = 0.375  # 90 s of 240 s in the paper
DRAIN = 0.7  # dash.js's throughputSafetyFactor of the InsufficientBufferRule
CEILING = 0.9  # the map reaches the highest rung at 90 % of the buffer in the paper


class Adaptation(Protocol):
    """Picks rungs."""

    def measured(self, bits_per_second: float) -> None:
        """Take note of the throughput during a segment's fetch."""

    def choose(self, level: float) -> int:
        """Return the rung of the next segment, with ``level`` seconds of video buffered ahead."""


class Throughput:
    """The throughput rule; ``bits`` are the rungs' bits/s, ascending; ``estimate`` is bits/s, from before."""

    def __init__(self, bits: Sequence[float], estimate: float, safety: float = SAFETY, memory: int = MEMORY) -> None:
        self._bits = _ascending(bits)
        self._estimate = estimate
        self._safety = safety
        self._samples: deque[float] = deque(maxlen=memory)

    def measured(self, bits_per_second: float) -> None:
        """Take note of the throughput during a segment's fetch, bits/s."""
        if bits_per_second > 0:
            self._samples.append(bits_per_second)

    def choose(self, level: float) -> int:
        """Return the next rung, whatever the buffer's level."""
        return highest_within(self._bits, self._safety * self.estimate())

    def estimate(self) -> float:
        """Return the expected throughput, bits/s: a harmonic mean, which single fast segments move little."""
        if not self._samples:
            return self._estimate
        return len(self._samples) / sum(1 / sample for sample in self._samples)


class Occupancy:
    """The buffer rule; ``room`` is the most seconds buffered when a segment of ``segment`` seconds is asked for."""

    def __init__(self, bits: Sequence[float], estimate: float, room: float, segment: float) -> None:
        if room <= 0 or segment <= 0:
            raise ValueError(f"a buffer of {room} s for segments of {segment} s has no room to map to rungs")
        self._bits = _ascending(bits)
        self._reservoir = RESERVOIR * room
        self._ceiling = CEILING * room
        self._segment = segment
        self._throughput = Throughput(bits, estimate)
        self._rung = self._throughput.choose(0.0)
        self._starting = True
        self._level = -1.0

    def measured(self, bits_per_second: float) -> None:
        """Take note of the throughput during a segment's fetch, for the guard against an empty buffer."""
        self._throughput.measured(bits_per_second)

    def choose(self, level: float) -> int:
        """Return the next rung for a buffer of ``level`` seconds."""
        rising, self._level = level > self._level, level
        if self._starting and rising and self._map(level) < self._bits[self._rung]:
            return self._rung
        self._starting = False
        in_time = DRAIN * self._throughput.estimate() * level / self._segment
        self._rung = min(self._next(level), highest_within(self._bits, in_time))
        return self._rung

    def _map(self, level: float) -> float:
        """Return the paper's f(B): bits/s, linear from the lowest rung at the reservoir to the highest."""
        share = (level - self._reservoir) / (self._ceiling - self._reservoir)
        return self._bits[0] + min(1.0, max(0.0, share)) * (self._bits[-1] - self._bits[0])

    def _next(self, level: float) -> int:
        highest = len(self._bits) - 1
        if level <= self._reservoir:
            return 0
        if level >= self._ceiling:
            return highest
        allowed = self._map(level)
        if self._rung < highest and allowed >= self._bits[self._rung + 1]:
            return max(rung for rung, bits in enumerate(self._bits) if bits <= allowed)
        if self._rung > 0 and allowed <= self._bits[self._rung - 1]:
            return min(rung for rung, bits in enumerate(self._bits) if bits >= allowed)
        return self._rung


def make_adaptation(name: str, bits: Sequence[float], estimate: float, room: float, segment: float) -> Adaptation:
    """Return the adaptation called ``name``, "rate" or "buffer"; the rest as the two take it. Raises ValueError."""
    if name == "rate":
        return Throughput(bits, estimate)
    if name == "buffer":
        return Occupancy(bits, estimate, room, segment)
    raise ValueError(f"the light player has no adaptation '{name}' (it has rate and buffer)")


def first_estimate(down: Sequence[Sequence[float]], duration: float, seed: int) -> float:
    """Return the throughput believed in before a session, bits/s.

    It's the mean rate of the link's ``down`` steps (second, Mbit/s), mistaken by a log-normal factor, as that of a
    player which remembers its last session here; never under 50 kbit/s.
    """
    begins = [float(second) for second, _ in down if second < duration] + [duration]
    carried = sum(float(rate) * (end - begin) for (_, rate), (begin, end) in zip(down, pairwise(begins), strict=False))
    return 1e6 * max(carried / duration, 0.05) * math.exp(random.Random(f"estimate {seed}").gauss(0.0, MISTAKE))


def highest_within(bits: Sequence[float], limit: float) -> int:
    """Return the highest rung of at most ``limit`` bits/s; the lowest if none is."""
    return max((rung for rung, rate in enumerate(bits) if rate <= limit), default=0)


def _ascending(bits: Sequence[float]) -> tuple[float, ...]:
    if not bits or any(low >= high for low, high in pairwise(bits)):
        raise ValueError(f"a ladder's bits ascend; these don't: {list(bits)}")
    return tuple(bits)
