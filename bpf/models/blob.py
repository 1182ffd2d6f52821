"""The bytes of a quality model: the layouts of ``bpf/programs/blob.h``, written and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError

NONE, FOREST, LINEAR, MLP = range(4)
KINDS = ("none", "forest", "linear", "mlp")
LABELS = 8
MLP_INPUTS, MLP_HIDDEN, MLP_HIDDEN_2 = 32, 32, 16

HEADER = np.dtype(
    [
        *(("kind", "u1"), ("labels", "u1"), ("exponent", "i1"), ("outputs", "u1"), ("inputs", "u1")),
        *(("hidden", "u1", (2,)), ("padding", "u1"), ("nodes", "<u4"), ("steps", "<u4")),
    ]
)
CAPACITY = np.dtype(
    [
        *(("bytes", "<u4"), ("nodes", "<u4"), ("steps", "<u4"), ("kind", "u1"), ("outputs", "u1")),
        *(("inputs", "u1"), ("hidden", "u1", (2,)), ("padding", "u1", (3,))),
    ]
)
NODE = np.dtype([("value", "<u4"), ("next", "<u2"), ("place", "u1"), ("vote", "u1")])
INPUT = np.dtype([("mean", "<i2"), ("factor", "<u2"), ("feature", "u1"), ("padding", "u1", (3,))])
NEURON = np.dtype([("bias", "<i4"), ("factor", "<u2"), ("shift", "u1"), ("padding", "u1")])
BIAS, WEIGHT, SMALL = np.dtype("<i4"), np.dtype("<i2"), np.dtype("i1")

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Parts:
    """A blob taken apart: its header, HEADER [], and its arrays in their order.

    forest: (NODE [nodes],). linear: (BIAS [LABELS], WEIGHT [inputs, outputs]). mlp: (INPUT [inputs], then NEURON of
    each of three layers, then their weights, SMALL [neurons, inputs of the layer]).
    """

    header: Array
    arrays: tuple[Array, ...]


def join(header: dict[str, Any], arrays: Sequence[Array]) -> bytes:
    """Return the blob of a header's fields and the arrays behind it. Raises ConfigError where no program takes it."""
    head = np.zeros((), HEADER)
    for name, value in header.items():
        head[name] = value
    blob = b"".join([head.tobytes(), *(np.ascontiguousarray(array).tobytes() for array in arrays)])
    return blob + bytes(-len(blob) % 8)


def split(blob: bytes) -> Parts:
    """Take a blob apart. Raises ValueError for one that is cut short or of no known kind."""
    header = np.frombuffer(blob, HEADER, 1)[0]
    kind, inputs, outputs = (int(header[name]) for name in ("kind", "inputs", "outputs"))
    if kind == FOREST:
        layout: list[tuple[np.dtype[Any], tuple[int, ...]]] = [(NODE, (int(header["nodes"]),))]
    elif kind == LINEAR:
        layout = [(BIAS, (LABELS,)), (WEIGHT, (inputs, outputs))]
    elif kind == MLP:
        widths = (inputs, *(int(width) for width in header["hidden"]), outputs)
        layout = [(INPUT, (inputs,)), *((NEURON, (width,)) for width in widths[1:])]
        layout += [(SMALL, (widths[k + 1], widths[k])) for k in range(3)]
    else:
        raise ValueError(f"no quality model is of kind {kind}")
    arrays, at = [], HEADER.itemsize
    for kind_of, shape in layout:
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(blob, kind_of, count, at).reshape(shape))
        at += count * kind_of.itemsize
    return Parts(header, tuple(arrays))


def capacity_of(blob: bytes) -> Array:
    """Return the least capacity that takes a model, CAPACITY []: a C ``struct capacity`` of a little-endian machine."""
    header = np.frombuffer(blob, HEADER, 1)[0]
    capacity = np.zeros((), CAPACITY)
    capacity["bytes"] = len(blob)
    for name in ("nodes", "steps", "kind", "outputs", "inputs", "hidden"):
        capacity[name] = header[name]
    return capacity


def no_capacity() -> Array:
    """Return the capacity of a program without a model."""
    capacity = np.zeros((), CAPACITY)
    capacity["bytes"] = HEADER.itemsize
    return capacity


def fits(blob: bytes, capacity: Array) -> bool:
    """Tell whether a model can go live in a program that was loaded with ``capacity``."""
    own = capacity_of(blob)
    if any(own[name] > capacity[name] for name in ("bytes", "nodes", "steps")):
        return False
    return all(np.array_equal(own[name], capacity[name]) for name in ("kind", "outputs", "inputs", "hidden"))


def padded(blob: bytes, capacity: Array) -> bytes:
    """Return the whole content of a slot. Raises ConfigError where the model doesn't fit it."""
    if not fits(blob, capacity):
        raise ConfigError("the model needs another capacity than the program was loaded with; load the probe again")
    return blob.ljust(int(capacity["bytes"]), b"\0")


def swapped(blob: bytes) -> bytes:
    """Return the same model for a big-endian machine."""
    parts = split(blob)
    arrays = [array.astype(array.dtype.newbyteorder(">")) for array in parts.arrays]
    body = b"".join([parts.header.astype(HEADER.newbyteorder(">")).tobytes(), *(array.tobytes() for array in arrays)])
    return body + bytes(-len(body) % 8)
