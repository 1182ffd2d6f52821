"""Forward, backward and counts of a hidden Markov model, scaled row by row (Rabiner, Proc. IEEE 77(2), 1989).

What a state emits is the caller's: it hands over the likelihood of every row under every state.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_LEAST = 1e-300


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def expect(rows: Any, start: Any, steps: Any, share: Any, moves: Any) -> float:
    """Fill in the posteriors of one sequence; return its log-likelihood.

    rows: float64 [n, k], likelihood of each row under each state, of any scale. start: [k]. steps: [k, k], from
    and to. share: [n, k], filled with the posterior of each state. moves: [k, k], to which the expected number
    of each step is added, but for the factor ``steps`` itself, which is the same for all sequences.
    """
    count, states = rows.shape
    scale = np.zeros(count)
    for t in range(count):
        total = 0.0
        for j in range(states):
            share[t, j] = start[j] if t == 0 else 0.0
        if t:
            for i in range(states):
                reached = share[t - 1, i]
                for j in range(states):
                    share[t, j] += reached * steps[i, j]
        for j in range(states):
            share[t, j] *= rows[t, j]
            total += share[t, j]
        scale[t] = max(total, _LEAST)
        for j in range(states):
            share[t, j] /= scale[t]
    later, ahead = np.ones(states), np.zeros(states)
    for t in range(count - 2, -1, -1):
        for j in range(states):
            ahead[j] = rows[t + 1, j] * later[j] / scale[t + 1]
        for i in range(states):
            reached, total = share[t, i], 0.0
            for j in range(states):
                moves[i, j] += reached * ahead[j]
                total += steps[i, j] * ahead[j]
            later[i] = total
        for i in range(states):
            share[t, i] *= later[i]
    return float(np.log(scale).sum())


def normalise_rows(counts: FloatArray, prior: float) -> FloatArray:
    """Return shares, each row's sum 1, of counts [..., n] and a prior that spreads ``prior`` counts over a row."""
    spread = counts + prior / counts.shape[-1]
    return np.asarray(spread / np.maximum(spread.sum(axis=-1, keepdims=True), _LEAST))
