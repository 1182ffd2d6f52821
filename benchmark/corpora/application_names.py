"""The application of a capture, told by its path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import CorpusError


def application_in(name: str, known: Sequence[str], where: Path, hint: str) -> str:
    """Return which of ``known`` the file's name or the nearest folder of its path names, as a word or within one.

    Raises CorpusError, with the hint, where none or more than one does.
    """
    for part in reversed(Path(name).parts):
        text = part.lower()
        words = set(re.split(r"[^a-z]+", text))
        found = [application for application in known if application in words]
        found = found or [application for application in known if application in text]
        if len(found) > 1:
            raise CorpusError(f"{where / name}: '{part}' names {' and '.join(found)}; {hint}")
        if found:
            return found[0]
    raise CorpusError(f"{where / name}: its path names none of {', '.join(known)}; {hint}")
