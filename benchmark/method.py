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
RESUMED = "fit resumed"


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
    traces: how many traces are sampled, None for one a training trace. pairs: how many pairs of short traces are
    sampled beside them for low and high quality, all else alike.
    """

    name: str
    fit_seconds: float
    cell_seconds: float
    network: Mapping[str, Any] = field(default_factory=dict)
    image: Mapping[str, Any] = field(default_factory=dict)
    traces: int | None = None
    pairs: int = 0


@dataclass(frozen=True)
class Log:
    """Where a generator says how far it is: ``log.report("fit", 10, 500, loss=1.2)``.

    Steps done of a total, with figures; shown as progress, kept as the learning curve, mirrored to wandb.
    keep: a folder that outlives a killed fit; one that left its state there may go on from it, and a finished fit's
    folder is removed. It is the same fit's alone: same code, data, settings and seed. None where nothing can be kept.
    """

    write: Callable[[Mapping[str, Any]], None]
    keep: Path | None = None

    def report(self, what: str, done: int, total: int, **figures: float) -> None:
        """Report ``done`` steps of ``total``, with any figures measured on the way."""
        self.write({"what": what, "done": done, "total": total, **figures})

    def resume(self, done: int, total: int, seconds: float) -> None:
        """Report that a fit goes on from ``keep``, after ``seconds`` of work there, which count as its own."""
        self.write({"what": RESUMED, "done": done, "total": total, "seconds": seconds})


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


class Writer(Protocol):
    """Writes a batch of traces token by token, one row a trace; knows what may come next in each."""

    def mask(self) -> NDArray[np.bool_]:
        """Return the legal next tokens, bool [rows, vocabulary]; a token the writer draws itself stands alone."""

    def columns(self) -> IntArray:
        """Return the state after the last token, int64 [rows, columns]; see ``StatefulTokenization.columns``."""

    def push(self, tokens: IntArray) -> NDArray[np.bool_]:
        """Take one token a row, int64 [rows]; return which rows have ended."""

    def keep(self, rows: IntArray) -> None:
        """Go on with these rows only."""

    def trace(self, row: int, condition: Condition, name: str, seed: int) -> Trace:
        """Return what a row has written so far as a valid trace."""


@runtime_checkable
class StatefulTokenization(Tokenization, Protocol):
    """A tokenization with a state that a network should see at every position, and that keeps its own time.

    columns: name and number of values of each state column; a value is below its number.
    drawn: bool [vocabulary], tokens that the writer draws itself, so that no loss is taken on them.
    """

    columns: Sequence[tuple[str, int]]
    drawn: NDArray[np.bool_]

    def encode_with_columns(self, trace: Trace, condition: Condition) -> tuple[IntArray, IntArray]:
        """Return tokens [n] and the state after each, [n, columns], as seen by one who was told ``condition``."""

    def writer(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> Writer:
        """Start one trace a condition; a row's result depends on its own condition and seed alone."""


@runtime_checkable
class Generator(Protocol):
    """A method that learns from labelled traces and samples traces for conditions.

    A generator that can only make a fixed number of packets also has ``fixed_packets: int``; the harness then
    extends its samples window by window until the condition's duration is full (``benchmark.synthesis.stitch``).
    One that has ``figures``, a mapping, says of itself how many ``parameters`` it learnt, and ``tokens_per_packet``
    where it has tokens; the record's costs are taken from there.
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
