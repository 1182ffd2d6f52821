"""How busy the machine is while a session is made: load, stolen time, the clock."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_EVERY = 0.1
_STEAL = 7


class Machine:
    """Watches from entry on; ``figures`` tells of the time since."""

    def __enter__(self) -> Machine:
        self._loads = [os.getloadavg()[0]]
        self._late = [0.0]
        self._times = _cpu_times()
        self._offset = time.time() - time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """Return load (mean of the 1 minute average), cores, steal_share, wake_p99_ms and clock_step.

        steal_share: of all CPU time. wake_p99_ms: how late a thread of this process wakes that sleeps for 0.1 s.
        clock_step: seconds that the wall clock moved against the monotonic one.
        """
        spent = [now - before for now, before in zip(_cpu_times(), self._times, strict=True)]
        return {
            "load": round(sum(self._loads) / len(self._loads), 2),
            "cores": os.cpu_count() or 1,
            "steal_share": round(spent[_STEAL] / max(1, sum(spent)), 5),
            "wake_p99_ms": round(1000 * sorted(self._late)[int(0.99 * len(self._late))], 2),
            "clock_step": round(time.time() - time.monotonic() - self._offset, 4),
        }

    def _watch(self) -> None:
        asleep = time.monotonic()
        while not self._over.wait(_EVERY):
            self._late.append(max(0.0, time.monotonic() - asleep - _EVERY))
            self._loads.append(os.getloadavg()[0])
            asleep = time.monotonic()


def _cpu_times() -> list[int]:
    """Return the ticks of all processors: user, nice, system, idle, iowait, irq, softirq, steal (proc(5))."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    return [int(value) for value in first.split()[1:9]]
