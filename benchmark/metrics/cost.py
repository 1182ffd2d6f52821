"""What a method costs: time, tokens, parameters and memory, as the stages measured them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmark.metric import Evidence, Family, Metric, Score

METRICS = (
    Metric("cost.fit_s", "s", "down", 0, math.inf, "seconds that fitting took"),
    Metric("cost.sample_packets_per_s", "packets/s", "up", 0, math.inf, "packets sampled in a second"),
    Metric("cost.tokens_per_packet", "tokens/packet", "down", 0, math.inf, "tokens that a packet takes"),
    Metric("cost.parameters", "", "down", 0, math.inf, "numbers that the fit learnt"),
    Metric("cost.peak_memory_mb", "MB", "down", 0, math.inf, "most resident memory while fitting and sampling"),
)


def score(evidence: Evidence) -> Mapping[str, Score]:
    """Score the costs that were measured; the rest are null, naming what is missing."""
    costs = evidence.costs
    return {
        "cost.fit_s": _measured(costs, "fit_s"),
        "cost.sample_packets_per_s": _ratio(costs, "packets", "sample_s"),
        "cost.tokens_per_packet": _ratio(costs, "tokens", "packets"),
        "cost.parameters": _measured(costs, "parameters"),
        "cost.peak_memory_mb": _measured(costs, "peak_memory_mb"),
    }


def _measured(costs: Mapping[str, float], name: str) -> Score:
    value = costs.get(name)
    if value is None or not math.isfinite(value):
        return Score(None, f"{name} wasn't measured")
    return Score(float(value))


def _ratio(costs: Mapping[str, float], above: str, below: str) -> Score:
    for name in (above, below):
        missing = _measured(costs, name)
        if missing.value is None:
            return missing
    if costs[below] <= 0:
        return Score(None, f"{below} is zero")
    return Score(float(costs[above]) / float(costs[below]))


FAMILY = Family("cost", 1, METRICS, score)
