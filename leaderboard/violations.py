"""What a record says of protocol violations: where they begin, and in which trace."""

from __future__ import annotations

from benchmark.record import Record

LEVELS = range(5)


def say_violations(record: Record) -> str:
    """Say in a sentence or two at which level violations begin, as sampled, and which trace has the first."""
    shares = {level: record.value(f"validity.l{level}.raw") for level in LEVELS}
    known = {level: share for level, share in shares.items() if share is not None}
    if not known:
        return "The record doesn't say: no packet was judged."
    level = next((level for level, share in known.items() if share < 1), None)
    if level is None:
        return f"None: as sampled, every packet keeps the rules of levels {min(known)} to {max(known)}."
    text = f"Violations begin at level {level}: {known[level]:.6g} of the packets are legal up to it, as sampled."
    by_trace = record.per_trace.get(f"validity.l{level}.raw", {})
    faulty = sorted(trace for trace, share in by_trace.items() if share < 1)
    if not faulty:
        return text
    count = f"{len(faulty)} of {len(by_trace)} traces have one"
    return f"{text} {count}, the first is {faulty[0]}, {by_trace[faulty[0]]:.6g} of whose packets are."
