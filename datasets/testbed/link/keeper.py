"""The keeper of a lane: a small process that outlives its parent, however that ends, and then clears the lane.

    python -m link.keeper LANE PARENT

Standard input is a pipe from the parent, a pid, who closes it when the lane is done.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Sequence

from link.namespaces import clear


def main(arguments: Sequence[str]) -> int:
    """Wait for the pipe's end or the parent's death, then clear the lane."""
    lane, parent = arguments[0], int(arguments[1])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # A process forked from the parent may hold the pipe open; the descriptor of the parent itself doesn't lie.
    watched = [sys.stdin.fileno()]
    with contextlib.suppress(OSError):
        watched.append(os.pidfd_open(parent))
        select.select(watched, [], [])
    clear(lane)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
