"""Gives a tokenization without a state of its own the columns and the writer that the generator works with.

What a tokenization may have beside the protocol: ``advance``, the seconds that each token stands for, by which time
is counted; ``most_tokens``, at which a trace is cut, in training as in sampling, where it takes many tokens a packet;
``whole``, true where all flows are tokenized; ``write(tokens, condition, name, seed)``, ``decode`` for a condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from baselines.parts.batch import keep_rows
from baselines.parts.told import COLUMNS, Told
from benchmark.errors import ConfigError
from benchmark.method import IntArray, StatefulTokenization, Tokenization
from benchmark.synthesis.sketch import largest_flow
from benchmark.trace import NANOSECONDS, Condition, Trace

_GRACE = 4096  # tokens that a row may take to reach a place where it may end
_LEAST, _MORE = 16, 1.2
_ROOM = 1024
_COUNTED = 2048  # packets of a trace


def stateful(tokenization: Tokenization) -> StatefulTokenization | PlainTokenization:
    """Return the tokenization itself, or one that lends it a state."""
    # isinstance would run every property of the protocol, before there is anything to tell.
    return (
        cast(StatefulTokenization, tokenization) if hasattr(tokenization, "writer") else PlainTokenization(tokenization)
    )


class PlainTokenization:
    """A tokenization with what is asked for as its state: the application, and ``told.COLUMNS`` at each moment."""

    def __init__(self, tokenization: Tokenization) -> None:
        self._inner = tokenization
        self._applications: tuple[str, ...] = ()
        self._longest = 1.0
        self.tokens_per_packet = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Fit the tokenization; learn the applications and how many tokens a second takes at most."""
        self._inner.fit(traces, seed)
        self._applications = tuple(sorted({trace.condition.application for trace in traces}))
        tokens = np.array([self._count(trace) for trace in traces], float)
        seconds = np.array([max(trace.condition.duration, 1.0) for trace in traces])
        packets = sum(self._packets(trace) for trace in traces)
        self._longest = float((tokens / seconds).max(initial=1.0))
        self.tokens_per_packet = float(tokens.sum() / max(1, packets))

    def facts(self) -> dict[str, Any]:
        """What ``recall`` needs, as JSON."""
        return {
            "applications": self._applications,
            "longest": self._longest,
            "tokens_per_packet": self.tokens_per_packet,
        }

    def recall(self, facts: dict[str, Any]) -> None:
        """Read what ``facts`` gave."""
        self._applications, self._longest = tuple(facts["applications"]), float(facts["longest"])
        self.tokens_per_packet = float(facts["tokens_per_packet"])

    @property
    def columns(self) -> Sequence[tuple[str, int]]:
        """The application, and what is asked for besides."""
        return (("application", len(self._applications) + 1), *COLUMNS)

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """The network chooses every token."""
        return np.zeros(len(self._inner.vocabulary), np.bool_)

    @property
    def advance(self) -> NDArray[np.float64]:
        """Seconds that each token stands for."""
        own = getattr(self._inner, "advance", None)
        return np.zeros(len(self._inner.vocabulary)) if own is None else np.asarray(own, float)

    @property
    def end(self) -> int:
        """The token named "end"."""
        names = self._inner.vocabulary.names
        if "end" not in names:
            raise ConfigError("a tokenization's vocabulary needs a token named 'end'")
        return names.index("end")

    def encode_with_columns(self, trace: Trace, condition: Condition) -> tuple[IntArray, IntArray]:
        """See ``StatefulTokenization``; a trace of more than ``most`` tokens is cut."""
        tokens = self._beginning(trace)
        told = Told([condition]).at(np.zeros(len(tokens), np.int64), np.cumsum(self.advance[tokens]))
        return tokens, np.insert(told, 0, self.number(condition), axis=1)

    @property
    def most(self) -> int | None:
        """Tokens at which a trace is cut, None for no limit."""
        own = getattr(self._inner, "most_tokens", None)
        return None if own is None else int(own)

    def write(self, tokens: IntArray, condition: Condition, name: str, seed: int) -> Trace:
        """Return tokens as a trace for a condition, no longer than it asks."""
        own = getattr(self._inner, "write", None)
        if own is not None:
            return cast(Trace, own(tokens, condition, name, seed))
        trace = self._inner.decode(tokens)
        inside = trace.packets.ts <= condition.duration * NANOSECONDS
        return replace(trace, packets=trace.packets.take(inside), name=name, condition=condition)

    def number(self, condition: Condition) -> int:
        """Value of the application's column."""
        known = condition.application in self._applications
        return 1 + self._applications.index(condition.application) if known else 0

    def writer(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> PlainWriter:
        """See ``StatefulTokenization``; the network's draws are all there is, so seeds don't matter."""
        return PlainWriter(self, conditions, self._longest)

    def _count(self, trace: Trace) -> float:
        """Count a trace's tokens, where all packets are tokenized on a few of them, evenly spread."""
        total, step = len(trace.packets), 1 + len(trace.packets) // _COUNTED
        if step == 1 or not getattr(self._inner, "whole", False):
            return float(len(self._inner.encode(trace)))
        part = trace.packets.take(slice(0, None, step))
        return len(self._inner.encode(replace(trace, packets=part))) * total / len(part)

    def _beginning(self, trace: Trace) -> IntArray:
        """Return a trace's tokens as far as they count, without encoding all of a trace that is far longer."""
        if self.most is not None and getattr(self._inner, "whole", False):
            enough = 64 + int(2 * self.most / max(self.tokens_per_packet, 0.01))
            if enough < len(trace.packets):
                tokens = self._inner.encode(replace(trace, packets=trace.packets.take(slice(0, enough))))
                if len(tokens) > self.most:
                    return np.asarray(tokens[: self.most], np.int64).copy()
        return np.asarray(self._inner.encode(trace), np.int64)[: self.most].copy()

    def _packets(self, trace: Trace) -> int:
        """Packets of a trace that are tokenized."""
        if getattr(self._inner, "whole", False):
            return len(trace.packets)
        return int((trace.flows.index == largest_flow(trace)).sum())


class PlainWriter:
    """Follows the grammar, and ends a row when its time is full or it holds as many tokens as it may.

    That is ``most_tokens``, or a fifth more than the densest training trace has in as much time; the trace's notes
    then say where it was cut. Memory is that of the tokens, four bytes each.
    """

    def __init__(self, owner: PlainTokenization, conditions: Sequence[Condition], longest: float) -> None:
        self._owner = owner
        self._grammar = owner.grammar()
        self._advance, self._end = owner.advance, owner.end
        self._timed = bool(self._advance.any())
        self._state = np.full(len(conditions), self._grammar.start, np.int64)
        self._seconds = np.zeros(len(conditions))
        self._number = np.array([owner.number(c) for c in conditions], np.int64)
        self._told = Told(conditions)
        self._duration = np.array([c.duration for c in conditions])
        most = _LEAST + _MORE * longest * np.maximum(self._duration, 1.0)
        self._most = np.minimum(most, owner.most or np.inf)
        self._rows = np.arange(len(conditions))
        self._tokens = np.zeros((len(conditions), _ROOM), np.int32)
        self._written = np.zeros(len(conditions), np.int64)
        self._reached = np.zeros(len(conditions))
        self._count = 0

    def mask(self) -> NDArray[np.bool_]:
        """See ``benchmark.method.Writer``."""
        legal = self._grammar.legal[self._state]
        late = self._due()
        due = late & legal[:, self._end]
        # The end is the network's to choose only once it is due: a rare token drawn early would cut traces short.
        early = ~late & self._timed & (legal.sum(axis=1) > 1)
        legal[due] = False
        legal[due, self._end] = True
        legal[early, self._end] = False
        return np.asarray(legal)

    def columns(self) -> IntArray:
        """See ``benchmark.method.Writer``."""
        told = self._told.at(np.arange(len(self._seconds)), self._seconds)
        return np.concatenate([self._number[:, None], told], axis=1)

    def push(self, tokens: IntArray) -> NDArray[np.bool_]:
        """See ``benchmark.method.Writer``."""
        if self._count == self._tokens.shape[1]:
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)], axis=1)
        self._tokens[self._rows, self._count] = tokens
        self._seconds += self._advance[tokens]
        self._state = self._grammar.following[self._state, tokens].astype(np.int64)
        self._count += 1
        self._written[self._rows] = self._count
        self._reached[self._rows] = self._seconds
        return np.asarray((tokens == self._end) | (self._count >= self._most + _GRACE))

    def keep(self, rows: IntArray) -> None:
        """See ``benchmark.method.Writer``."""
        keep_rows(self, ("_state", "_seconds", "_rows", "_most", "_number", "_duration"), rows)
        self._told.keep(rows)

    def trace(self, row: int, condition: Condition, name: str, seed: int) -> Trace:
        """Decode what an original row has written."""
        count, reached = int(self._written[row]), float(self._reached[row])
        trace = self._owner.write(self._tokens[row, :count].astype(np.int64), condition, name, seed)
        if not self._timed or reached >= condition.duration:
            return trace
        cut = f"{count} tokens reached {reached:.3f} s of {condition.duration:g} s"
        return replace(trace, notes={**trace.notes, "cut": cut})

    def _due(self) -> NDArray[np.bool_]:
        return np.asarray((self._seconds >= self._duration) | (self._count >= self._most))
