"""Stores what a reference has learnt: arrays as safetensors, facts as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Arrays = dict[str, NDArray[Any]]


def save_tables(folder: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write ``tables.safetensors`` and ``facts.json`` into the folder, each aside and then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / "tables.aside")
    os.replace(folder / "tables.aside", folder / "tables.safetensors")
    (folder / "facts.aside").write_text(json.dumps(facts, indent=1))
    os.replace(folder / "facts.aside", folder / "facts.json")


def count_numbers(arrays: Mapping[str, NDArray[Any]]) -> float:
    """Return how many numbers the arrays hold."""
    return float(sum(array.size for array in arrays.values()))


def load_tables(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read what ``save_tables`` wrote."""
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return load_file(folder / "tables.safetensors"), facts
