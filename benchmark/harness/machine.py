"""What a record says of where and with what it was made."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "diffusers", "hydra-core", "numba", "numpy", "omegaconf", "pyarrow", "safetensors", "scikit-learn", "scipy",
    "torch", "transformers", "wandb",
)  # fmt: skip


@cache
def machine_facts() -> dict[str, Any]:
    """Processor, cores usable, memory, system, kernel and interpreter."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": platform.platform(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def code_revision(root: Path) -> dict[str, Any]:
    """Commit of the checkout and whether files differ from it; empty outside a checkout."""
    try:
        revision = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {"revision": "", "dirty": True}
    return {"revision": revision, "dirty": dirty}


def _git(root: Path, *words: str) -> str:
    result = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
    return result.stdout.strip()


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    names = [line for line in path.read_text().splitlines() if line.startswith("model name")] if path.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.machine()
