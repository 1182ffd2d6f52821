"""Extends the samples of a generator of fixed length, piece by piece, to the whole duration asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmark.method import Generator, Log
from benchmark.trace import NANOSECONDS, Condition, Labels, Packets, Trace, join_packets

PIECES_AT_ONCE = 16  # of one trace in one round
IDLE_ROUNDS = 3
MOST_PACKETS = 2_000_000  # of one trace: forty times the longest in the corpora


@dataclass
class _Growing:
    """A trace being filled. end: ns filled so far. idle: rounds since it last grew."""

    condition: Condition
    pieces: list[Packets] = field(default_factory=list)
    client: str = ""
    end: int = 0
    packets: int = 0
    idle: int = 0

    @property
    def limit(self) -> int:
        return round(self.condition.duration * NANOSECONDS)

    @property
    def full(self) -> bool:
        return self.end >= self.limit

    def starts(self) -> list[int]:
        """Guess when the next pieces will start, ns, so that one round may ask for several."""
        if not self.end:
            return [0]
        gap = self.end / (self.packets - 1)
        span = gap * self.packets / len(self.pieces)
        wanted = min(PIECES_AT_ONCE, max(1, math.ceil((self.limit - self.end) / span)))
        return [round(self.end + gap + number * span) for number in range(wanted)]

    def add(self, piece: Trace, random: np.random.Generator) -> None:
        """Join a piece at the end, after a gap drawn from the piece's own."""
        packets = piece.packets
        if self.full or len(packets) == 0:
            return
        gaps = np.diff(packets.ts)
        gap = int(random.choice(gaps)) if self.pieces and len(gaps) else 0
        moved = packets.shifted(self.end + max(0, gap) - int(packets.ts[0]))
        self.pieces.append(moved)
        self.client = self.client or piece.client
        self.packets += len(packets)
        self.end = max(self.end, int(moved.ts.max()))


def sample_whole(generator: Generator, conditions: Sequence[Condition], seed: int, log: Log) -> Iterator[Trace]:
    """Yield one trace a condition, in order, each as long as its condition asks.

    A generator without ``fixed_packets`` is asked once. Else every round asks for several pieces of every
    unfinished trace; a piece's condition is what is left of the whole from the window it starts in.
    Raises RuntimeError, naming the generator, where its pieces don't fill time.
    """
    if getattr(generator, "fixed_packets", None) is None:
        yield from generator.sample(conditions, seed)
        return
    growing = [_Growing(condition) for condition in conditions]
    random = np.random.default_rng([abs(int(seed)), len(growing)])
    while any(not trace.full for trace in growing):
        _extend(generator, growing, random)
        log.report("sample", sum(trace.full for trace in growing), len(growing))
    for number, trace in enumerate(growing):
        packets = join_packets(trace.pieces)
        packets = packets.take(packets.ts < trace.limit)
        notes = {"stitched": True, "pieces": len(trace.pieces)}
        yield Trace(f"synthetic-{number:04d}", packets, trace.condition, trace.client, notes)


def _extend(generator: Generator, growing: list[_Growing], random: np.random.Generator) -> None:
    """Ask for one round of pieces and join them."""
    asked = [(trace, start) for trace in growing if not trace.full for start in trace.starts()]
    rests = [remaining_condition(trace.condition, start) for trace, start in asked]
    before = [trace.end for trace in growing]
    pieces = generator.sample(rests, int(random.integers(1 << 31)))
    for (trace, _), piece in zip(asked, pieces, strict=True):
        trace.add(piece, random)
    for number, (trace, end) in enumerate(zip(growing, before, strict=True)):
        trace.idle = 0 if trace.full or trace.end > end else trace.idle + 1
        if trace.idle >= IDLE_ROUNDS or (trace.packets > MOST_PACKETS and not trace.full):
            raise RuntimeError(
                f"{type(generator).__name__}: {trace.packets} packets of trace {number} fill only "
                f"{trace.end / NANOSECONDS:.3f} s of {trace.condition.duration:g} s"
            )


def remaining_condition(condition: Condition, start: int) -> Condition:
    """Return what is left of a condition from ``start`` ns on, beginning with the window that holds it."""
    labels = condition.labels
    window = min(start // round(condition.window * NANOSECONDS), max(0, len(labels) - 1))
    rest = Labels(
        labels.rung[window:],
        labels.height[window:],
        labels.stall[window:],
        labels.fps[window:],
        labels.bitrate[window:],
        labels.startup if window == 0 else float("nan"),
    )
    duration = max(0.0, condition.duration - start / NANOSECONDS)
    return replace(condition, duration=duration, labels=rest)
