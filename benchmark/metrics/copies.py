"""Copies: which runs of packets, and which identifiers, of the training traces come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.series import LEAST_GAP, Series
from benchmark.trace import Trace
from benchmark.wire import TCP

HashArray = NDArray[np.uint64]

# A copy is a run of this many packets alike in direction, size to the byte and gap to a quarter decade. Of
# held-out real traffic's runs about a tenth occur in training; a copy whose gaps were jittered by 5 % keeps
# a third.
RUN = 32
GAP_BINS_PER_DECADE = 4

_ODD = np.uint64(0x9E3779B97F4A7C15)
_ODD_INVERSE = np.uint64(pow(int(_ODD), -1, 1 << 64))


def symbols_of(series: Series) -> HashArray:
    """Return one mixed 64-bit symbol a packet of direction, size and gap bin, uint64 [n]."""
    bins = np.floor(np.log10(series.gap / LEAST_GAP + 1) * GAP_BINS_PER_DECADE).astype(np.uint64)
    code = (bins << np.uint64(32)) | (series.size.astype(np.uint64) << np.uint64(1)) | series.up.astype(np.uint64)
    return _mix(code)


def _mix(code: HashArray) -> HashArray:
    """Spread a code over 64 bits (the finaliser of splitmix64, Steele et al. 2014)."""
    code = code + _ODD
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(code ^ (code >> np.uint64(31)))


class Runs:
    """The runs of symbols of several traces, hashed so that any length costs one subtraction a run.

    Polynomial hashes modulo 2^64 of mixed symbols: two different runs collide with odds of about 2^-64 a
    pair.
    """

    def __init__(self, symbols: Sequence[HashArray]) -> None:
        longest = max((len(one) for one in symbols), default=0)
        powers = np.ones(longest + 1, np.uint64)
        np.cumprod(np.full(longest, _ODD), out=powers[1:])
        self.inverse = np.ones(longest + 1, np.uint64)
        np.cumprod(np.full(longest, _ODD_INVERSE), out=self.inverse[1:])
        zero = np.zeros(1, np.uint64)
        self.sums = [np.concatenate([zero, np.cumsum(one * powers[: len(one)])]) for one in symbols]
        self.longest = longest

    def hashes(self, length: int) -> list[HashArray]:
        """Return the hash of every run of ``length`` symbols, by trace: uint64 [max(0, n - length + 1)]."""
        return [self.hashes_at(trace, np.arange(len(sums)), length) for trace, sums in enumerate(self.sums)]

    def hashes_at(self, trace: int, starts: NDArray[np.int64], length: int) -> HashArray:
        """Return the hashes of a trace's runs of ``length`` symbols from ``starts``, where they fit."""
        sums = self.sums[trace]
        starts = starts[starts + length < len(sums)]
        return np.asarray((sums[starts + length] - sums[starts]) * self.inverse[starts])


def copied(runs: Runs, training: Runs, length: int) -> list[NDArray[np.bool_]]:
    """Tell of every run of ``length`` packets whether training has it, by trace."""
    known = _sorted(training.hashes(length))
    return [is_member(hashes, known) for hashes in runs.hashes(length)]


def is_member(values: HashArray, known: HashArray) -> NDArray[np.bool_]:
    """Tell which values are in ``known``, which is sorted."""
    if len(known) == 0:
        return np.zeros(len(values), np.bool_)
    place = np.searchsorted(known, values)
    return np.asarray(known[np.minimum(place, len(known) - 1)] == values)


def _sorted(hashes: Sequence[HashArray]) -> HashArray:
    return np.sort(np.concatenate([*hashes, np.zeros(0, np.uint64)]))


def longest_copy(runs: Runs, training: Runs) -> int:
    """Return the packets of the longest run that training has too.

    The start of a copied run is a copied run, so lengths are doubled, then halved in on, and only starts that
    matched at a shorter length are tried at a longer one.
    """
    starts = [np.arange(len(sums)) for sums in runs.sums]
    low, high = 0, min(runs.longest, training.longest)
    step = 1
    while low < high:
        middle = min(high, low + step)
        known = _sorted(training.hashes(middle))
        found = []
        for trace, tried in enumerate(starts):
            hits = is_member(runs.hashes_at(trace, tried, middle), known)
            found.append(tried[tried + middle < len(runs.sums[trace])][hits])
        if any(len(hits) for hits in found):
            low, starts, step = middle, found, max(1, min(2 * step, (high - middle + 1) // 2))
        else:
            high = middle - 1
            step = max(1, (high - low + 1) // 2)
    return low


def identifiers_of(trace: Trace) -> HashArray:
    """Return hashes of what singles out a real trace's flows, uint64 [identifiers], some of them repeated.

    They are: server address, server port, client port and protocol of each flow; sequence with
    acknowledgement number of each TCP packet; TCP timestamp value with echo. Both of a pair must be non-zero:
    with 64 random bits a coincidence is out of the question, with 32 it isn't.
    """
    fields, flows = trace.packets.fields, trace.flows
    first = flows.first
    up = flows.up[first]
    address = np.where(up[:, None], fields.destination[first], fields.source[first])
    server = np.where(up, fields.dport[first], fields.sport[first]).astype(np.uint64)
    client = np.where(up, fields.sport[first], fields.dport[first]).astype(np.uint64)
    words = np.ascontiguousarray(address).view(np.uint64)
    numbers = (fields.protocol[first].astype(np.uint64) << np.uint64(32)) | (server << np.uint64(16)) | client
    flow = _mix(_mix(_mix(words[:, 0]) ^ words[:, 1]) ^ numbers)
    tcp = fields.protocol == TCP
    numbered = _pairs(fields.seq, fields.ack, tcp, 1)
    timed = _pairs(fields.ts_value, fields.ts_echo, tcp & (fields.has_ts != 0), 2)
    return np.concatenate([flow, numbered, timed])


def _pairs(first: NDArray[Any], second: NDArray[Any], chosen: NDArray[np.bool_], kind: int) -> HashArray:
    """Hash pairs of 32-bit numbers that are both set; ``kind`` keeps one sort of pair apart from another."""
    chosen = chosen & (first != 0) & (second != 0)
    pair = (first[chosen].astype(np.uint64) << np.uint64(32)) | second[chosen].astype(np.uint64)
    return _mix(_mix(pair) + np.uint64(kind))
