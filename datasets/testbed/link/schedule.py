"""The shaping itself, free of clocks and sockets: when does a packet leave a queue whose rate changes with time?"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

# Ten full-sized packets: TCP's initial window (RFC 6928), which no access device's buffer falls short of.
QUEUE_FLOOR = 15_000


class Rate:
    """A rate over time, piecewise constant. Queries go forward in time: each keeps its place in the steps."""

    def __init__(self, steps: Sequence[Sequence[float]]) -> None:
        """Take (second, Mbit/s) steps, the first at second 0; raises ValueError where they aren't that."""
        times = [float(step[0]) for step in steps]
        rates = [float(step[1]) for step in steps]
        if not times or times[0] != 0 or any(b <= a for a, b in pairwise(times)):
            raise ValueError(f"a rate's steps begin at second 0 and go forward, not {list(map(list, steps))}")
        if not all(math.isfinite(value) and value >= 0 for value in times + rates):
            raise ValueError(f"a rate's steps are finite and not negative, not {list(map(list, steps))}")
        self._ends = [*times[1:], math.inf]
        self._rates = [rate * 125_000 for rate in rates]
        # What a buffer holds is a size of memory: an outage doesn't shrink it, so the rate before it counts there.
        self._nominal: list[float] = []
        for rate in self._rates:
            before = self._nominal[-1] if self._nominal else next(filter(None, self._rates), 0.0)
            self._nominal.append(rate or before)
        self._service = 0
        self._present = 0

    def finish(self, start: float, size: float) -> float:
        """Return when ``size`` bytes that begin to leave at ``start`` (s) have left; inf for never."""
        place = self._service
        while start < math.inf:
            end = self._ends[place]
            if start < end:
                finish = start + size / self._rates[place] if self._rates[place] else math.inf
                if finish <= end:
                    self._service = place
                    return finish
                size -= (end - start) * self._rates[place]
                start = end
            place += 1
        return math.inf

    def nominal(self, now: float) -> float:
        """Return the rate at ``now`` in bytes per second; during an outage the rate before it."""
        while now >= self._ends[self._present]:
            self._present += 1
        return self._nominal[self._present]


class Direction:
    """One direction of a link: random loss, a queue that drops its tail, a rate, a delay. Counts what it does."""

    def __init__(self, steps: Sequence[Sequence[float]], delay: float, queue: float, loss: float, seed: int) -> None:
        """Take the rate's steps, delay and queue in ms, the share lost and the seed of which are."""
        if not (0 <= loss < 1 and 0 <= delay < math.inf and 0 <= queue < math.inf):
            raise ValueError(f"a link's loss is in [0, 1), its delay and queue 0 or more: {loss}, {delay}, {queue}")
        self._rate = Rate(steps)
        self._delay = delay / 1000
        self._queue = queue / 1000
        self._loss = loss
        self._draw = random.Random(seed).random
        self._waiting: deque[tuple[float, int]] = deque()
        self._backlog = 0
        self._free = 0.0
        self.packets = 0
        self.bytes = 0
        self.dropped_queue = 0
        self.dropped_loss = 0

    def accept(self, now: float, size: int) -> float | None:
        """Return when a packet of ``size`` bytes that arrives at ``now`` (s) reaches the other end; None: dropped."""
        if self._loss and self._draw() < self._loss:
            self.dropped_loss += 1
            return None
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            self._backlog -= waiting.popleft()[1]
        if self._backlog + size > max(self._queue * self._rate.nominal(now), QUEUE_FLOOR):
            self.dropped_queue += 1
            return None
        free = self._rate.finish(max(now, self._free), size)
        self._free = free
        self._backlog += size
        waiting.append((free, size))
        self.packets += 1
        self.bytes += size
        return free + self._delay
