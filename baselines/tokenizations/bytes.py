"""Bytes: one token a header byte, each packet in a slot of its own, as NetSSM has it.

Source: Chu et al., "NetSSM", PACMNET 2026, arXiv 2503.22663, and its preprocessor: every packet's headers without
payload, zero-padded to 128 bytes, a delimiter between packets, no times. Here a slot starts at the IP header
(NetSSM's holds 14 bytes of Ethernet too), padding is a token of its own, so that no zero is lost, and the delimiter
stands ahead of each packet. ``layout`` "ragged" leaves the padding out. Times come from ``PacketClock``.

Exact: the number and order of packets, every captured byte up to ``slot``. All flows of a trace are kept, in order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from baselines.parts.packet_clock import PacketClock, common_client, told_lengths
from benchmark.capture.gather import gather
from benchmark.errors import ConfigError, nearest
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.trace import NANOSECONDS, Condition, Labels, Packets, Trace

END, FIRST_CLOCK = 0, 1
LAYOUTS = ("fixed", "ragged")
PLACES = ("seen", "any")
LARGEST_SLOT = 1500


def build(options: Mapping[str, Any]) -> Bytes:
    """Build the tokenization.

    Options: ``layout``, fixed or ragged; ``slot``, most bytes of a packet; ``timing`` and ``per_decade``, see
    ``PacketClock``; ``places``, seen or any: whether the grammar lets pass only bytes that training has shown at
    their place in a packet; ``most_tokens``, at which a generator cuts a trace, in training and in sampling.
    """
    return Bytes(**options)


class Bytes:
    """See the module."""

    whole = True  # all packets of a trace are tokenized, not those of one flow alone

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
        if not 1 <= slot <= LARGEST_SLOT:
            raise ConfigError(f"bytes: slot must be from 1 to {LARGEST_SLOT}, not {slot}")
        self._fixed, self._slot, self._learns = layout == "fixed", slot, places == "seen"
        self.most_tokens = most_tokens
        self._clock = PacketClock(timing, per_decade)
        self._pad = FIRST_CLOCK + len(self._clock)
        self._first = self._pad + 1
        self._client = ""
        self._seen = np.ones((slot, 256), np.bool_)
        self._sizes = np.ones(slot + 1, np.bool_)

    @property
    def vocabulary(self) -> Vocabulary:
        """The end, the clock's tokens, the padding, then the 256 bytes."""
        return Vocabulary(("end", *self._clock.names(), "padding", *(f"byte {value:02x}" for value in range(256))))

    @property
    def loses(self) -> tuple[str, ...]:
        """What doesn't come back."""
        return (
            f"captured bytes beyond the first {self._slot} of a packet",
            "a packet's length where its IP header tells another",
            "the link type",
            self._clock.loses,
        )

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for."""
        seconds = np.zeros(self._first + 256)
        seconds[FIRST_CLOCK : self._pad] = self._clock.advance
        return seconds

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn the gaps, the client's prefix, and which bytes and sizes occur where."""
        self._clock.fit(traces)
        self._client = common_client(traces)
        if not self._learns or not any(len(trace.packets) for trace in traces):
            return
        self._seen[:], self._sizes[:] = False, False
        for trace in traces:
            data, offsets = self._cut(trace.packets)
            mark_places(data, offsets, self._seen, self._sizes)

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

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, whatever they are; what stands ahead of a packet is skipped."""
        tokens = np.asarray(tokens, np.int64)
        opens = (tokens >= FIRST_CLOCK) & (tokens < self._pad)
        owner = np.cumsum(opens) - 1
        held = (tokens >= self._first) & (owner >= 0)
        sizes = np.bincount(owner[held], minlength=int(opens.sum()))
        all_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        whole = (tokens[held] - self._first).astype(np.uint8)
        data, offsets = gather(whole, all_offsets[:-1], np.minimum(sizes, self._slot))
        ts = self._clock.decode(tokens[opens] - FIRST_CLOCK)
        packets = Packets(ts, told_lengths(data, offsets), data, offsets)
        return decoded(Packets(self._clock.pace(packets), packets.length, data, offsets), self._client)

    def grammar(self) -> Grammar:
        """Legal sequences: a clock token, then bytes and, in a fixed layout, padding up to the slot's end.

        State 0 stands between packets; state 1 + p has p bytes of a packet; behind those the states of padding.
        """
        slot, states = self._slot, 2 * self._slot + 3
        legal = np.zeros((states, self._first + 256), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        clock = slice(FIRST_CLOCK, self._pad)
        opens = self._clock.seen if self._learns else True
        legal[0, clock], legal[0, END] = opens, True
        legal[1 : slot + 1, self._first :] = self._seen
        following[1 : slot + 1, self._first :] = np.arange(2, slot + 2)[:, None]
        if not self._fixed:
            legal[1 : slot + 2, clock] = self._sizes[:, None] & opens
            legal[1 : slot + 2, END] = self._sizes
            following[: slot + 2, clock] = 1
            following[: slot + 2, END] = states - 1
            return Grammar(legal, following)
        following[0, clock], following[0, END] = 1, states - 1
        following[slot, self._first :] = 0
        legal[1 : slot + 1, self._pad] = self._sizes[:slot]
        padding = np.arange(slot + 2, 2 * slot + 2)
        legal[padding[1:], self._pad] = True
        following[1 : slot + 1, self._pad] = following[padding, self._pad] = np.append(padding[1:], 0)
        return Grammar(legal, following)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "client": self._client,
            "clock": self._clock.facts(),
            "sizes": np.flatnonzero(self._sizes).tolist(),
            "seen": [np.packbits(row).tobytes().hex() for row in self._seen],
        }
        (folder / "bytes.json").write_text(json.dumps(facts))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        facts = json.loads((folder / "bytes.json").read_text())
        self._client = str(facts["client"])
        self._clock.recall(facts["clock"])
        self._sizes[:] = False
        self._sizes[facts["sizes"]] = True
        rows = [np.frombuffer(bytes.fromhex(row), np.uint8) for row in facts["seen"]]
        self._seen = np.unpackbits(np.stack(rows), axis=1).astype(np.bool_)

    def _cut(self, packets: Packets) -> tuple[NDArray[np.uint8], IntArray]:
        """Return the bytes of every packet, at most a slot of each, and their offsets."""
        return gather(packets.data, packets.offsets[:-1], np.minimum(packets.captured, self._slot))


def decoded(packets: Packets, client: str) -> Trace:
    """Return packets as a trace about whose labels nothing is known, one window long."""
    seconds = float(packets.ts[-1]) / NANOSECONDS + 1 if len(packets) else 1.0
    return Trace("decoded", packets, Condition("", seconds, seconds, Labels.unknown(1)), client)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mark_places(data: Any, offsets: Any, seen: Any, sizes: Any) -> None:
    """Note which bytes stand at which place, and which sizes occur."""
    for i in range(len(offsets) - 1):
        size = offsets[i + 1] - offsets[i]
        sizes[size] = True
        for k in range(size):
            seen[k, data[offsets[i] + k]] = True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(data: Any, offsets: Any, starts: Any, first: int, tokens: Any) -> None:
    """Write each packet's bytes behind its opening token."""
    for i in range(len(offsets) - 1):
        at = starts[i] + 1 - offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            tokens[at + k] = first + data[k]
