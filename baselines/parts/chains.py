"""Empirical distributions and Markov chains of symbols, as compressed rows for compiled samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray


class Pools(NamedTuple):
    """Distributions over integers, one a row: row r holds ``values[starts[r]:starts[r + 1]]``.

    starts: int64 [rows + 1]. values: int64. cumulative: float64, shares added up in each row.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.int64]
    cumulative: NDArray[np.float64]

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the columns under names that begin with ``name``."""
        return {f"{name}.{column}": array for column, array in self._asdict().items()}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]], name: str) -> Pools:
        """Build it from what ``arrays`` gave."""
        return Pools(*(arrays[f"{name}.{column}"] for column in Pools._fields))


class Chain(NamedTuple):
    """A Markov chain for each key. rows: int32 [keys, states], the row of ``pools`` with the next symbols.

    Where a key never saw a state, it is its group's row; where the group never did, all that the group saw.
    """

    rows: NDArray[np.int32]
    pools: Pools


def learn_pools(keys: NDArray[np.int64], values: NDArray[np.int64], rows: int) -> Pools:
    """Count the values that occur with each key, both int64 [n]; keys are below ``rows``."""
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    new = np.ones(len(keys), np.bool_)
    new[1:] = (keys[1:] != keys[:-1]) | (values[1:] != values[:-1])
    at = np.flatnonzero(new)
    counts = np.diff(np.append(at, len(keys)))
    keys, values = keys[at], values[at]
    starts = np.searchsorted(keys, np.arange(rows + 1)).astype(np.int64)
    running = np.cumsum(counts).astype(np.float64)
    before = np.concatenate([[0.0], running])[starts[:-1]]
    total = np.concatenate([[0.0], running])[starts[1:]] - before
    return Pools(starts, values, (running - before[keys]) / np.maximum(total[keys], 1))


def learn_chain(
    keys: NDArray[np.int64],
    previous: NDArray[np.int64],
    following: NDArray[np.int64],
    groups: NDArray[np.int64],
    states: int,
) -> Chain:
    """Learn chains from transitions, all int64 [n]. groups: int64 [keys], the group of each key."""
    count, group_count = len(groups), int(groups.max()) + 1
    group = groups[keys]
    # Rows: every (key, state), then every (group, state), then every group.
    of_groups, of_all = count * states, (count + group_count) * states
    rows = np.concatenate([keys * states + previous, of_groups + group * states + previous, of_all + group])
    dense, place = np.unique(rows, return_inverse=True)
    pools = learn_pools(place, np.tile(following, 3), len(dense))
    number = np.full(of_all + group_count, -1, np.int32)
    number[dense] = np.arange(len(dense), dtype=np.int32)
    own = number[:of_groups].reshape(count, states)
    fallback = number[of_groups:of_all].reshape(group_count, states)[groups]
    chosen = np.where(own >= 0, own, np.where(fallback >= 0, fallback, number[of_all:][groups][:, None]))
    return Chain(chosen.astype(np.int32), pools)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def draw_from(pools: Any, row: int, random: Any) -> int:
    """Draw a value of a row by bisection; -1 where the row is empty."""
    low, high = pools.starts[row], pools.starts[row + 1] - 1
    if high < low:
        return -1
    level = random.random()
    while low < high:
        middle = (low + high) // 2
        if pools.cumulative[middle] <= level:
            low = middle + 1
        else:
            high = middle
    return pools.values[low]
