"""Configs of cells as run.py resolves them, which alone knows Hydra: asked for by running it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from benchmark.errors import ConfigError
from benchmark.harness.matrix import Resolved

_AXES = ("generator", "tokenization", "context", "conditioning", "probe", "router", "dataset", "budget")


def resolve_cell(words: Sequence[str], root: Path) -> Resolved:
    """Return (config, choices) of the cell that these words name. Raises ConfigError with what run.py says."""
    done = subprocess.run(
        [sys.executable, "run.py", "--cfg", "all", "--resolve", *words],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise ConfigError(f"run.py {' '.join(words)}: {lines[0].removeprefix('error: ')}")
    content: dict[str, Any] = yaml.safe_load(done.stdout)
    chosen = content.pop("hydra")["runtime"]["choices"]
    return content, {axis: str(chosen[axis]) for axis in _AXES}
