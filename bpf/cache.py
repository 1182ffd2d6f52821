"""Where what was fetched or built for this machine is kept between runs, outside the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """The folder ``parts`` in ``TRACEARENA_CACHE``, else in the user's cache (XDG Base Directory); made if missing."""
    given = os.environ.get("TRACEARENA_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = (Path(given) if given else Path(home) / "tracearena").joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
