"""mamba: a selective state-space network over a tokenization's tokens, its state embedded at every position.

Tokens, conditioning, training and sampling are ``gpt``'s (``baselines.gpt``); the network alone differs: Mamba-2
layers (Dao and Gu, ICML 2024) in the place of attention. ``context`` is the length of the training crops; in sampling
nothing is cut off, for what a row has seen is in a state of one size, and a step costs the same at any length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baselines.gpt import Gpt
from baselines.mamba.network import Network, Shape
from benchmark.errors import ConfigError
from benchmark.method import Method

SIZES = ("layers", "width", "state", "channels", "kernel")


def build(method: Method) -> Mamba:
    """Build the generator. Options: ``batch``, traces sampled at once; those of gpt's ``Plan`` and of ``Shape``."""
    return Mamba(method)


class Mamba(Gpt):
    """See the module."""

    name = "mamba"
    sizes = SIZES

    def new_network(  # type: ignore[override]
        self, sizes: Mapping[str, int], vocabulary: int, columns: Sequence[int], scored: Sequence[int]
    ) -> Network:
        """Return an untrained network."""
        shape = Shape(**sizes)
        if shape.inner % shape.channels:
            raise ConfigError(f"mamba: channels ({shape.channels}) must divide twice the width ({shape.inner})")
        return Network(shape, vocabulary, columns, scored)
