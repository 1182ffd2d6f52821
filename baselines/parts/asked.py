"""What a condition asks for, as small numbers that a network can see at every moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Condition

RUNGS = 16  # values of the rung's column: 0 where nothing is asked, then the rungs from the lowest on
STALLS, LINKS, LOSSES, DELAYS = 4, 34, 4, 12
_STALL_EDGES = np.array([0.5, 4.0])  # seconds of a window
_LINK_FLOOR = 15.0  # log2 of bit/s; half octaves from 32 kbit/s on
_LOSS_EDGES = np.array([0.0005, 0.003])
_DELAY_FLOOR = -9.0  # log2 of seconds; half octaves from 2 ms on


class Asked(NamedTuple):
    """What is asked for; unknowns are -1 among rungs, 0 among levels and NaN among numbers.

    rungs, stalls: int64 [windows], the rung and the level of stalling (1: none, 2: some, 3: much of the window).
    links: int64 [steps], the level of the link's rate; rates: float64 [steps], log2 bit/s. loss: its level.
    window, step: seconds. delay: seconds one way. startup: seconds. began: seconds from the trace's first packet to
    the flow's.
    """

    rungs: NDArray[np.int64]
    stalls: NDArray[np.int64]
    window: float
    links: NDArray[np.int64]
    rates: NDArray[np.float64]
    step: float
    loss: int
    delay: float
    startup: float
    began: float


class AskedRows(NamedTuple):
    """The fields of many ``Asked``, a row each: courses are [rows, windows or steps], numbers [rows]."""

    rungs: NDArray[np.int64]
    stalls: NDArray[np.int64]
    window: NDArray[np.float64]
    links: NDArray[np.int64]
    rates: NDArray[np.float64]
    step: NDArray[np.float64]
    loss: NDArray[np.int64]
    delay: NDArray[np.float64]
    startup: NDArray[np.float64]
    began: NDArray[np.float64]


def asked_of(condition: Condition, began: float = 0.0) -> Asked:
    """Return what a condition asks for of a flow that begins ``began`` seconds into its trace."""
    labels, network = condition.labels, condition.network
    rungs, stalls = np.full(1, -1, np.int64), np.zeros(1, np.int64)
    if len(labels):
        rungs = np.clip(labels.rung.astype(np.int64), -1, RUNGS - 2)
        stalls = np.where(np.isnan(labels.stall), 0, 1 + np.searchsorted(_STALL_EDGES, labels.stall))
    links, rates, step, loss, delay = np.zeros(1, np.int64), np.full(1, math.nan), 1.0, 0, math.nan
    if network is not None and len(network.rate):
        rates = np.log2(np.maximum(network.rate.astype(float), 1.0))
        links = 1 + np.clip(np.floor(2 * (rates - _LINK_FLOOR)) + 1, 0, LINKS - 2).astype(np.int64)
        step, delay = float(network.step), float(network.delay)
        loss = 1 + int(np.searchsorted(_LOSS_EDGES, network.loss))
    return Asked(
        rungs, stalls.astype(np.int64), float(condition.window), links, rates, step, loss, delay,
        float(labels.startup), float(began),
    )  # fmt: skip


def stack(asked: Sequence[Asked]) -> AskedRows:
    """Return many as one whose fields have a row each; shorter courses go on as they end."""
    rows = [[np.asarray(value) for value in one] for one in asked]
    return AskedRows(*(_stack_column(column) for column in zip(*rows, strict=True)))


def take_rows(asked: AskedRows, rows: NDArray[np.int64]) -> AskedRows:
    """Return some of the rows of what ``stack`` made."""
    columns: Iterator[NDArray[Any]] = iter(asked)
    return AskedRows(*(column[rows] for column in columns))


def _stack_column(column: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if column[0].ndim == 0:
        return np.array(column)
    longest = max(len(values) for values in column)
    return np.stack([np.pad(values, (0, longest - len(values)), "edge") for values in column])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def row_of(asked: Any, row: int) -> Any:
    """Return one row of what ``stack`` made."""
    return Asked(
        asked.rungs[row], asked.stalls[row], asked.window[row], asked.links[row], asked.rates[row], asked.step[row],
        asked.loss[row], asked.delay[row], asked.startup[row], asked.began[row],
    )  # fmt: skip


def delay_level(delay: float) -> int:
    """Return the level of a one-way delay, 0 where it isn't known."""
    if math.isnan(delay):
        return 0
    return 1 + int(np.clip(2 * (math.log2(max(delay, 1e-4)) - _DELAY_FLOOR), 0, DELAYS - 2))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def at_moment(values: Any, width: float, seconds: float) -> int:
    """Return the value at a moment of a course of steps, each ``width`` seconds; the last one goes on."""
    return values[min(max(int(seconds / width), 0), len(values) - 1)]
