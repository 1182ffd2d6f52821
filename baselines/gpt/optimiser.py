"""What changes the weights: Muon for the matrices inside the network, AdamW for tables, norms and what scores.

Muon (Jordan et al. 2024) takes steps with all directions of a matrix alike. On packet tokens as many steps end at a
loss that AdamW alone (Loshchilov and Hutter 2019) needs about twice the steps for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

MATRIX_RATE = 0.02


class Optimiser:
    """Both, under one schedule: ``follow(share)`` sets their rates to a share of the full ones."""

    def __init__(self, network: nn.Module, learning_rate: float, weight_decay: float) -> None:
        """network: its tables are those of an ``nn.Embedding`` and of a layer named ``head``."""
        tables = {id(part.weight) for part in network.modules() if isinstance(part, nn.Embedding)}
        inner = [
            weight
            for name, weight in network.named_parameters()
            if weight.ndim == 2 and id(weight) not in tables and not name.startswith("head.")
        ]
        chosen = {id(weight) for weight in inner}
        rest = [weight for weight in network.parameters() if id(weight) not in chosen]
        self._parts: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.AdamW(rest, learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay), learning_rate)
        ]
        if inner:
            self._parts.append((torch.optim.Muon(inner, MATRIX_RATE, weight_decay=weight_decay), MATRIX_RATE))

    def follow(self, share: float) -> None:
        """Set all rates to a share of the full ones."""
        for part, rate in self._parts:
            for group in part.param_groups:
                group["lr"] = share * rate

    def step(self) -> None:
        """Change the weights by their gradients, then forget these."""
        for part, _ in self._parts:
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """What ``resume`` needs to go on."""
        return [part.state_dict() for part, _ in self._parts]

    def resume(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on from what ``state`` returned."""
        for (part, _), state in zip(self._parts, states, strict=True):
            part.load_state_dict(dict(state))
