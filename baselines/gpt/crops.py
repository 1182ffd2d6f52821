"""What a step of training sees: random crops of the training sequences, some without their condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.method import IntArray

_STARTS = 0.25  # share of the crops that are the start of a trace


def draw_crops(
    sequences: Sequence[tuple[IntArray, IntArray]], rows: int, context: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw crops of ``context`` + 1 tokens, [rows, context + 1], and their columns, [rows, context + 1, k].

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


def hide_conditions(columns: Tensor, hidden: Sequence[int], rate: float, random: np.random.Generator) -> Tensor:
    """Hide the columns ``hidden`` of some crops, for guidance at sampling (Ho and Salimans 2022)."""
    if not rate or not hidden:
        return columns
    rows = torch.tensor(random.random(len(columns)) < rate, device=columns.device)
    for column in hidden:
        columns[rows, :, column] = 0
    return columns
