"""Gives a tokenization without a state of its own the columns and the writer that the generator works with.

Time is counted by ``advance``, the seconds that each token stands for, where the tokenization has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from baselines.parts.rungs import RUNGS, rungs_at
from benchmark.errors import ConfigError
from benchmark.method import IntArray, StatefulTokenization, Tokenization
from benchmark.trace import Condition, Trace

_GRACE = 4096


def stateful(tokenization: Tokenization) -> StatefulTokenization:
    """Return the tokenization itself, or one that lends it a state."""
    # isinstance would run every property of the protocol, before there is anything to tell.
    return (
        cast(StatefulTokenization, tokenization) if hasattr(tokenization, "writer") else PlainTokenization(tokenization)
    )


class PlainTokenization:
    """A tokenization with the application and the rung of the window as its state."""

    def __init__(self, tokenization: Tokenization) -> None:
        self._inner = tokenization
        self._applications: tuple[str, ...] = ()
        self._longest = 1.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Fit the tokenization; learn the applications and how many tokens a second takes at most."""
        self._inner.fit(traces, seed)
        self._applications = tuple(sorted({trace.condition.application for trace in traces}))
        rates = [len(self._inner.encode(t)) / max(t.condition.duration, 1.0) for t in traces]
        self._longest = float(max(rates, default=1.0))

    def facts(self) -> dict[str, Any]:
        """What ``recall`` needs, as JSON."""
        return {"applications": self._applications, "longest": self._longest}

    def recall(self, facts: dict[str, Any]) -> None:
        """Read what ``facts`` gave."""
        self._applications, self._longest = tuple(facts["applications"]), float(facts["longest"])

    @property
    def columns(self) -> Sequence[tuple[str, int]]:
        """The application and the rung."""
        return (("application", len(self._applications) + 1), ("rung", RUNGS))

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
        """See ``StatefulTokenization``."""
        tokens = np.asarray(self._inner.encode(trace), np.int64)
        columns = np.zeros((len(tokens), 2), np.int64)
        columns[:, 0] = self.number(condition)
        columns[:, 1] = rungs_at(condition, np.cumsum(self.advance[tokens]))
        return tokens, columns

    def number(self, condition: Condition) -> int:
        """Value of the application's column."""
        known = condition.application in self._applications
        return 1 + self._applications.index(condition.application) if known else 0

    def writer(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> PlainWriter:
        """See ``StatefulTokenization``; the network's draws are all there is, so seeds don't matter."""
        return PlainWriter(self, conditions, self._longest)


class PlainWriter:
    """Follows the grammar, and ends a row when its time is full or it holds more tokens than any real trace."""

    def __init__(self, owner: PlainTokenization, conditions: Sequence[Condition], longest: float) -> None:
        self._owner = owner
        self._grammar = owner.grammar()
        self._advance, self._end = owner.advance, owner.end
        self._conditions = list(conditions)
        self._state = np.full(len(conditions), self._grammar.start, np.int64)
        self._seconds = np.zeros(len(conditions))
        self._most = np.array([16 + 1.2 * longest * max(c.duration, 1.0) for c in conditions])
        self._rows = np.arange(len(conditions))
        self._tokens: list[list[int]] = [[] for _ in conditions]
        self._count = 0

    def mask(self) -> NDArray[np.bool_]:
        """See ``benchmark.method.Writer``."""
        legal = self._grammar.legal[self._state].copy()
        due = self._due() & legal[:, self._end]
        open_rows = ~self._due() & (legal.sum(axis=1) > 1)
        legal[due] = False
        legal[due, self._end] = True
        # The end is the network's to choose only once it is due: a rare token drawn early would cut traces short.
        timed = bool(self._advance.any())
        legal[open_rows & timed, self._end] = False
        return np.asarray(legal)

    def columns(self) -> IntArray:
        """See ``benchmark.method.Writer``."""
        out = np.zeros((len(self._state), 2), np.int64)
        for row, condition in enumerate(self._conditions):
            out[row, 0] = self._owner.number(condition)
            out[row, 1] = rungs_at(condition, self._seconds[row : row + 1])[0]
        return out

    def push(self, tokens: IntArray) -> NDArray[np.bool_]:
        """See ``benchmark.method.Writer``."""
        for row, token in zip(self._rows, tokens.tolist(), strict=True):
            self._tokens[row].append(token)
        self._seconds += self._advance[tokens]
        self._state = self._grammar.following[self._state, tokens].astype(np.int64)
        self._count += 1
        return np.asarray((tokens == self._end) | (self._count >= self._most + _GRACE))

    def keep(self, rows: IntArray) -> None:
        """See ``benchmark.method.Writer``."""
        self._state, self._seconds, self._rows = self._state[rows], self._seconds[rows], self._rows[rows]
        self._most = self._most[rows]
        self._conditions = [self._conditions[row] for row in rows]

    def trace(self, row: int, condition: Condition, name: str, seed: int) -> Trace:
        """Decode what an original row has written."""
        trace = self._owner.decode(np.array(self._tokens[row], np.int64))
        return replace(trace, name=name, condition=condition)

    def _due(self) -> NDArray[np.bool_]:
        full = self._seconds >= np.array([c.duration for c in self._conditions])
        return np.asarray(full | (self._count >= self._most))
