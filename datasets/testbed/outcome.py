"""What a session ends with, and how its description is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

KEPT, REJECTED = "kept", "rejected"
# Exit status of a session that this machine can't run.
UNSUPPORTED = 3


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside, then rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    os.replace(aside, path)
