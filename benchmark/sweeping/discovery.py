"""Where Hydra finds this suite's sweepers and launcher."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Hydra takes plugins from the package named hydra_plugins alone; its folder may lie anywhere on the path.
PLUGINS = Path(__file__).resolve().parent / "plugins"


def offer_plugins() -> None:
    """Put the plugins on the path of this process and of those that it starts; before Hydra first looks for any.

    Workers get jobs by the names of their classes, so joblib's, submitit's and Ray's need the same path.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    for folder in (str(PLUGINS), str(ROOT)):
        if folder not in sys.path:
            sys.path.append(folder)
        if folder not in given:
            given.append(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, given))
