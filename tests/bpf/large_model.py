"""A model as large as the rebuilt ones may be: what the verifier walks depends on its capacity alone."""

from __future__ import annotations

import numpy as np

from bpf.models.blob import FOREST, NODE, join
from bpf.models.trees import NODES


def make_largest(trees: int = 100, depth: int = 16) -> bytes:
    """Return a forest that has as many nodes as can be numbered, and takes as many steps as such trees take at most."""
    header = {"kind": FOREST, "labels": 0, "outputs": 1, "nodes": NODES, "steps": trees * (depth + 1)}
    votes = np.zeros(NODES, NODE)
    votes["vote"] = 1
    return join(header, [votes])
