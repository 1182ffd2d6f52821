"""Bytes: one token a header byte, each packet in a slot of its own, as NetSSM has it.

Source: Chu et al., "NetSSM", PACMNET 2026, arXiv 2503.22663, and its preprocessor: every packet's headers without
payload, zero-padded to 128 bytes, a delimiter between packets, no times. Here a slot starts at the IP header
(NetSSM's holds 14 bytes of Ethernet too), padding is a token of its own, so that no zero is lost, and the delimiter
stands ahead of each packet. ``layout`` "ragged" leaves the padding out. Times come from ``PacketClock``.

Exact: the number and order of packets, every captured byte up to ``slot``. All flows of a trace are kept, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.clocked_packets import END, FIRST_CLOCK
from baselines.parts.packet_slots import PacketSlots
from benchmark.errors import ConfigError, nearest
from benchmark.method import Grammar, IntArray
from benchmark.trace import Trace

LAYOUTS = ("fixed", "ragged")
PLACES = ("seen", "any")


def build(options: Mapping[str, Any]) -> Bytes:
    """Build the tokenization.

    Options: ``layout``, fixed or ragged; ``slot``, most bytes of a packet; ``timing`` and ``per_decade``, see
    ``PacketClock``; ``places``, seen or any: whether the grammar lets pass only bytes that training has shown at
    their place in a packet; ``most_tokens``, at which a generator cuts a trace, in training and in sampling.
    """
    return Bytes(**options)


class Bytes(PacketSlots):
    """See the module."""

    name = "bytes"

    def __init__(
        self,
        layout: str = "fixed",
        slot: int = 128,
        timing: str = "drawn",
        per_decade: int = 48,
        places: str = "seen",
        most_tokens: int = 65_536,
    ) -> None:
        for value, known in ((layout, LAYOUTS), (places, PLACES)):
            if value not in known:
                raise ConfigError(f"bytes: '{value}' is none of {', '.join(known)}{nearest(value, known)}")
        super().__init__(slot, timing, per_decade, most_tokens, ahead=1)
        self._pad = self._own
        self._fixed, self._learns = layout == "fixed", places == "seen"

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64; fixed: [packets * (slot + 1) + 1]."""
        data, offsets = self._cut(trace.packets)
        sizes = np.diff(offsets)
        count = len(sizes)
        widths = np.full(count, self._slot + 1) if self._fixed else sizes + 1
        starts = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
        tokens = np.full(starts[-1] + 1, self._pad, np.int64)
        tokens[starts[:-1]] = FIRST_CLOCK + self._clock.encode(trace.packets.ts)
        _write(data, offsets, starts, self._first, tokens)
        tokens[-1] = END
        return tokens

    def grammar(self) -> Grammar:
        """Legal sequences: a clock token, then bytes and, in a fixed layout, padding up to the slot's end.

        State 0 stands between packets; state 1 + p has p bytes of a packet; behind those the states of padding.
        """
        if not self._fixed:
            return super().grammar()
        slot = self._slot
        legal, following = self._begin_grammar(2 * slot + 3)
        legal[1 : slot + 1, self._first :] = self._seen
        following[1 : slot + 1, self._first :] = np.arange(2, slot + 2)[:, None]
        following[slot, self._first :] = 0
        legal[1 : slot + 1, self._pad] = self._sizes[:slot]
        padding = np.arange(slot + 2, 2 * slot + 2)
        legal[padding[1:], self._pad] = True
        following[1 : slot + 1, self._pad] = following[padding, self._pad] = np.append(padding[1:], 0)
        return Grammar(legal, following)

    def _names(self) -> Iterable[str]:
        return "padding", *(f"byte {value:02x}" for value in range(256))

    def _learn(self, traces: Sequence[Trace]) -> None:
        if self._learns:
            super()._learn(traces)

    def _known_clock(self) -> NDArray[np.bool_]:
        return self._clock.seen if self._learns else np.ones(len(self._clock), np.bool_)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "seen": [np.packbits(row).tobytes().hex() for row in self._seen]}

    def _recall(self, facts: Mapping[str, Any]) -> None:
        rows = [np.unpackbits(np.frombuffer(bytes.fromhex(row), np.uint8)) for row in facts["seen"]]
        super()._recall({**facts, "seen": [np.flatnonzero(row) for row in rows]})


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(data: Any, offsets: Any, starts: Any, first: int, tokens: Any) -> None:
    """Write each packet's bytes behind its opening token."""
    for i in range(len(offsets) - 1):
        at = starts[i] + 1 - offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            tokens[at + k] = first + data[k]
