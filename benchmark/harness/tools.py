"""Programs that scores ask where they are installed: what was scored without one is scored again where it is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

# Without one of these a metric is null with the reason, and the rest stands.
TOOLS = ("tshark",)


def missing_tools() -> list[str]:
    """Name the tools that aren't on this machine; a stage that scores keeps them as its fact ``lacked``."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def stands(facts: Mapping[str, Any]) -> bool:
    """Tell whether a stage's result is as good as this machine can make it: none of what it lacked is here."""
    return not any(shutil.which(str(tool)) for tool in facts.get("lacked") or ())
