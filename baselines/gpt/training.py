"""A plain training loop: random crops of the training sequences, AdamW, a cosine, the best state on validation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from baselines.gpt.model import Network
from benchmark.method import IntArray, Log

_IGNORED = -100
_STARTS = 0.15  # share of the crops that are the start of a trace


@dataclass(frozen=True)
class Plan:
    """How long and how to train. condition_columns: those hidden together at the rate ``dropout``.

    noise: the share of token embeddings hidden, so that the state is not forgotten for the context.
    """

    steps: int = 600
    batch_tokens: int = 2048
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    context: int = 256
    noise: float = 0.0
    dropout: float = 0.0
    condition_columns: tuple[int, ...] = ()
    seconds: float = 1e9


def train(
    network: Network,
    sequences: Sequence[tuple[IntArray, IntArray]],
    validation: Sequence[tuple[IntArray, IntArray]],
    plan: Plan,
    seed: int,
    log: Log,
) -> float:
    """Train on sequences of tokens [n] and state columns [n, k]; leave the state that was best on validation.

    Returns the best validation loss, nats a token (the training loss where there is no validation).
    """
    random = np.random.default_rng(seed)
    device = network.head.weight.device
    slot = torch.full((network.token.num_embeddings,), _IGNORED, dtype=torch.long, device=device)
    slot[network.chosen] = torch.arange(len(network.chosen), device=device)
    optimiser = torch.optim.AdamW(
        network.parameters(), plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )
    warm = min(50, plan.steps // 5 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm, 0.05 + 0.95 * (0.5 + 0.5 * np.cos(np.pi * min(1, step / plan.steps)))),
    )
    rows = max(1, plan.batch_tokens // plan.context)
    held = _crops(validation, 2 * rows, plan.context, np.random.default_rng(0))
    began, best, state = time.monotonic(), float("inf"), None
    every = max(1, plan.steps // 10)
    for step in range(plan.steps):
        tokens, columns = (part.to(device) for part in _crops(sequences, rows, plan.context, random))
        columns = _hide(columns, plan, random)
        kept = None
        if plan.noise:
            kept = torch.tensor(random.random(tokens[:, :-1].shape) >= plan.noise, device=device).float()
        network.train()
        loss = _loss(network, tokens, columns, kept, slot)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        late = time.monotonic() - began > plan.seconds
        if (step + 1) % every and step + 1 < plan.steps and not late:
            continue
        network.eval()
        with torch.no_grad():
            checked = _loss(network, *(part.to(device) for part in held), None, slot) if validation else loss
        log.report("fit", step + 1, plan.steps, loss=float(loss.detach()), validation_loss=float(checked.detach()))
        if float(checked.detach()) < best:
            best, state = (
                float(checked.detach()),
                {k: v.detach().clone() for k, v in network.state_dict().items()},
            )
        if late:
            log.report("fit stopped by its time limit", step + 1, plan.steps)
            break
    if state is not None:
        network.load_state_dict(state)
    network.eval()
    return best


def _loss(network: Network, tokens: Tensor, columns: Tensor, kept: Tensor | None, slot: Tensor) -> Tensor:
    """Mean cross-entropy of the tokens that the network has to choose; 0 where a batch has none."""
    scores = network(tokens[:, :-1], columns[:, :-1], kept)
    wanted = slot[tokens[:, 1:]]
    total = nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=_IGNORED, reduction="sum")
    return total / (wanted != _IGNORED).sum().clamp(min=1)


def _hide(columns: Tensor, plan: Plan, random: np.random.Generator) -> Tensor:
    """Hide the condition of some crops, for guidance at sampling (Ho and Salimans 2022)."""
    if not plan.dropout or not plan.condition_columns:
        return columns
    hidden = torch.tensor(random.random(len(columns)) < plan.dropout, device=columns.device)
    for column in plan.condition_columns:
        columns[hidden, :, column] = 0
    return columns


def _crops(
    sequences: Sequence[tuple[IntArray, IntArray]], rows: int, context: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw crops of ``context`` + 1 tokens, [rows, context + 1].

    Traces are drawn by the root of their length, so that slow ones, which have as many windows, aren't drowned; a
    share of the crops are the starts of traces, which differ from all that follows. A crop beyond a sequence's end is
    filled with its last token, the end.
    """
    weights = np.sqrt([len(tokens) for tokens, _ in sequences])
    width = context + 1
    tokens = torch.zeros((rows, width), dtype=torch.long)
    if not len(weights):
        return tokens, torch.zeros((rows, width, 0), dtype=torch.long)
    columns = torch.zeros((rows, width, sequences[0][1].shape[1]), dtype=torch.long)
    for row, pick in enumerate(random.choice(len(sequences), rows, p=weights / weights.sum())):
        source, state = sequences[pick]
        start = 0 if random.random() < _STARTS else int(random.integers(max(1, len(source) - width + 1)))
        own = source[start : start + width]
        tokens[row, : len(own)] = torch.from_numpy(own)
        tokens[row, len(own) :] = int(source[-1])
        columns[row, : len(own)] = torch.from_numpy(state[start : start + width])
    return tokens, columns
