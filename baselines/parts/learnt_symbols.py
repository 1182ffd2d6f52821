"""Joint packet symbols of bins learnt from training packets, for networks: direction, payload size and gap.

What is lost: a size that isn't one of the common sizes comes back somewhere in its class, a gap somewhere in
its bin (at most a decade wide between 1 us and 100 s, a few per cent where packets are common). Directions and
the number of packets are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.parts.sketches import REQUEST_BYTES, TCP_REQUEST_BYTES
from benchmark.synthesis.sketch import ROUND_TRIP, Sketch, largest_flow
from benchmark.trace import Trace

LARGEST_PAYLOAD = 65535
MOST_BLOCKS = 3
_SIZE_EDGES = (
    *(0, 1, 24, 40, TCP_REQUEST_BYTES, REQUEST_BYTES, 80, 112),
    *(256, 512, 1024, 1200, 1280, 1449, LARGEST_PAYLOAD + 1),
)
_GAP_EDGES = np.arange(3.0, 12.51, 0.5)  # log10 of ns: half decades from 1 us on
RUNAWAY = 4.0  # times the fastest training trace's packets a second, at which a sampled trace is ended
_SHORTEST, _LONGEST = 1.0, 14.0
_QUANTILES = 9
_WIDE_SHARE = 0.03
_OWN_COUNT, _OWN_SHARE = 20, 0.05  # packets of one size, and their share of its class, that make it a class of its own


def sizes_of(sketch: Sketch) -> NDArray[np.int64]:
    """Return the size of each row, int64 [n]: its payload; LARGEST_PAYLOAD + k for an acknowledgement of k blocks."""
    return np.where(sketch.blocks > 0, LARGEST_PAYLOAD + sketch.blocks.astype(np.int64), sketch.payload)


def sketch_with(
    transport: str, ts: NDArray[np.int64], up: NDArray[np.bool_], sizes: NDArray[np.int64], round_trip: int = ROUND_TRIP
) -> Sketch:
    """Return the sketch whose rows have these sizes; see ``sizes_of``."""
    blocks = np.maximum(sizes - LARGEST_PAYLOAD, 0)
    payload = np.where(blocks > 0, 0, sizes).astype(np.int32)
    return Sketch(transport, ts, up, payload, round_trip, blocks=blocks.astype(np.int8))


@dataclass(frozen=True, eq=False)
class PacketSymbols:
    """Size classes and, for each, bins of the gap to the packet before; symbol = first[class] + gap bin.

    up: bool [c]. low, high: int64 [c], sizes (``sizes_of``) of the class, high excluded.
    first: int64 [c + 1], the number of the class's first symbol.
    edges: float64 [symbols, 2], log10 ns. gaps: float64 [symbols, 9], quantiles of log10 gap within the bin.
    sizes: float64 [c, 9], quantiles of the size within the class.
    """

    up: NDArray[np.bool_]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    first: NDArray[np.int64]
    edges: NDArray[np.float64]
    gaps: NDArray[np.float64]
    sizes: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.first[-1])

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """Class of each symbol, int64 [symbols]."""
        return np.repeat(np.arange(len(self.up)), np.diff(self.first))

    def names(self) -> tuple[str, ...]:
        """Name of each symbol: direction, payload range or SACK blocks, upper gap in microseconds."""
        spans = [
            f"{low}-{high - 1}" if low <= LARGEST_PAYLOAD else f"{low - LARGEST_PAYLOAD} blocks"
            for low, high in zip(self.low, self.high, strict=True)
        ]
        return tuple(
            f"{'up' if self.up[c] else 'down'} {spans[c]} <{10 ** (edge[1] - 3):.3g}us"
            for c, edge in zip(self.classes, self.edges, strict=True)
        )

    def encode(self, up: NDArray[np.bool_], sizes: NDArray[Any], gap: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the symbol of each packet; gap in ns. Blocks that training never showed are left out."""
        bounded = np.where(sizes < self.high.max(), np.maximum(sizes, 0), 0)
        found = np.zeros(len(up), np.int64)
        for way in (False, True):
            own = np.flatnonzero(self.up == way)
            chosen = up == way
            found[chosen] = own[np.searchsorted(self.low[own], bounded[chosen], "right") - 1]
        logs = np.log10(np.maximum(gap, 1))
        symbols = np.zeros(len(up), np.int64)
        for c in np.unique(found):
            chosen = found == c
            uppers = self.edges[self.first[c] : self.first[c + 1] - 1, 1]
            symbols[chosen] = self.first[c] + np.searchsorted(uppers, logs[chosen], "right")
        return symbols

    def draw(
        self, symbols: NDArray[np.int64], uniforms: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw gap in ns and size of each symbol from its quantiles; uniforms [n, 2]."""
        gap = 10.0 ** _interpolate(self.gaps[symbols], uniforms[:, 0])
        sizes = np.rint(_interpolate(self.sizes[self.classes[symbols]], uniforms[:, 1]))
        return gap.astype(np.int64), sizes.astype(np.int64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything needed to build it again."""
        return {name: getattr(self, name) for name in ("up", "low", "high", "first", "edges", "gaps", "sizes")}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]]) -> PacketSymbols:
        """Build it from what ``arrays`` gave."""
        return PacketSymbols(**arrays)


