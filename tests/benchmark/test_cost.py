"""Costs: what was measured is passed on, what wasn't is null and says so."""

import pytest

from benchmark.metrics.cost import FAMILY, score
from tests.benchmark.traffic_making import evidence_of

COSTS = {
    "fit_s": 12.5,
    "sample_s": 4.0,
    "packets": 2000.0,
    "tokens": 500.0,
    "parameters": 1e5,
    "peak_memory_mb": 321.0,
}


def values(costs):
    return {name: scored.value for name, scored in score(evidence_of([], [], [], costs=costs)).items()}


def test_costs_are_ratios_and_totals():
    assert values(COSTS) == {
        "cost.fit_s": 12.5,
        "cost.sample_packets_per_s": 500.0,
        "cost.tokens_per_packet": 0.25,
        "cost.parameters": 1e5,
        "cost.peak_memory_mb": 321.0,
    }
    assert list(values(COSTS)) == [metric.name for metric in FAMILY.metrics]


@pytest.mark.parametrize("missing", COSTS)
def test_a_missing_cost_is_null_and_named(missing):
    scores = score(evidence_of([], [], [], costs={name: value for name, value in COSTS.items() if name != missing}))
    absent = [scored for scored in scores.values() if scored.value is None]
    assert absent
    assert all(missing in scored.reason for scored in absent)


def test_nothing_is_divided_by_zero_or_passed_on_broken():
    assert values({**COSTS, "sample_s": 0.0})["cost.sample_packets_per_s"] is None
    assert values({**COSTS, "packets": 0.0})["cost.tokens_per_packet"] is None
    assert values({**COSTS, "fit_s": float("nan")})["cost.fit_s"] is None
