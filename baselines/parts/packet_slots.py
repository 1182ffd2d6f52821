"""What tokenizations of packets' first bytes share: each packet's bytes, a slot of them at most, as strings of bytes.

A grammar lets pass only bytes that training has shown at their place in a packet, and ends a packet only at a size
that training has shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.clocked_packets import END, FIRST_CLOCK, ClockedPackets, list_seen, mark_listed
from baselines.parts.packet_clock import told_lengths
from benchmark.capture.gather import gather
from benchmark.errors import ConfigError
from benchmark.method import Grammar, IntArray
from benchmark.trace import Packets, Trace

LARGEST_SLOT = 1500


class PacketSlots(ClockedPackets):
    """From token ``_first`` on each token is a string of bytes: at first the 256 bytes themselves.

    ``_seen``: bool [slot, 256], the bytes at each place. ``_sizes``: bool [slot + 1], the sizes of packets.
    """

    def __init__(self, slot: int, timing: str, per_decade: int, most_tokens: int, ahead: int = 0) -> None:
        """slot: most bytes of a packet. ahead: how many of its own tokens stand ahead of the strings."""
        if not 1 <= slot <= LARGEST_SLOT:
            raise ConfigError(f"{self.name}: slot must be from 1 to {LARGEST_SLOT}, not {slot}")
        super().__init__(timing, per_decade, most_tokens)
        self._slot, self._first = slot, self._own + ahead
        # The strings one behind the other, and where each starts.
        self._bytes, self._starts = np.arange(256).astype(np.uint8), np.arange(257)
        self._seen = np.ones((slot, 256), np.bool_)
        self._sizes = np.ones(slot + 1, np.bool_)

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, whatever they are; what stands ahead of a packet is skipped."""
        tokens = np.asarray(tokens, np.int64)
        opens, ts = self._read_clock(tokens)
        owner = np.cumsum(opens) - 1
        held = (tokens >= self._first) & (owner >= 0)
        numbers = tokens[held] - self._first
        widths = np.diff(self._starts)[numbers]
        whole, _ = gather(self._bytes, self._starts[numbers], widths)
        sizes = np.bincount(owner[held], widths, minlength=len(ts)).astype(np.int64)
        all_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        data, offsets = gather(whole, all_offsets[:-1], np.minimum(sizes, self._slot))
        return self._pace(Packets(ts, told_lengths(data, offsets), data, offsets))

    def grammar(self) -> Grammar:
        """Legal sequences: a clock token, then strings whose bytes training has shown at their places.

        State 0 stands ahead of all packets; state 1 + p has p bytes of a packet, which ends where one in training did.
        """
        slot, widths = self._slot, np.diff(self._starts)
        fits = np.arange(slot + 1)[:, None] + widths <= slot
        seen = np.concatenate([self._seen, np.zeros((1 + int(widths.max()), 256), np.bool_)])
        for k in range(int(widths.max())):
            longer = np.flatnonzero(widths > k)
            fits[:, longer] &= seen[k : slot + 1 + k, self._bytes[self._starts[:-1][longer] + k]]
        legal, following = self._begin_grammar(slot + 3)
        legal[1:-1, self._first :] = fits
        following[1:-1, self._first :] = np.where(fits, 1 + np.arange(slot + 1)[:, None] + widths, 0)
        legal[1:-1, END] = self._sizes
        legal[1:-1, FIRST_CLOCK : self._own] = self._sizes[:, None] & self._known_clock()
        return Grammar(legal, following)

    def _drops(self) -> tuple[str, ...]:
        return (f"captured bytes beyond the first {self._slot} of a packet",)

    def _learn(self, traces: Sequence[Trace]) -> None:
        """Learn which bytes and sizes occur where."""
        self._seen[:], self._sizes[:] = False, False
        for trace in traces:
            _mark(*self._cut(trace.packets), self._seen, self._sizes)

    def _facts(self) -> dict[str, Any]:
        return {"sizes": np.flatnonzero(self._sizes).tolist(), "seen": list_seen(self._seen)}

    def _recall(self, facts: Mapping[str, Any]) -> None:
        self._sizes[:] = False
        self._sizes[facts["sizes"]] = True
        mark_listed(self._seen, facts["seen"])

    def _cut(self, packets: Packets) -> tuple[NDArray[np.uint8], IntArray]:
        """Return the bytes of every packet, at most a slot of each, and their offsets."""
        return gather(packets.data, packets.offsets[:-1], np.minimum(packets.captured, self._slot))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark(data: Any, offsets: Any, seen: Any, sizes: Any) -> None:
    """Note which bytes stand at which place, and which sizes occur."""
    for i in range(len(offsets) - 1):
        size = offsets[i + 1] - offsets[i]
        sizes[size] = True
        for k in range(size):
            seen[k, data[offsets[i] + k]] = True
