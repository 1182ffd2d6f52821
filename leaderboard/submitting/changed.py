"""The submissions that a pull request touches: ``python -m leaderboard.submitting.changed BASE``, a name a line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from benchmark.errors import ConfigError
from leaderboard.submitting.entry import PLACE, VERDICT, check_name

ROOT = Path(__file__).resolve().parents[2]


def changed_entries(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the entries that these paths belong to, and a sentence for each path that a submission can't bring."""
    names: set[str] = set()
    faults: list[str] = []
    for path in paths:
        parts = PurePosixPath(path).parts
        if parts[:2] != PLACE.parts or len(parts) < 4:
            faults.append(f"{path}: a submission touches files in {PLACE}/NAME/ alone")
        elif parts[3] == VERDICT:
            faults.append(f"{path}: {VERDICT} is the maintainers' to write")
        else:
            names.add(parts[2])
    for name in sorted(names):
        try:
            check_name(name, ROOT)
        except ConfigError as error:
            # Commands are given the names; one such as --help would pass for a word of theirs.
            names.discard(name)
            faults.append(ascii(str(error)))
    return sorted(names), faults


def main(arguments: Sequence[str]) -> int:
    """Print the names of the entries that differ from the base and are still there."""
    words = ["git", "diff", "--name-only", "--no-renames", "-z", f"{arguments[0]}...HEAD", "--"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    names, faults = changed_entries([path for path in done.stdout.split("\0") if path])
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    for name in names:
        if (ROOT / PLACE / name).is_dir():
            print(name)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