def learn_symbols(
    up: NDArray[np.bool_],
    sizes: NDArray[Any],
    gap: NDArray[np.int64],
    bins: int = 48,
    common: float = 0.002,
    requests: bool = False,
    border: int = 0,
) -> PacketSymbols:
    """Learn classes and bins from training packets.

    bins: gap bins of the commonest classes. common: the share from which a size is a class of its own.
    requests: only packets up of TCP_REQUEST_BYTES and more need classes. border: ns, a gap that no bin reaches across.
    """
    payload = np.clip(sizes, 0, LARGEST_PAYLOAD + MOST_BLOCKS).astype(np.int64)
    total = max(1, len(up))
    logs = np.log10(np.maximum(gap, 1))
    ways, lows, highs, spreads, edges, gaps, counts = [], [], [], [], [], [], []
    for way in (True,) if requests else (False, True):
        values = np.sort(payload[up == way])
        cuts = _size_cuts(values, total, common, TCP_REQUEST_BYTES if requests else 0)
        most = int(values[-1]) if len(values) else 0
        cuts += range(LARGEST_PAYLOAD + 2, most + 2)  # each number of blocks is a class of its own
        for low, high in pairwise(cuts):
            chosen = (up == way) & (payload >= low) & (payload < high)
            ways.append(way)
            lows.append(low)
            highs.append(high)
            spreads.append(_quantiles(payload[chosen].astype(float), low, high - 1))
            share = chosen.sum() / total
            wanted = bins if share > _WIDE_SHARE else bins // 2 if share > common else bins // 4
            own = _gap_edges(np.sort(logs[chosen]), wanted, border)
            edges.append(own)
            place = np.searchsorted(own[:-1, 1], logs[chosen], "right")
            inside = logs[chosen]
            gaps.append(np.stack([_quantiles(inside[place == k], *own[k]) for k in range(len(own))]))
            counts.append(len(own))
    return PacketSymbols(
        np.array(ways),
        np.array(lows, np.int64),
        np.array(highs, np.int64),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate(edges),
        np.concatenate(gaps),
        np.stack(spreads),
    )


def fastest(traces: Sequence[Trace]) -> float:
    """Return the most packets a second that the largest flow of any of the traces holds."""
    counts = ((int((t.flows.index == largest_flow(t)).sum()), t.condition.duration) for t in traces)
    return max((count / max(duration, 1.0) for count, duration in counts), default=0.0)


def _interpolate(points: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate between evenly spaced quantiles [n, q] at uniforms [n]."""
    place = uniforms * (points.shape[1] - 1)
    low = np.minimum(place.astype(int), points.shape[1] - 2)
    rows = np.arange(len(points))
    return np.asarray(points[rows, low] + (place - low) * (points[rows, low + 1] - points[rows, low]))


def _size_cuts(values: NDArray[np.int64], total: int, common: float, least: int) -> list[int]:
    """Cut payload sizes so that every common size is a class of its own and no class holds too much."""
    cuts = {edge for edge in _SIZE_EDGES if edge >= least}
    values = values[: np.searchsorted(values, LARGEST_PAYLOAD, "right")]
    distinct, counts = np.unique(values, return_counts=True)
    # What every connection has once, as the first packets of TLS, is rare among all packets and yet of a few sizes.
    around = np.searchsorted(sorted(cuts), distinct, "right")
    rivals = np.bincount(around, counts)[around] if len(distinct) else counts
    own = (counts >= _OWN_COUNT) & (counts >= _OWN_SHARE * rivals)
    for size in distinct[own | (counts >= max(3, common * total))]:
        cuts |= {int(size), int(size) + 1}
    ordered = sorted(cuts)
    for low, high in pairwise(ordered):
        inside = values[np.searchsorted(values, low) : np.searchsorted(values, high)]
        parts = min(8, int(len(inside) / (_WIDE_SHARE * total)))
        if high - low > 1 and parts > 1:
            cuts |= {int(cut) for cut in np.quantile(inside, np.arange(1, parts) / parts)}
    return sorted(cuts)


def _gap_edges(logs: NDArray[np.float64], wanted: int, border: int) -> NDArray[np.float64]:
    """Edges [bins, 2] of log10 gaps: half decades, the border, and quantiles where there are packets enough."""
    many = wanted > 0 and len(logs) >= 4 * wanted
    inner = set(np.round(_GAP_EDGES if many else _GAP_EDGES[::2], 4))
    if many:
        inner |= set(np.round(np.quantile(logs, np.arange(1, wanted) / wanted), 4))
    fixed = np.log10(border) if border else _LONGEST
    kept: list[float] = [float(fixed)]
    for edge in sorted(inner, key=lambda edge: abs(edge - fixed)):
        if min(abs(edge - other) for other in kept) >= 0.004:
            kept.append(float(edge))
    kept.sort()
    cuts = np.array([_SHORTEST, *[e for e in kept if _SHORTEST < e < _LONGEST], _LONGEST])
    return np.stack([cuts[:-1], cuts[1:]], 1)


def _quantiles(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Nine quantiles of the values in a bin; evenly spread between the outermost where there are too few to tell."""
    if len(values) < 2 * _QUANTILES:
        least, most = (float(values.min()), float(values.max())) if len(values) else (low, high)
        return np.linspace(least, most, _QUANTILES).clip(low, high)
    return np.quantile(values, np.linspace(0, 1, _QUANTILES)).clip(low, high)
