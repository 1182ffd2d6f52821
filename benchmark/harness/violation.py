"""The first protocol violation of a run, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.trace import Trace
from benchmark.validator import first_violation
from benchmark.validator.findings import LEVELS


def describe_violation(traces: Sequence[Trace], per_trace: Mapping[str, Mapping[str, float]]) -> str:
    """Describe the first faulty packet of the first trace that has one, as sampled; "" where none has.

    per_trace: metric to trace to value, of which the shares of valid packets say where to look.
    """
    shares = [per_trace.get(f"validity.l{level}.raw", {}) for level in LEVELS]
    for trace in traces:
        if any(share.get(trace.name, 1.0) < 1.0 for share in shares):
            return f"{trace.name}: {first_violation(trace)}"
    return ""
