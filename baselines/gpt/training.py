"""A plain training loop: random crops of the training sequences, a cosine, the best state on validation.

It goes on from where it was killed, stops when validation no longer gains, computes in bfloat16 on a GPU, and spreads
its rows over the GPUs that there are (``processes``). One process on one machine gives one result by one seed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from baselines.gpt.checkpoint import State, read_checkpoint, write_checkpoint
from baselines.gpt.crops import draw_crops, hide_conditions
from baselines.gpt.model import Network
from baselines.gpt.optimiser import Optimiser
from benchmark.method import IntArray, Log

if TYPE_CHECKING:
    from accelerate import Accelerator

_IGNORED = -100
_CHECKS = 10  # on validation, evenly over the steps
Sequences = Sequence[tuple[IntArray, IntArray]]


@dataclass(frozen=True)
class Plan:
    """How long and how to train. condition_columns: those hidden together at the rate ``dropout``.

    noise: the share of token embeddings hidden, so that the state is not forgotten for the context.
    patience: checks on validation, of ten, without a gain after which training stops; 0 is never.
    seconds: a guard on the time that all runs of one training take together.
    """

    steps: int = 600
    batch_tokens: int = 2048
    learning_rate: float = 0.01
    weight_decay: float = 0.05
    context: int = 256
    noise: float = 0.0
    patience: int = 5
    dropout: float = 0.0
    condition_columns: tuple[int, ...] = ()
    seconds: float = 1e9

    @property
    def rows(self) -> int:
        """Crops of a step."""
        return max(1, self.batch_tokens // self.context)

    def rate(self, step: int) -> float:
        """Share of the full learning rate at a step: a short rise, then a cosine down to a twentieth."""
        warm = min(50, self.steps // 5 + 1)
        return float(min((step + 1) / warm, 0.05 + 0.95 * (0.5 + 0.5 * np.cos(np.pi * step / self.steps))))


def train(network: Network, sequences: Sequences, validation: Sequences, plan: Plan, seed: int, log: Log) -> float:
    """Train on sequences of tokens [n] and state columns [n, k]; leave the state that was best on validation.

    Goes on from ``log.keep`` if a training of this plan and seed was left there. Returns the best validation loss,
    nats a token (the training loss where there is no validation).
    """
    from baselines.gpt.processes import count_processes, train_in_processes

    processes = count_processes(plan.rows)
    if processes > 1:
        return train_in_processes(processes, network, sequences, validation, plan, seed, log)
    return train_here(network, sequences, validation, plan, seed, log)


def train_here(network: Network, sequences: Sequences, validation: Sequences, plan: Plan, seed: int, log: Log) -> float:
    """Train in this process: all rows, or its share where it is one of several that were started together."""
    # Loaded here, since it takes seconds that no other command should wait for.
    from accelerate import Accelerator, DistributedDataParallelKwargs

    on_gpu = network.head.weight.is_cuda
    with _deterministic(on_gpu):
        accelerator = Accelerator(
            cpu=not on_gpu,
            mixed_precision="bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no",
            # Llama brings a table of its own tokens, which nothing here looks up.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        return _Training(accelerator, network, sequences, validation, plan, seed, log).run()


class _Training:
    def __init__(
        self, accelerator: Accelerator, network: Network, sequences: Sequences, validation: Sequences,
        plan: Plan, seed: int, log: Log,
    ) -> None:  # fmt: skip
        self.accelerator, self.plan, self.log = accelerator, plan, log
        self.network = network.to(accelerator.device)
        self.sequences, self.validation = sequences, validation
        self.device = accelerator.device
        self.slot = torch.full((network.token.num_embeddings,), _IGNORED, dtype=torch.long, device=self.device)
        self.slot[network.chosen] = torch.arange(len(network.chosen), device=self.device)
        self.held = draw_crops(validation, 2 * plan.rows, plan.context, np.random.default_rng(0))
        optimiser = Optimiser(network, plan.learning_rate, plan.weight_decay)
        self.state = State(network, optimiser, np.random.default_rng(seed))
        self.name = f"{replace(plan, seconds=0)} seed {seed}"
        self.main = accelerator.is_main_process

    def run(self) -> float:
        """Take the steps that are left, and return the best loss."""
        plan, every = self.plan, max(1, self.plan.steps // _CHECKS)
        if self.log.keep and read_checkpoint(self.log.keep, self.state, self.name):
            self._tell_again()
        progress, network = self.state.progress, self.network
        before, began = progress.seconds, time.monotonic()
        model = self.accelerator.prepare_model(network)
        try:
            while progress.step < plan.steps and not progress.ended:
                loss = self._step(model)
                progress.step += 1
                progress.seconds = before + time.monotonic() - began
                late = self._any(progress.seconds > plan.seconds)
                if progress.step % every == 0 or progress.step == plan.steps or late:
                    self._check(loss, late)
        finally:
            self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        if self.state.best:
            network.load_state_dict(self.state.best)
        network.eval()
        return progress.best

    def _step(self, model: nn.Module) -> Tensor:
        """Change the weights by one batch; return its loss, of this process's rows where there are several."""
        plan, random, accelerator = self.plan, self.state.random, self.accelerator
        # Every process draws the whole batch and takes its rows, so that their number changes no draw.
        own = slice(accelerator.process_index, None, accelerator.num_processes)
        tokens, columns = draw_crops(self.sequences, plan.rows, plan.context, random)
        columns = hide_conditions(columns, plan.condition_columns, plan.dropout, random)
        kept = None
        if plan.noise:
            kept = torch.tensor(random.random(tokens[:, :-1].shape) >= plan.noise).float()[own].to(self.device)
        model.train()
        total, count = self._loss(model, tokens[own].to(self.device), columns[own].to(self.device), kept)
        if accelerator.num_processes > 1:
            # Gradients are averaged over processes; what's wanted is the mean over all tokens.
            count = accelerator.reduce(count, "sum")
            total = total * accelerator.num_processes
        loss = total / count.clamp(min=1)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
        self.state.optimiser.follow(plan.rate(self.state.progress.step))
        self.state.optimiser.step()
        return loss.detach()

    def _check(self, loss: Tensor, late: bool) -> None:
        """Look at validation; remember the best weights, decide whether to stop, and leave a checkpoint."""
        progress, plan = self.state.progress, self.plan
        loss = self.accelerator.reduce(loss, "mean")
        checked = float(loss)
        if self.validation:
            self.network.eval()
            with torch.no_grad():
                tokens, columns = (part.to(self.device) for part in self.held)
                total, count = self._loss(self.network, tokens, columns, None)
            checked = float(total / count.clamp(min=1))
        progress.curve.append({"step": progress.step, "loss": float(loss), "validation_loss": checked})
        self._report("fit", loss=float(loss), validation_loss=checked)
        progress.stale += 1
        if checked < progress.best:
            progress.best, progress.stale = checked, 0
            self.state.best = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        # A training loss is that of one batch, which says too little to stop for.
        waited = bool(self.validation) and 0 < plan.patience <= progress.stale
        if progress.step < plan.steps and late:
            self._report("fit stopped by its time limit")
        elif progress.step < plan.steps and waited:
            self._report("fit stopped early", checks_without_gain=progress.stale)
        progress.ended = self._any(late or waited)
        if self.main and self.log.keep:
            write_checkpoint(self.log.keep, self.state, self.name)

    def _loss(self, model: nn.Module, tokens: Tensor, columns: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy summed over the tokens that the network has to choose, and their number."""
        scores = model(tokens[:, :-1], columns[:, :-1], kept)
        wanted = self.slot[tokens[:, 1:]].flatten()
        total = nn.functional.cross_entropy(scores.flatten(0, 1), wanted, ignore_index=_IGNORED, reduction="sum")
        return total, (wanted != _IGNORED).sum()

    def _any(self, told: bool) -> bool:
        """Whether any process was told so: all of them must stop at one step."""
        if self.accelerator.num_processes == 1:
            return told
        return bool(self.accelerator.reduce(torch.tensor(float(told), device=self.device), "sum"))

    def _report(self, what: str, **figures: float) -> None:
        if self.main:
            self.log.report(what, self.state.progress.step, self.plan.steps, **figures)

    def _tell_again(self) -> None:
        """Report what was reported before the training was killed, so that the curve is whole."""
        progress = self.state.progress
        if not self.main:
            return
        for row in progress.curve:
            figures = {name: value for name, value in row.items() if name != "step"}
            self.log.report("fit", int(row["step"]), self.plan.steps, **figures)
        self.log.resume(progress.step, self.plan.steps, progress.seconds)


@contextmanager
def _deterministic(on_gpu: bool) -> Iterator[None]:
    """Have a GPU add in one order, as a CPU's single thread does."""
    if not on_gpu:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
