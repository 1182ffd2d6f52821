"""What the players that drive other processes share: CPU seconds, and a life from configuration to log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(root: int | None = None) -> float:
    """Return the CPU seconds of a process (this one by default), its descendants and those they waited for."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with suppress(OSError):
            text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            fields = text[text.rindex(")") + 2 :].split()
            parents[int(entry)] = int(fields[1])
            used[int(entry)] = sum(map(int, fields[11:15])) / _TICKS
    top = os.getpid() if root is None else root

    def within(process: int) -> bool:
        while process > 1 and process != top:
            process = parents.get(process, 0)
        return process == top

    return round(sum(seconds for process, seconds in used.items() if within(process)), 2)


def run_player(
    play: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], arguments: Sequence[str], usage: str
) -> int:
    """Run ``python PLAYER CONFIG.json LOG.json``: read the one, play, write the other; return the exit status."""
    if len(arguments) != 2:
        print(usage)
        return 2
    config = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        log = asyncio.run(_until_signalled(play(config)))
    except asyncio.CancelledError:
        return 143
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    aside = Path(arguments[1] + ".partial")
    aside.write_text(json.dumps(log), encoding="utf-8")
    os.replace(aside, arguments[1])
    return 0


async def _until_signalled(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Await the work; SIGTERM, SIGINT and SIGHUP cancel it, so that everything it opened is closed."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    return await task
