"""An unfinished training on disk: one safetensors file, whole or not there, from which it ends as if never stopped."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from baselines.gpt.optimiser import Optimiser

FILE = "training.safetensors"
_FACTS = "training"


@dataclass
class Progress:
    """How far a training is. best: least loss of a check, nats a token. stale: checks since that one.

    seconds: spent on training, by all runs of it. ended: whether there is nothing left to do. curve: a row a check.
    """

    step: int = 0
    best: float = math.inf
    stale: int = 0
    seconds: float = 0.0
    ended: bool = False
    curve: list[dict[str, float]] = field(default_factory=list)


@dataclass
class State:
    """All that a step of training depends on and changes. best: the weights of the best check, empty before any."""

    network: nn.Module
    optimiser: Optimiser
    random: np.random.Generator
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)


def write_checkpoint(folder: Path, state: State, name: str) -> None:
    """Write a training aside, then rename it over the last checkpoint. name: what tells it from other trainings."""
    tensors = {f"now/{key}": value for key, value in state.network.state_dict().items()}
    tensors |= {f"best/{key}": value for key, value in state.best.items()}
    for part, kept in enumerate(state.optimiser.state()):
        for weight, values in kept["state"].items():
            tensors |= {f"optimiser/{part}/{weight}/{key}": value for key, value in values.items()}
    tensors |= {f"random/{key}": value for key, value in _torch_random().items()}
    facts = {"name": name, "progress": asdict(state.progress), "random": state.random.bit_generator.state}
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{FILE}"
    save_file(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, aside, {_FACTS: json.dumps(facts)}
    )
    with open(aside, "rb") as file:
        os.fsync(file.fileno())
    os.replace(aside, folder / FILE)


def read_checkpoint(folder: Path, state: State, name: str) -> bool:
    """Bring ``state`` to where the last checkpoint left it; tell whether there was one of that name."""
    path = folder / FILE
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get(_FACTS, "{}"))
            if facts.get("name") != name:
                return False
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a mapping
    except SafetensorError:
        return False  # a disk that lost what it had flushed: the fit begins anew
    state.network.load_state_dict(_below(tensors, "now"))
    state.optimiser.resume(_optimiser_states(state.optimiser, tensors))
    state.random.bit_generator.state = facts["random"]
    state.progress = Progress(**facts["progress"])
    device = next(state.network.parameters()).device
    state.best = {key: value.to(device) for key, value in _below(tensors, "best").items()}
    torch.set_rng_state(tensors["random/cpu"])
    if torch.cuda.is_available() and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return True


def _torch_random() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _optimiser_states(optimiser: Optimiser, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Return what ``Optimiser.resume`` takes; rates and the like are those that the training was built with."""
    states: list[dict[str, Any]] = []
    for part, fresh in enumerate(optimiser.state()):
        found: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"optimiser/{part}").items():
            weight, name = key.split("/")
            found.setdefault(int(weight), {})[name] = value
        states.append({"state": found, "param_groups": fresh["param_groups"]})
    return states


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}/"): value for key, value in tensors.items() if key.startswith(f"{prefix}/")}
