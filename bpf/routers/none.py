"""No router: the integer model in user space, on the features that the kernel's are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.probe import Probe, ProbeResult
from benchmark.trace import Trace
from benchmark.verdicts import judge


def build(options: Mapping[str, Any]) -> UserSpace:
    """Return the router; it has no options."""
    return UserSpace()


class UserSpace:
    """Says what every other router should say, and knows of no cost."""

    def run(self, probe: Probe, traces: Sequence[Trace]) -> ProbeResult:
        """Return the reference's verdicts on ``traces``."""
        return ProbeResult(judge(probe.model, traces, probe.features), reasons={"": "nothing runs in a kernel"})
