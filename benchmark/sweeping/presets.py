"""What the presets of launchers and sweepers need beside the suite's own packages."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

# Preset to the module that its plugin imports.
NEEDED = {
    "hydra/launcher=joblib": "hydra_plugins.hydra_joblib_launcher",
    "hydra/launcher=ray": "ray",
    "hydra/launcher=submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "hydra/launcher=submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
    "hydra/sweeper=optuna": "optuna",
}


def check_presets(words: Sequence[str]) -> None:
    """End the program with a sentence if a preset among the words lacks its package."""
    for word in words:
        module = NEEDED.get(word.lstrip("+"))
        if module and not _is_installed(module):
            sys.exit(f"error: {word} needs packages that aren't here: pip install -r requirements-sweeps.lock")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
