"""The quality models in numpy integers: what ``bpf/programs/model.h`` computes, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.quality.models import levels
from bpf.models.blob import FOREST, LABELS, LINEAR, Parts, split

IntArray = NDArray[np.int64]


def predict(blob: bytes, rows: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Return (label, score) of rows of features.

    rows: uint32 [n, features]. label: int64 [n], the class chosen, 0 of a regression. score: int64 [n], the sum of
    the class chosen or the number itself, times 2^exponent. Raises ValueError for a blob whose chain of trees doesn't
    end.
    """
    labels = int(split(blob).header["labels"])
    found = sums(blob, rows)
    if not labels:
        return np.zeros(len(found), np.int64), found[:, 0]
    open_classes = np.array([labels >> k & 1 for k in range(LABELS)], bool)
    label = np.argmax(np.where(open_classes, found, np.iinfo(np.int64).min), axis=1)
    return label.astype(np.int64), found[np.arange(len(found)), label]


def sums(blob: bytes, rows: NDArray[Any]) -> IntArray:
    """Return the sums of all classes, int64 [n, LABELS], each within 32 bits."""
    parts = split(blob)
    kind = parts.header["kind"]
    wide = np.asarray(rows).astype(np.int64)
    found = _forest(parts, wide) if kind == FOREST else _linear(parts, wide) if kind == LINEAR else _mlp(parts, wide)
    return (found + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _forest(parts: Parts, rows: IntArray) -> IntArray:
    nodes = parts.arrays[0]
    value, following, place = (nodes[name].astype(np.int64) for name in ("value", "next", "place"))
    weight = nodes["value"].astype(np.int32).astype(np.int64)
    vote = nodes["vote"] != 0
    found = np.zeros((len(rows), LABELS), np.int64)
    at = np.zeros(len(rows), np.int64)
    alive = np.arange(len(rows))
    for _ in range(int(parts.header["steps"])):
        here = at[alive]
        votes = vote[here]
        np.add.at(found, (alive[votes], place[here[votes]] % LABELS), weight[here[votes]])
        right = ~votes & (rows[alive, np.where(votes, 0, place[here])] > value[here])
        at[alive] = following[here] + right
        alive = alive[~(votes & (following[here] == 0))]
        if not len(alive):
            return found
    if len(rows):
        raise ValueError("the chain of trees doesn't end within its steps")
    return found


def _linear(parts: Parts, rows: IntArray) -> IntArray:
    bias, weights = (array.astype(np.int64) for array in parts.arrays)
    found = np.zeros((len(rows), LABELS), np.int64)
    outputs = weights.shape[1]
    found[:, :outputs] = bias[:outputs] + levels(rows[:, : len(weights)]) @ weights
    return found


def _mlp(parts: Parts, rows: IntArray) -> IntArray:
    inputs, *layers = parts.arrays
    neurons, weights = layers[:3], [array.astype(np.int64) for array in layers[3:]]
    level = 16 * levels(rows[:, inputs["feature"]]) - inputs["mean"].astype(np.int64)
    signal = np.clip((level * inputs["factor"] + 0x8000) >> 16, -127, 127)
    for layer in range(2):
        total = neurons[layer]["bias"] + signal @ weights[layer].T
        factor, shift = (neurons[layer][name].astype(np.int64) for name in ("factor", "shift"))
        signal = np.minimum((np.maximum(total, 0) >> 4) * factor + (1 << shift >> 1) >> shift, 255)
    found = np.zeros((len(rows), LABELS), np.int64)
    found[:, : len(neurons[2])] = neurons[2]["bias"] + signal @ weights[2].T
    return found
