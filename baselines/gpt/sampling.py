"""Batched sampling: a writer says what may come and what the state is, the network chooses, rows end and leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from baselines.gpt.model import Network
from benchmark.method import Writer

_BLOCK = 512


@torch.inference_mode()
def write_traces(
    network: Network,
    writer: Writer,
    seeds: Sequence[int],
    context: int,
    start: int,
    guidance: float = 1.0,
    condition_columns: Sequence[int] = (),
) -> int:
    """Drive a writer to the end of all its rows at temperature 1; return the number of tokens written.

    start: the token that stands before the first. guidance: how far to go beyond what the condition alone says
    (Ho and Salimans 2022); other than 1, every row is run a second time with ``condition_columns`` hidden.
    """
    device = network.head.weight.device
    rows = len(seeds)
    guided = guidance != 1.0 and len(condition_columns) > 0
    decoder = network.decoder(rows * (2 if guided else 1), context)
    streams = [np.random.default_rng([seed, 2]) for seed in seeds]
    uniforms = np.zeros((rows, _BLOCK), np.float32)
    chosen = network.chosen.cpu().numpy()
    slot = np.full(network.token.num_embeddings, -1, np.int64)
    slot[chosen] = np.arange(len(chosen))
    tokens = np.full(rows, start, np.int64)
    columns = writer.columns()
    step = written = 0
    while rows:
        if step % _BLOCK == 0:
            for row, stream in enumerate(streams):
                uniforms[row] = stream.random(_BLOCK, dtype=np.float32)
        x = network.embed(torch.from_numpy(tokens).to(device), torch.from_numpy(columns).to(device))
        if guided:
            bare = columns.copy()
            bare[:, list(condition_columns)] = 0
            x = torch.cat([x, network.embed(torch.from_numpy(tokens).to(device), torch.from_numpy(bare).to(device))])
        scores = decoder.step(x)
        if guided:
            told, untold = scores.chunk(2)
            scores = untold + guidance * (told - untold)
        mask = writer.mask()
        picks = choose(scores, torch.from_numpy(mask[:, chosen]).to(device), uniforms[:, step % _BLOCK])
        tokens = chosen[picks]
        alone = np.flatnonzero(~mask[np.arange(rows), tokens])
        # What isn't the network's to choose stands alone in its mask.
        tokens[alone] = mask[alone].argmax(axis=1)
        ended = writer.push(tokens)
        written += rows
        step += 1
        if ended.any():
            left = np.flatnonzero(~ended)
            writer.keep(left)
            index = torch.from_numpy(np.concatenate([left, left + rows]) if guided else left).to(device)
            decoder.keep(index)
            tokens, uniforms, streams = tokens[left], uniforms[left], [streams[row] for row in left]
            rows = len(left)
        columns = writer.columns()
    return written


def choose(scores: Tensor, mask: Tensor, uniforms: np.ndarray) -> np.ndarray:
    """Draw one legal token a row by its probability: scores and mask [rows, tokens], uniforms [rows]."""
    shares = torch.softmax(scores.masked_fill(~mask, -1e30), -1) * mask
    reached = shares.cumsum(-1)
    target = torch.from_numpy(uniforms).to(scores.device)[:, None] * reached[:, -1:]
    return np.asarray((reached > target).int().argmax(-1).cpu().numpy())
