"""Histograms of packet fields and of header bits, trace by trace, on bins that both sides share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.series import Series
from benchmark.statistics.distances import bin_edges, histogram
from benchmark.trace import Trace
from benchmark.wire import TCP

FloatArray = NDArray[np.float64]

BINS = 50
# Header rows encoded per trace: enough for shares to 0.1 % over a corpus, at a bounded cost.
NPRINT_ROWS = 500
# NetDiffusion's columns: no Ethernet, no payload; addresses are dropped below.
NPRINT_OPTIONS = "-4 -6 -t -u -i"


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of one quantity by trace, real and synthetic [traces, ..., bins], over the same bins."""

    real: FloatArray
    synthetic: FloatArray

    def compare(
        self,
        distance: Callable[[FloatArray, FloatArray], FloatArray],
        real: NDArray[Any],
        synthetic: NDArray[Any],
    ) -> float:
        """Return the mean distance of the pooled traces; a packet counts the same in any trace."""
        pooled = np.tensordot(real, self.real, 1), np.tensordot(synthetic, self.synthetic, 1)
        return float(distance(*pooled).mean())


def _tcp_only(trace: Trace, column: str) -> NDArray[Any]:
    fields = trace.packets.fields
    # A packet that wasn't parsed to layer 4 has no TCP field, whatever its protocol number says.
    return np.asarray(getattr(fields, column)[(fields.protocol == TCP) & (fields.l4_header > 0)])


# Each field: its values, and whether they are numbers on a scale (binned) or names (counted one by one).
FIELDS: Mapping[str, tuple[Callable[[Trace, Series], NDArray[Any]], bool]] = {
    "length": (lambda trace, series: series.size, True),
    "gap": (lambda trace, series: series.log_gap, True),
    "payload": (lambda trace, series: trace.packets.fields.payload, True),
    "window": (lambda trace, series: _tcp_only(trace, "tcp_window"), True),
    "direction": (lambda trace, series: series.up, False),
    "protocol": (lambda trace, series: trace.packets.fields.protocol, False),
    "flags": (lambda trace, series: _tcp_only(trace, "flags"), False),
    "ttl": (lambda trace, series: trace.packets.fields.ttl, False),
    "tos": (lambda trace, series: trace.packets.fields.tos, False),
    "fragment": (lambda trace, series: trace.packets.fields.fragment, False),
    "header": (
        lambda trace, series: trace.packets.fields.ip_header + trace.packets.fields.l4_header, False
    ),
}  # fmt: skip


def count_field(
    name: str,
    real: Sequence[tuple[Trace, Series]],
    synthetic: Sequence[tuple[Trace, Series]],
) -> Counts | None:
    """Count a field's values by trace, or return None where no packet of either side has the field.

    Numbers go to BINS equal bins over the real range with one bin below and one above; names are counted one
    by one, with those that only the synthetic side has. So no mass is lost, on either side.
    """
    values, is_number = FIELDS[name]
    sides = [[values(*member) for member in side] for side in (real, synthetic)]
    pooled = [np.concatenate(side) if side else np.zeros(0) for side in sides]
    if not len(pooled[0]) and not len(pooled[1]):
        return None
    if is_number and len(pooled[0]):
        edges = bin_edges(pooled[0], BINS)
        tables = [np.array([histogram(part, edges) for part in side], np.float64) for side in sides]
        return Counts(*tables)
    known = np.unique(np.concatenate([part.astype(np.float64) for part in pooled]))
    tables = [
        np.array([np.bincount(np.searchsorted(known, part), minlength=len(known)) for part in side], np.float64)
        for side in sides
    ]
    return Counts(*tables)


def count_bits(real: Sequence[Trace], synthetic: Sequence[Trace]) -> Counts | None:
    """Count -1, 0 and 1 in each nPrint column by trace, [traces, columns, 3]; None without rows."""
    sides = [np.array([_bits_of(trace) for trace in side], np.float64) for side in (real, synthetic)]
    if not sides[0].sum() or not sides[1].sum():
        return None
    return Counts(*sides)


def _bits_of(trace: Trace) -> FloatArray:
    """Count the three values in the columns of evenly spaced packets of a trace, float64 [columns, 3]."""
    from benchmark.nprint.encoding import column_names, encode_packets, parse_options

    options = parse_options(NPRINT_OPTIONS)
    count = len(trace.packets)
    chosen = np.unique(np.linspace(0, count - 1, min(count, NPRINT_ROWS)).round().astype(np.int64))
    matrix, _ = encode_packets(trace.packets.take(chosen), options)
    addresses = ("ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst")
    kept = [place for place, name in enumerate(column_names(options)) if not name.startswith(addresses)]
    shown = matrix[:, kept]
    return np.stack([(shown == value).sum(axis=0) for value in (-1, 0, 1)], axis=1).astype(np.float64)
