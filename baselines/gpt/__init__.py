"""gpt: a small decoder-only transformer over a tokenization's tokens, its state embedded at every position.

Fitted by a plain loop on the training split, chosen on validation; sampled in batches with a sliding context.
What it learns of a trace with several flows is the tokenization's to say: segments and joint read the largest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from baselines.gpt.conditions import check_scheme, shown
from baselines.gpt.model import Network, Shape
from baselines.gpt.plain import PlainTokenization, stateful
from baselines.gpt.sampling import write_traces
from baselines.gpt.training import Plan, train
from baselines.parts.threads import one_thread
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.method import Budget, Log, Method
from benchmark.synthesis.sketch import largest_flow
from benchmark.trace import Condition, Trace

_SHAPE = ("layers", "width", "heads", "keys", "inner")
_PLAN = ("steps", "batch_tokens", "learning_rate", "weight_decay", "noise", "patience")
_CONDITION = ("application", "rung", "stall", "link", "loss", "delay", "start")


def build(method: Method) -> Gpt:
    """Build the generator. Options: ``batch``, traces sampled at once; those of ``Plan`` and ``Shape``."""
    return Gpt(method)


class Gpt:
    """See the module. name, sizes: of the network, for messages and options; another may take its place."""

    name = "gpt"
    sizes: tuple[str, ...] = _SHAPE

    def __init__(self, method: Method) -> None:
        if method.tokenization is None:
            raise ConfigError(f"{self.name} needs a tokenization; try tokenization=segments")
        check_scheme(method.conditioning.name)
        self._options = dict(method.options)
        self._batch = int(self._options.pop("batch", 32))
        unknown = sorted(set(self._options) - {*self.sizes, *_PLAN})
        if unknown:
            known = ", ".join((*self.sizes, *_PLAN))
            raise ConfigError(f"{self.name} has no option '{unknown[0]}'; it has batch, {known}")
        self._tokenization = stateful(method.tokenization)
        self._context = method.context.length or 256
        self._conditioning = method.conditioning
        self._network: Network | None = None
        self._start = 0
        self._pace: dict[str, float] = {}
        self.figures: dict[str, float] = {}

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Fit the tokenization, then the network; the budget's ``network`` gives its sizes and steps."""
        with one_thread():
            self._fit(corpus, budget, seed, log)

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield one trace a condition; each depends on its own condition, its number and the seed alone."""
        with one_thread():
            yield from self._sample(self._fitted(), conditions, seed)

    def save(self, folder: Path) -> None:
        """Write network and tokenization."""
        network = self._fitted()
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "network.safetensors")
        facts: dict[str, Any] = {
            "shape": {key: getattr(network.shape, key) for key in self.sizes},
            "pace": self._pace,
            "figures": self.figures,
        }
        if isinstance(self._tokenization, PlainTokenization):
            facts["plain"] = self._tokenization.facts()
        (folder / "gpt.json").write_text(json.dumps(facts, indent=1))
        self._tokenization.save(folder / "tokenization")

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote."""
        facts = json.loads((folder / "gpt.json").read_text())
        self._tokenization.load(folder / "tokenization")
        if isinstance(self._tokenization, PlainTokenization):
            self._tokenization.recall(facts["plain"])
        self._network = self._make(facts["shape"])
        self._network.load_state_dict(load_file(folder / "network.safetensors"))
        self._network.eval()
        self._pace, self.figures = facts["pace"], facts["figures"]

    def _fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        sizes = {**budget.network, **self._options}
        train_traces, held = ([self._told(trace) for trace in part] for part in (corpus.train, corpus.validation))
        log.report("tokenize", 0, 1)
        tokenization: Any = self._tokenization
        if "header_epochs" in sizes and hasattr(tokenization, "header_epochs"):
            tokenization.header_epochs = int(sizes["header_epochs"])
        self._tokenization.fit(train_traces, seed)
        sequences = [self._sequence(trace) for trace in train_traces]
        validation = [self._sequence(trace) for trace in held]
        packets = sum(int((trace.flows.index == largest_flow(trace)).sum()) for trace in train_traces)
        tokens = sum(len(sequence[0]) for sequence in sequences)
        log.report("tokenize", 1, 1, tokens=tokens, vocabulary=len(self._tokenization.vocabulary))
        torch.manual_seed(seed)
        self._network = self._make({key: int(sizes[key]) for key in self.sizes if key in sizes})
        plan = Plan(
            **{key: type(getattr(Plan, key))(sizes[key]) for key in _PLAN if key in sizes},
            context=self._context,
            dropout=self._conditioning.dropout,
            condition_columns=self._condition_columns(),
            seconds=budget.fit_seconds,
        )
        loss = train(self._network, sequences, validation, plan, seed, log)
        self._pace = {}
        for trace, (own, _) in zip(corpus.train, sequences, strict=True):
            key = _kind(trace.condition)
            self._pace[key] = max(self._pace.get(key, 0.0), len(own) / max(trace.condition.duration, 1e-3))
        self.figures = {
            "parameters": sum(weight.numel() for weight in self._network.parameters()),
            "tokens_per_packet": getattr(self._tokenization, "tokens_per_packet", tokens / max(1, packets)),
            "validation_loss": loss,
        }

    def _make(self, sizes: Mapping[str, int]) -> Network:
        tokenization = self._tokenization
        # The end stands before the first token too: every sequence begins where another ended.
        self._start = tokenization.vocabulary.names.index("end")
        scored = np.flatnonzero(~tokenization.drawn).tolist()
        columns = [size for _, size in tokenization.columns]
        network = self.new_network(sizes, len(tokenization.vocabulary), columns, scored)
        return network.to("cuda" if torch.cuda.is_available() else "cpu")

    def new_network(
        self, sizes: Mapping[str, int], vocabulary: int, columns: Sequence[int], scored: Sequence[int]
    ) -> Network:
        """Return an untrained network; see ``baselines.gpt.model.Network``."""
        return Network(Shape(**sizes), vocabulary, columns, scored)

    def _sequence(self, trace: Trace) -> tuple[Any, Any]:
        """Tokens and columns, the start token ahead with the state of nothing written."""
        tokens, columns = self._tokenization.encode_with_columns(trace, trace.condition)
        start = self._tokenization.vocabulary.names.index("end")
        before = self._tokenization.writer([trace.condition], [0]).columns()
        return np.concatenate([[start], tokens]), np.concatenate([before, columns])

    def _told(self, trace: Trace) -> Trace:
        return replace(trace, condition=shown(trace.condition, self._conditioning.name))

    def _condition_columns(self) -> tuple[int, ...]:
        return tuple(k for k, (name, _) in enumerate(self._tokenization.columns) if name in _CONDITION)

    def _fitted(self) -> Network:
        if self._network is None:
            raise ConfigError(f"{self.name} was asked for traces before it was fitted or loaded")
        return self._network

    def _sample(self, network: Network, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        seeds = [int(np.random.SeedSequence([seed, k]).generate_state(1)[0]) for k in range(len(conditions))]
        # Rows of about one length finish together, and no step is spent on a nearly empty batch.
        order = sorted(range(len(conditions)), key=lambda k: -self._expected(conditions[k]))
        done: dict[int, Trace] = {}
        due = 0
        for at in range(0, len(order), self._batch):
            chosen = order[at : at + self._batch]
            told = [shown(conditions[k], self._conditioning.name) for k in chosen]
            own = [seeds[k] for k in chosen]
            writer = self._tokenization.writer(told, own)
            write_traces(
                network, writer, own, self._context, self._start,
                self._conditioning.guidance, self._condition_columns(),
            )  # fmt: skip
            for row, k in enumerate(chosen):
                done[k] = writer.trace(row, conditions[k], f"synthetic-{k:04d}", own[row])
            while due in done:
                yield done.pop(due)
                due += 1

    def _expected(self, condition: Condition) -> float:
        """Tokens that a trace of this condition may take, as far as training tells."""
        known = self._pace.get(_kind(condition), max(self._pace.values(), default=1.0))
        return known * condition.duration


def _kind(condition: Condition) -> str:
    """Application and highest rung asked."""
    return f"{condition.application} {max(condition.labels.rung, default=-1)}"
