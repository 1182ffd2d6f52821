"""The lower level: a hidden Markov model over the packets of a segment.

A symbol is a packet's direction and size class, and a bin of the gap ahead of it. The gap of a packet down counts
in units of what a packet takes at the segment's rate, so that one model serves links of all rates; that of a packet
up, which the client's own pace decides, in ns. Hidden phases keep what a chain of symbols forgets: how many packets
the next acknowledgement answers, whether the sender is pacing or in a burst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.hmm.baum_welch import FloatArray, expect, normalise_rows
from baselines.parts.fixed_symbols import SIZE_EDGES, SIZES

IntArray = NDArray[np.int64]
KINDS = 2 * SIZES
# Shares of a kind's packets below each edge of its gap bins. A gap is drawn log-uniform in its bin: tails are cut fine.
_LEVELS = np.array(
    [0, 0.0005, 0.002, 0.005, 0.01, *np.linspace(0.02, 0.98, 29), 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 1]
)
BINS = len(_LEVELS) - 1
_SHORTEST, _LONGEST = -6.0, 12.0  # log10 of a gap, in either unit
_NARROWEST = 0.004  # decades
_FULL = int(np.searchsorted(SIZE_EDGES, 1100))  # the first size class of packets as large as the path takes


@dataclass(frozen=True, eq=False)
class GapBins:
    """Bins of log10 gaps. edges: float64 [kinds, BINS + 1], ascending; a kind of few packets has equal ones."""

    edges: FloatArray

    def encode(self, kinds: IntArray, logs: FloatArray) -> IntArray:
        """Return the symbol of each packet, ``kind * BINS + bin``."""
        symbols = np.zeros(len(kinds), np.int64)
        for kind in np.unique(kinds):
            own = kinds == kind
            symbols[own] = kind * BINS + np.searchsorted(self.edges[kind, 1:-1], logs[own], "right")
        return symbols


def learn_gap_bins(kinds: IntArray, logs: FloatArray) -> GapBins:
    """Cut each kind's gaps into bins that hold as many packets each, of log10 gaps ``logs``."""
    edges = np.zeros((KINDS, BINS + 1))
    for kind in range(KINDS):
        own = logs[kinds == kind]
        pool = own if len(own) >= 2 * BINS else logs
        edges[kind] = np.quantile(pool, _LEVELS)
        edges[kind, -1] += _NARROWEST
    return GapBins(edges)


def log_gaps(up: NDArray[np.bool_], gap: IntArray, unit: FloatArray) -> FloatArray:
    """Return log10 of the gaps in ns, or in ``unit`` ns where the packet comes down."""
    gaps = np.maximum(gap, 100) / np.where(up, 1.0, unit)
    return np.asarray(np.clip(np.log10(gaps), _SHORTEST, _LONGEST))


class Phases(NamedTuple):
    """The parameters. start [k]; steps [k, k]; emissions [k, symbols]: shares."""

    start: FloatArray
    steps: FloatArray
    emissions: FloatArray

    def cumulative(self) -> Phases:
        """Return running sums, for drawing."""
        return Phases(*(np.cumsum(part, axis=-1) for part in self))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return it as arrays under names that begin with ``name``."""
        return {f"{name}.{field}": array for field, array in self._asdict().items()}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]], name: str) -> Phases:
        """Build it from what ``arrays`` gave."""
        return Phases(*(arrays[f"{name}.{field}"] for field in Phases._fields))


def learn_phases(
    sequences: Sequence[IntArray], symbols: int, phases: int, iterations: int, contexts: Sequence[IntArray]
) -> tuple[Phases, list[float]]:
    """Fit to sequences of symbols, int64 [n] each; return it with the log-likelihood a packet of each iteration.

    contexts: what to begin with, a number for each packet; the commonest ``phases`` of them are the phases at first,
    so that the steps of Baum and Welch refine a chain over contexts and needn't find one by chance.
    """
    places = _commonest(contexts, phases)
    start, moves, seen = np.zeros(phases), np.zeros((phases, phases)), np.zeros((symbols, phases))
    for sequence, place in zip(sequences, places, strict=True):
        start[place[0]] += 1
        np.add.at(moves, (place[:-1], place[1:]), 1.0)
        np.add.at(seen, (sequence, place), 1.0)
    model = _maximise(start, moves, seen + 0.01 * seen.sum(axis=1, keepdims=True) / phases)
    course = []
    for _ in range(iterations):
        start, moves, seen = np.zeros(phases), np.zeros((phases, phases)), np.zeros((symbols, phases))
        total, packets = 0.0, 0
        by_symbol = np.ascontiguousarray(model.emissions.T)
        for sequence in sequences:
            share = np.zeros((len(sequence), phases))
            total += expect(by_symbol[sequence], model.start, model.steps, share, moves)
            start += share[0]
            _add(seen, sequence, share)
            packets += len(sequence)
        course.append(total / packets)
        model = _maximise(start, moves * model.steps, seen)
    return model, course


def contexts_of(kinds: IntArray, logs: FloatArray) -> IntArray:
    """Return what a packet and the two before it were like, int64 [n]: direction, fullness, how long the gap was."""
    coarse = np.where(kinds >= SIZES, np.where(kinds > SIZES, 3, 2), np.where(kinds >= _FULL, 1, 0))
    edges = np.where(kinds >= SIZES, 5.5, -0.7), np.where(kinds >= SIZES, 7.0, 0.4)
    coarse = coarse * 3 + (logs > edges[0]) + (logs > edges[1])
    before = np.concatenate([[12, 12], coarse])
    return np.asarray(coarse + 13 * before[1:-1] + 169 * before[:-2])


def _commonest(contexts: Sequence[IntArray], phases: int) -> list[IntArray]:
    """Number the commonest contexts; others go to the commonest one with as many packets alike as can be."""
    values, counts = np.unique(np.concatenate(contexts), return_counts=True)
    kept = values[np.argsort(-counts, kind="stable")[:phases]]
    digits, own = (np.stack([v % 13, v // 13 % 13, v // 169], 1) for v in (values, kept))
    alike = (digits[:, None] == own[None]) @ np.array([8.0, 4.0, 2.0])
    place = alike.argmax(axis=1)
    return [place[np.searchsorted(values, each)] for each in contexts]


def _maximise(start: FloatArray, moves: FloatArray, seen: FloatArray) -> Phases:
    return Phases(normalise_rows(start, 1.0), normalise_rows(moves, 0.1), normalise_rows(seen.T, 0.01))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(seen: Any, sequence: Any, share: Any) -> None:
    """Add each row's shares to those of its symbol."""
    for row in range(len(sequence)):
        for k in range(share.shape[1]):
            seen[sequence[row], k] += share[row, k]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw_place(cumulative: Any, random: Any) -> int:
    """Draw an index of running sums."""
    level = random.random() * cumulative[-1]
    low, high = 0, len(cumulative) - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] <= level:
            low = middle + 1
        else:
            high = middle
    return low
