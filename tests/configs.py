"""Configs of cells, resolved as run.py resolves them."""

from __future__ import annotations

from typing import Any

import hydra
from omegaconf import OmegaConf

from tests.houses import ROOT


def compose(*overrides: str) -> dict[str, Any]:
    """Resolve the config that ``overrides`` give."""
    OmegaConf.register_new_resolver("cell_id", lambda: "", replace=True)
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        resolved: Any = OmegaConf.to_container(hydra.compose("config", list(overrides)), resolve=True)
    return resolved
