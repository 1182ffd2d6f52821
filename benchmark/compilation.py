"""Where compiled code is kept between runs, so that it never outlives the source that it was made from."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("benchmark", "baselines")


def keep_compiled_code() -> None:
    """Let numba keep its code in the virtual environment, in a folder named by the digest of all compiled sources.

    Numba itself looks only at the file that a function stands in: an edit of what the function calls in another
    file, or of a constant that it imports, would go unnoticed. A folder named in NUMBA_CACHE_DIR stays as it is.
    """
    if "NUMBA_CACHE_DIR" in os.environ or sys.prefix == sys.base_prefix:
        return
    folder = Path(sys.prefix) / "var" / "numba" / _sources_digest()
    if os.access(sys.prefix, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(folder)


def _sources_digest() -> str:
    """Digest the files that compile something and those that they import from, whose constants are frozen in."""
    sources = {path: path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    chosen: set[Path] = set()
    for path, text in sources.items():
        if "import numba" not in text:
            continue
        chosen.add(path)
        for module in re.findall(r"^from ([\w.]+) import", text, flags=re.MULTILINE):
            chosen.add(ROOT.joinpath(*module.split(".")).with_suffix(".py"))
    digest = hashlib.sha256()
    for path in sorted(chosen & sources.keys()):
        digest.update(f"{path.relative_to(ROOT)}\0{sources[path]}".encode())
    return digest.hexdigest()[:16]
