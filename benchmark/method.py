"""What a method is: the protocols that a generator and a tokenization keep, and what they are handed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.corpus import Corpus
from benchmark.trace import Condition, Trace

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Context:
    """How many tokens a generator sees at once."""

    length: int


@dataclass(frozen=True)
class Conditioning:
    """What of the condition a generator sees, and how hard it is pushed towards it.

    name: "none", "application", "quality" or "trajectory". dropout: the share of training examples
    whose condition is hidden. guidance: classifier-free guidance scale at sampling, 1 is off.
    """

    name: str
    dropout: float = 0.0
    guidance: float = 1.0


@dataclass(frozen=True)
class Budget:
    """How much work a fit and a sampling may be. Steps rule, so that a seed gives one result; seconds only guard.

    fit_seconds: a fit stops early past it, and says so in its log. cell_seconds: the child is killed past it.
    network, image: sizes for sequence models and for image models, from the budget's YAML.
    """

    name: str
    fit_seconds: float
    cell_seconds: float
    network: Mapping[str, Any] = field(default_factory=dict)
    image: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """Where a generator says how far it is: ``log.report("fit", 10, 500, loss=1.2)``.

    Steps done of a total, with figures; shown as progress, kept as the learning curve, mirrored to wandb.
    """

    write: Callable[[Mapping[str, Any]], None]

    def report(self, what: str, done: int, total: int, **figures: float) -> None:
        """Report ``done`` steps of ``total``, with any figures measured on the way."""
        self.write({"what": what, "done": done, "total": total, **figures})


@dataclass(frozen=True)
class Vocabulary:
    """The names of all tokens, in order of their numbers."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Grammar:
    """Legal next tokens, as a finite automaton.

    legal: bool [states, vocabulary]. following: int32 [states, vocabulary], the state after a legal token.
    start: the state before the first token. A trace may end only where the end token is legal.
    """

    legal: NDArray[np.bool_]
    following: NDArray[np.int32]
    start: int = 0


@runtime_checkable
class Tokenization(Protocol):
    """Turns traces into token sequences and back; may learn from the training traces first."""

    vocabulary: Vocabulary

    def fit(self, traces: Sequence[Trace], seed: int) -> None:
        """Learn codebooks or merges from training traces."""

    def encode(self, trace: Trace) -> IntArray:
        """Return the token numbers of a trace, int64 [tokens]."""

    def decode(self, tokens: IntArray) -> Trace:
        """Return the trace that the tokens describe."""

    def grammar(self) -> Grammar:
        """Return the automaton of legal sequences."""

    def save(self, folder: Path) -> None:
        """Write what was learnt as JSON or safetensors."""

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""


@runtime_checkable
class Generator(Protocol):
    """A method that learns from labelled traces and samples traces for conditions.

    A generator that can only make a fixed number of packets also has ``fixed_packets: int``; the harness then
    extends its samples window by window until the condition's duration is full (``benchmark.stitch``).
    """

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Learn from ``corpus.train``; ``corpus.validation`` may choose between models, test is never seen."""

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one trace a condition, in order."""

    def save(self, folder: Path) -> None:
        """Write the model as safetensors and JSON, never pickle."""

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""


class Method(NamedTuple):
    """The four axes of a leaderboard row, as a generator's ``build`` receives them."""

    options: Mapping[str, Any]
    tokenization: Tokenization | None
    context: Context
    conditioning: Conditioning
