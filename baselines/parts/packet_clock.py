"""When packets pass, for tokenizations of packets' bytes: the token that opens a packet says it, or a rule does.

timing "gaps": each packet opens with a token for its gap to the packet before (``GapBins``).
"drawn": each opens with one and the same token, and gaps are drawn one by one, each for itself, from the training
gaps' distribution, as NetSSM's converter does. "even": the same, every gap being the training mean.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.parts.gap_bins import GapBins
from benchmark.errors import ConfigError, nearest
from benchmark.method import IntArray
from benchmark.trace import NANOSECONDS, Packets, Trace

TIMINGS = ("gaps", "drawn", "even")
_POOL = 256  # parts of the training gaps' distribution, each stood for by its mean, so that the mean rate is kept
_MEAN = 5_000_000  # ns, where nothing was learnt


class PacketClock:
    """See the module; ``numbers`` count from 0, the first token of the clock.

    seen: bool [tokens], those that training has shown; all ahead of ``fit``.
    """

    def __init__(self, timing: str, per_decade: int = 48) -> None:
        if timing not in TIMINGS:
            raise ConfigError(f"timing '{timing}' is unknown{nearest(timing, TIMINGS)}")
        self._bins = GapBins(per_decade) if timing == "gaps" else None
        self._timing = timing
        self._pool = np.array([_MEAN], np.int64)
        self.seen = np.ones(len(self), np.bool_)

    def __len__(self) -> int:
        return len(self._bins) if self._bins else 1

    @property
    def timed(self) -> bool:
        """Whether times are in the tokens."""
        return self._bins is not None

    @property
    def loses(self) -> str:
        """What becomes of times, for a tokenization's list of what it loses."""
        if self._bins:
            return f"gaps beyond {100 * self._bins.bound:.1f} % of themselves or 100 ns, and above 1,000 s"
        return "all times: gaps are " + ("drawn from training's" if self._timing == "drawn" else "training's mean")

    def names(self) -> tuple[str, ...]:
        """Names of the tokens."""
        return self._bins.names() if self._bins else ("packet",)

    def fit(self, traces: Sequence[Trace]) -> None:
        """Learn the distribution of gaps from training traces, and which tokens they take."""
        numbers = [self.encode(trace.packets.ts) for trace in traces if len(trace.packets)]
        if numbers:
            self.seen = np.bincount(np.concatenate(numbers), minlength=len(self)) > 0
        gaps = np.sort(np.concatenate([np.zeros(0, np.int64), *(np.diff(trace.packets.ts) for trace in traces)]))
        if not len(gaps):
            return
        parts = np.array_split(gaps, min(_POOL if self._timing == "drawn" else 1, len(gaps)))
        self._pool = np.array([round(float(part.mean())) for part in parts], np.int64)

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for, on average where a rule decides."""
        if self._bins:
            return np.asarray(self._bins.values / NANOSECONDS)
        return np.array([self._pool.mean() / NANOSECONDS])

    def encode(self, ts: IntArray) -> IntArray:
        """Return the number of each packet's token, int64 [n]; the first gap counts from 0."""
        if not self._bins:
            return np.zeros(len(ts), np.int64)
        return self._bins.encode(np.diff(np.maximum.accumulate(np.maximum(ts, 0)), prepend=0))

    def decode(self, numbers: IntArray) -> IntArray:
        """Return the time of each packet, ns, int64 [n]; without gaps in the tokens the first is at 0."""
        if self._bins:
            return np.cumsum(self._bins.values[numbers])
        return np.zeros(len(numbers), np.int64)

    def pace(self, packets: Packets) -> IntArray:
        """Return the packets' times by the rule, from a seed of their own bytes; those they have, if timed."""
        if self._bins or not len(packets):
            return packets.ts
        random = np.random.default_rng(zlib.crc32(packets.data.tobytes()))
        gaps = self._pool[random.integers(0, len(self._pool), len(packets))]
        gaps[0] = 0
        return np.cumsum(gaps)

    def facts(self) -> dict[str, Any]:
        """What ``recall`` needs, as JSON values."""
        return {"pool": self._pool.tolist(), "seen": np.flatnonzero(self.seen).tolist()}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Read what ``facts`` gave."""
        self._pool = np.array(facts["pool"], np.int64)
        self.seen = np.zeros(len(self), np.bool_)
        self.seen[facts["seen"]] = True


def common_client(traces: Sequence[Trace]) -> str:
    """Return the client's prefix that most traces have; without it a decoded trace's directions are guesses."""
    found = Counter(trace.client for trace in traces if trace.client)
    return found.most_common(1)[0][0] if found else ""


def told_lengths(data: NDArray[np.uint8], offsets: IntArray) -> NDArray[np.int32]:
    """Return the IP total length that each packet's header tells, int32 [n]; never below the bytes at hand."""
    sizes = np.diff(offsets)
    told = np.zeros(len(sizes), np.int64)
    for version, least, place, more in ((4, 4, 2, 0), (6, 6, 4, 40)):
        rows = np.flatnonzero(sizes >= least)
        rows = rows[data[offsets[rows]] >> 4 == version]
        at = offsets[rows] + place
        told[rows] = (data[at].astype(np.int64) << 8) + data[at + 1] + more
    return np.asarray(np.maximum(told, sizes), np.int32)
