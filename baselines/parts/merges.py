"""Byte-pair encoding over numbers: the commonest pair of neighbours becomes a number of its own, again and again.

Source: Gage, "A New Algorithm for Data Compression", 1994; Sennrich et al., arXiv 1508.07909. Compiled, since a
training split has millions of packets: one pass counts, one replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.method import IntArray


def learn_merges(
    sequences: Sequence[IntArray], base: int, wanted: int, longest: int, apart: NDArray[np.bool_]
) -> IntArray:
    """Learn merges of sequences of numbers below ``base``; return the pairs, int64 [merges, 2].

    wanted: most merges; the number of the first is ``base``. longest: most members of a number. apart: bool [base],
    numbers that never merge. Pairs that occur once stay apart. Ties go to the lower pair, so the result is one.
    """
    parts = [part for sequence in sequences for part in (sequence, [-1])]
    joined = np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int32)
    lengths = np.ones(base + wanted, np.int64)
    lengths[:base][apart] = longest + 1
    pairs = np.zeros((wanted, 2), np.int64)
    return pairs[: _learn(joined, base, longest, lengths, pairs)]


def apply_merges(numbers: IntArray, pairs: IntArray, base: int) -> IntArray:
    """Replace pairs by their merges, in the order in which these were learnt; return the shorter sequence."""
    held = numbers.astype(np.int64, copy=True)
    return held[: _apply(held, np.ascontiguousarray(pairs, np.int64), base)]


def spell_merges(pairs: IntArray, base: int) -> list[list[int]]:
    """Return the members of every number, merged ones last."""
    spelt = [[number] for number in range(base)]
    for first, second in pairs.tolist():
        spelt.append(spelt[first] + spelt[second])
    return spelt


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _replace(held: Any, size: int, first: int, second: int, number: int) -> int:
    """Replace a pair from left to right in place; return the new size."""
    into = 0
    i = 0
    while i < size:
        if held[i] == first and i + 1 < size and held[i + 1] == second:
            held[into] = number
            i += 2
        else:
            held[into] = held[i]
            i += 1
        into += 1
    return into


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _learn(held: Any, base: int, longest: int, lengths: Any, pairs: Any) -> int:
    size = len(held)
    counts = np.zeros((base + len(pairs), base + len(pairs)), np.int32)
    for made in range(len(pairs)):
        counts[: base + made, : base + made] = 0
        most, first, second = 1, -1, -1
        for i in range(size - 1):
            a, b = held[i], held[i + 1]
            if a < 0 or b < 0 or lengths[a] + lengths[b] > longest:
                continue
            counts[a, b] += 1
            count = counts[a, b]
            if count > most or (count == most > 1 and (a, b) < (first, second)):
                most, first, second = count, a, b
        if first < 0:
            return made
        pairs[made, 0], pairs[made, 1] = first, second
        lengths[base + made] = lengths[first] + lengths[second]
        size = _replace(held, size, first, second, base + made)
    return len(pairs)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _apply(held: Any, pairs: Any, base: int) -> int:
    size = len(held)
    for k in range(len(pairs)):
        size = _replace(held, size, pairs[k, 0], pairs[k, 1], base + k)
    return size
