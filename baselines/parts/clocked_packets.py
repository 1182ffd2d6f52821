"""What tokenizations of all packets of a trace share: a token of the clock opens each packet, then come their own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.parts.packet_clock import PacketClock, common_client
from benchmark.method import Grammar, IntArray, Vocabulary
from benchmark.trace import NANOSECONDS, Condition, Labels, Packets, Trace

END, FIRST_CLOCK = 0, 1


class ClockedPackets(ABC):
    """Token 0 is the end, then come those of the clock (``PacketClock``), from ``_own`` on a tokenization's own."""

    name: ClassVar[str]
    whole = True  # all packets of a trace are tokenized, not those of one flow alone

    def __init__(self, timing: str, per_decade: int, most_tokens: int) -> None:
        """most_tokens: at which a generator cuts a trace, in training and in sampling."""
        self.most_tokens = most_tokens
        self._clock = PacketClock(timing, per_decade)
        self._own = FIRST_CLOCK + len(self._clock)
        self._client = ""

    @abstractmethod
    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""

    @abstractmethod
    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe, whatever they are; what stands ahead of a packet is skipped."""

    @abstractmethod
    def grammar(self) -> Grammar:
        """Return which sequences are legal."""

    @abstractmethod
    def _names(self) -> Iterable[str]:
        """Return the names of its own tokens."""

    @abstractmethod
    def _drops(self) -> tuple[str, ...]:
        """Return what doesn't come back of packets and their bytes."""

    @abstractmethod
    def _learn(self, traces: Sequence[Trace]) -> None:
        """Learn from traces that have a packet at least."""

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Return what it has learnt, as JSON values."""

    @abstractmethod
    def _recall(self, facts: Mapping[str, Any]) -> None:
        """Take back what ``_facts`` gave."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The end, the clock's tokens, then its own."""
        return Vocabulary(("end", *self._clock.names(), *self._names()))

    @property
    def loses(self) -> tuple[str, ...]:
        """What doesn't come back."""
        return (
            *self._drops(),
            "a packet's length where its IP header tells another",
            "the link type",
            self._clock.loses,
        )

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for."""
        seconds = np.zeros(len(self.vocabulary))
        seconds[FIRST_CLOCK : self._own] = self._clock.advance
        return seconds

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn the gaps, the client's prefix, and what the packets hold."""
        self._clock.fit(traces)
        self._client = common_client(traces)
        if any(len(trace.packets) for trace in traces):
            self._learn(traces)

    def save(self, folder: Path) -> None:
        """Write what was learnt."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"client": self._client, "clock": self._clock.facts(), **self._facts()}
        (folder / f"{self.name}.json").write_text(json.dumps(facts))

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        facts = json.loads((folder / f"{self.name}.json").read_text())
        self._client = str(facts["client"])
        self._clock.recall(facts["clock"])
        self._recall(facts)

    def _known_clock(self) -> NDArray[np.bool_]:
        """Tell which of the clock's tokens the grammar lets pass: those that training has shown."""
        return self._clock.seen

    def _begin_grammar(self, states: int) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """Return tables of the grammar, [states, tokens], in which packets may open in state 0, between two.

        A packet's opening leads to state 1, the end to the last state.
        """
        legal = np.zeros((states, len(self.vocabulary)), np.bool_)
        following = np.zeros(legal.shape, np.int32)
        clock = slice(FIRST_CLOCK, self._own)
        legal[0, END], legal[0, clock] = True, self._known_clock()
        following[:, END], following[:, clock] = states - 1, 1
        return legal, following

    def _read_clock(self, tokens: IntArray) -> tuple[NDArray[np.bool_], IntArray]:
        """Return which tokens open a packet, bool [tokens], and when each packet passes, ns, int64 [packets]."""
        opens = (tokens >= FIRST_CLOCK) & (tokens < self._own)
        return opens, self._clock.decode(tokens[opens] - FIRST_CLOCK)

    def _pace(self, packets: Packets) -> Trace:
        """Return decoded packets as a trace, timed by the clock, one window long, of unknown labels."""
        packets = Packets(self._clock.pace(packets), packets.length, packets.data, packets.offsets)
        seconds = float(packets.ts[-1]) / NANOSECONDS + 1 if len(packets) else 1.0
        return Trace("decoded", packets, Condition("", seconds, seconds, Labels.unknown(1)), self._client)


def list_seen(seen: NDArray[np.bool_]) -> list[list[int]]:
    """Return the places of a table, bool [rows, values], that are true, row by row, as JSON values."""
    return [np.flatnonzero(row).tolist() for row in seen]


def mark_listed(seen: NDArray[np.bool_], listed: Sequence[Sequence[int]]) -> None:
    """Set a table to what ``list_seen`` returned."""
    seen[:] = False
    for row, values in zip(seen, listed, strict=True):
        row[values] = True
