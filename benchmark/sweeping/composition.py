"""From Hydra's configs to cells, alike for a single run, a sweep's plan and a worker elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from benchmark.errors import ConfigError
from benchmark.harness.matrix import Resolved
from benchmark.harness.rooms import Rooms, local_folder, rooms_at
from benchmark.harness.stage import cell_id

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 1 << 32  # what NumPy, PyTorch and scikit-learn all take
METHOD_AXES = ("generator", "tokenization", "context", "conditioning", "probe", "router")


def register_resolvers() -> None:
    """Teach OmegaConf the two names that place a cell's folder; workers get them from the process that starts them."""
    OmegaConf.register_new_resolver("cell_id", lambda *, _root_: cell_id(resolve(_root_)), replace=True)
    OmegaConf.register_new_resolver("local_folder", local_folder, replace=True)


def resolve(config: DictConfig) -> Any:
    """Return the config as plain values, without Hydra's own part."""
    return OmegaConf.to_container(OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=True)


def cell_of(config: DictConfig, chosen: Any) -> Resolved:
    """Return the resolved config, and the name chosen on each axis of the matrix.

    A seed that not every random generator takes ends the program.
    """
    resolved = resolve(config)
    if type(resolved["seed"]) is not int or not 0 <= resolved["seed"] < SEEDS:
        sys.exit(f"error: seed={resolved['seed']}: a seed is a whole number from 0 to {SEEDS - 1}")
    return resolved, {axis: str(chosen[axis]) for axis in (*METHOD_AXES, "dataset", "budget")}


def shared_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that a cell's references share: all but those that make it the method it is."""
    return tuple(word for word in overrides if not word.lstrip("+~").startswith(METHOD_AXES))


def reference_in(overrides: Sequence[str]) -> Callable[[str], Resolved]:
    """Return what resolves a reference by name, for the corpus, budget and seed of the cell with these overrides."""
    given = list(shared_overrides(overrides))

    def reference(name: str) -> Resolved:
        config = hydra.compose("config", [*given, f"generator={name}"], return_hydra_config=True)
        return cell_of(config, config.hydra.runtime.choices)

    return reference


def rooms_of(config: DictConfig) -> Rooms:
    """Return where this config's results go; a place that can't be used ends the program with the reason."""
    try:
        return rooms_at(ROOT, str(config.results), str(config.scored_on))
    except ConfigError as error:
        sys.exit(f"error: {error}")
