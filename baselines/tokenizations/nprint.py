"""nPrint: header bits as tokens, a few bits each, in the fixed places that nPrint gives every header field.

Source: Holland et al., CCS 2021; ``benchmark.nprint``. Each packet opens with a clock token; then come its blocks
(IPv4, TCP, UDP …) in nPrint's order, ``group`` bits a token, highest first. What is absent (-1) stands at the end of
its block, so one token, "rest", stands for all that is left of a block.

Exact: every bit of the nPrint matrix, and so the header bytes of IP packets with TCP, UDP or ICMP right behind their
IP header, where ``options`` show the blocks. Times as the clock's tokens say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numba
import numpy as np

from baselines.parts.clocked_packets import END, FIRST_CLOCK, ClockedPackets, list_seen, mark_listed
from benchmark.errors import ConfigError
from benchmark.method import Grammar, IntArray
from benchmark.nprint.decoding import decode
from benchmark.nprint.encoding import encode_packets, parse_options
from benchmark.trace import Trace, join_packets

GROUPS = (1, 2, 4, 8)
MOST_BYTES = 512  # of a row: the grammar has a state for each group of bits
_AT_ONCE = 4096  # rows of a matrix at a time: 4 MB and more


def build(options: Mapping[str, Any]) -> Nprint:
    """Build the tokenization.

    Options: ``options``, nPrint's switches; ``group``, bits of a token: 1, 2, 4 or 8; ``timing`` and ``per_decade``,
    see ``PacketClock``; ``most_tokens``, at which a generator cuts a trace, in training and in sampling.
    """
    return Nprint(**options)


class Nprint(ClockedPackets):
    """See the module."""

    name = "nprint"

    def __init__(
        self,
        options: str = "-4 -t -u",
        group: int = 4,
        timing: str = "gaps",
        per_decade: int = 48,
        most_tokens: int = 65_536,
    ) -> None:
        if group not in GROUPS:
            raise ConfigError(f"nprint: group must be one of {', '.join(map(str, GROUPS))} bits, not {group}")
        self._shown = parse_options(options)
        if self._shown.bytes > MOST_BYTES:
            raise ConfigError(f"nprint: '{options}' shows {self._shown.bytes} bytes, of at most {MOST_BYTES} a packet")
        super().__init__(timing, per_decade, most_tokens)
        self._rest, self._first = self._own, self._own + 1
        self._group, self._each = group, 8 // group
        # Where each byte column's block ends.
        ends = np.zeros(self._shown.bytes, np.int64)
        for start, size in self._shown.blocks().values():
            ends[start : start + size] = start + size
        self._ends = ends
        self._seen = np.ones((self._shown.bytes * self._each, 1 + (1 << group)), np.bool_)

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""
        parts, rows, before = [], [np.zeros(0, np.int64)], 0
        for start in range(0, len(trace.packets), _AT_ONCE):
            matrix, chosen = encode_packets(trace.packets.take(slice(start, start + _AT_ONCE)), self._shown)
            room = np.empty(len(matrix) * (1 + matrix.shape[1] // self._group), np.int64)
            opens = np.zeros(len(matrix), np.int64)
            size = _write(matrix, self._ends, self._group, self._rest, room, opens)
            parts.append((room[:size].copy(), opens + before))
            rows.append(chosen + start)
            before += size
        tokens = np.concatenate([*(part for part, _ in parts), np.array([END])])
        clock = self._clock.encode(trace.packets.ts[np.concatenate(rows)])
        tokens[np.concatenate([np.zeros(0, np.int64), *(opens for _, opens in parts)])] = FIRST_CLOCK + clock
        return tokens

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, whatever they are; what stands ahead of a packet is skipped."""
        tokens = np.asarray(tokens, np.int64)
        opening, ts = self._read_clock(tokens)
        opens = np.flatnonzero(opening)
        edges = np.append(opens, len(tokens))
        parts = []
        for start in range(0, len(opens), _AT_ONCE):
            own = edges[start : start + _AT_ONCE + 1]
            matrix = np.full((len(own) - 1, self._shown.columns), -1, np.int8)
            _read(tokens, own, self._ends, self._group, self._rest, matrix)
            parts.append(decode(matrix, self._shown, ts[start : start + len(matrix)]))
        return self._pace(join_packets(parts))

    def grammar(self) -> Grammar:
        """Legal sequences: a clock token, then the groups of all blocks, each block's rest as one token.

        State 0 stands between packets, state 1 + k ahead of group k; bits that training has shown in a group.
        """
        count = len(self._seen)
        legal, following = self._begin_grammar(count + 2)
        legal[1:-1, self._rest :] = self._seen
        place = np.arange(count)
        legal[1:-1][place % self._each != 0, self._rest] = False
        following[1:-1, self._first :] = np.where(place + 1 < count, place + 2, 0)[:, None]
        ends = np.repeat(self._ends, self._each) * self._each
        following[1:-1, self._rest] = np.where(ends < count, 1 + ends, 0)
        return Grammar(legal, following)

    def _names(self) -> Iterable[str]:
        """Return the rest of a block, then the values of a group of bits."""
        return "rest", *(f"bits {value:0{self._group}b}" for value in range(1 << self._group))

    def _drops(self) -> tuple[str, ...]:
        return (
            "packets without a row: no TCP, UDP or ICMP right behind the IP header",
            f"headers that '{' '.join(self._shown.arguments())}' doesn't show, and payload beyond it",
        )

    def _learn(self, traces: Sequence[Trace]) -> None:
        """Learn which bits occur where."""
        self._seen[:] = False
        for trace in traces:
            for start in range(0, len(trace.packets), _AT_ONCE):
                matrix, _ = encode_packets(trace.packets.take(slice(start, start + _AT_ONCE)), self._shown)
                _mark(matrix, self._ends, self._group, self._seen)

    def _facts(self) -> dict[str, Any]:
        return {"seen": list_seen(self._seen)}

    def _recall(self, facts: Mapping[str, Any]) -> None:
        mark_listed(self._seen, facts["seen"])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _value(row: Any, at: int, group: int) -> int:
    value = 0
    for bit in range(group):
        value = value * 2 + row[at + bit]
    return value


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark(matrix: Any, ends: Any, group: int, seen: Any) -> None:
    """Note which values stand in which group; column 0 of ``seen`` is the rest."""
    each = 8 // group
    for r in range(len(matrix)):
        row = matrix[r]
        place = 0
        while place < len(ends):
            if row[8 * place] < 0:
                seen[place * each, 0] = True
                place = ends[place]
                continue
            for part in range(each):
                seen[place * each + part, 1 + _value(row, 8 * place + group * part, group)] = True
            place += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(matrix: Any, ends: Any, group: int, rest: int, tokens: Any, opens: Any) -> int:
    """Write each row's groups, room for the clock's token ahead; return how many tokens."""
    at = 0
    for r in range(len(matrix)):
        row = matrix[r]
        opens[r] = at
        tokens[at] = 0
        at += 1
        place = 0
        while place < len(ends):
            if row[8 * place] < 0:
                tokens[at] = rest
                at += 1
                place = ends[place]
                continue
            for part in range(8 // group):
                tokens[at] = rest + 1 + _value(row, 8 * place + group * part, group)
                at += 1
            place += 1
    return at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read(tokens: Any, edges: Any, ends: Any, group: int, rest: int, matrix: Any) -> None:
    """Fill a matrix of -1 from the tokens between edges; what no row has room for is skipped."""
    for r in range(len(matrix)):
        row = matrix[r]
        at = 0  # the bit column
        for k in range(edges[r] + 1, edges[r + 1]):
            if at >= len(row) or tokens[k] < rest:
                continue
            if tokens[k] == rest:
                at = 8 * ends[at // 8]
                continue
            value = tokens[k] - rest - 1
            for bit in range(group):
                row[at + bit] = (value >> (group - 1 - bit)) & 1
            at += group
