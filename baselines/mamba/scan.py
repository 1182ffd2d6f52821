"""The selective state-space recurrence, in chunks of matrix products and step by step.

For every head a state [size, channels] decays and takes in what comes, and is read out:

    state_t = exp(rate_t) state_{t-1} + outer(into_t, x_t)        y_t = out_t @ state_t

Within a chunk it is a masked product like attention's, and only the states at the chunks' ends go from one to the
next: state-space duality (Dao and Gu, "Transformers are SSMs", ICML 2024, listing 1). That is what makes a scan
usable on a CPU, where a step at a time would wait on Python and a step's few operations on memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 64


def scan(x: Tensor, rate: Tensor, into: Tensor, out: Tensor, chunk: int = CHUNK) -> Tensor:
    """Run the recurrence from a state of zeros over all positions.

    x: [rows, t, heads, channels], already times the step's width. rate: [rows, t, heads], at most 0. into, out:
    [rows, t, size], shared by the heads. Returns y, [rows, t, heads, channels].
    """
    rows, length, heads, channels = x.shape
    short = -length % chunk
    if short:
        x, rate, into, out = (
            torch.nn.functional.pad(part, (*(0, 0) * (part.dim() - 2), 0, short)) for part in (x, rate, into, out)
        )
    chunks = x.shape[1] // chunk
    x = x.view(rows, chunks, chunk, heads, channels).transpose(2, 3)  # [rows, chunks, heads, chunk, channels]
    decay = rate.view(rows, chunks, chunk, heads).transpose(2, 3).cumsum(-1)  # [rows, chunks, heads, chunk]
    into, out = into.view(rows, chunks, chunk, -1), out.view(rows, chunks, chunk, -1)
    # What position s left over at t: exp of the rates between them, nothing where s comes after t.
    gap = decay[..., :, None] - decay[..., None, :]
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    weight = (out @ into.transpose(2, 3))[:, :, None] * gap.masked_fill(later, -torch.inf).exp()
    y = weight @ x
    left = (decay[..., -1:] - decay).exp()[..., None] * x
    added = into.transpose(2, 3)[:, :, None] @ left  # [rows, chunks, heads, size, channels]
    whole = decay[..., -1].exp()[..., None, None]
    state, before = torch.zeros_like(added[:, 0]), []
    for k in range(chunks):
        before.append(state)
        state = whole[:, k] * state + added[:, k]
    y = y + (out[:, :, None] @ torch.stack(before, 1)) * decay.exp()[..., None]
    return y.transpose(2, 3).reshape(rows, chunks * chunk, heads, channels)[:, :length]


def step(state: Tensor, x: Tensor, rate: Tensor, into: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Take one position more; return y [rows, heads, channels] and the state [rows, heads, size, channels].

    x: [rows, heads, channels]. rate: [rows, heads]. into, out: [rows, size].
    """
    state = state * rate.exp()[..., None, None] + into[:, None, :, None] * x[:, :, None, :]
    return (out[:, None, None, :] @ state).squeeze(2), state
