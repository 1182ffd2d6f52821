"""The controls of the benchmark: what is known of the references must come out of their scores."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmark.harness.cell import Rooms, run_cell
from benchmark.harness.registry import REFERENCES
from benchmark.statistics.resampling import paired_difference
from tests.configs import compose
from tests.houses import ROOT

# Six references are scored whole, two at a time: eight minutes on two quiet cores, more on busy ones.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

KEPT = "downstream.rung.skill_kept"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records of all references on the embedded corpus."""
    rooms = Rooms(ROOT, tmp_path_factory.mktemp("controls"))
    configs = {name: compose(f"generator={name}") for name in REFERENCES}
    # As many traces as the training split has, so that its photocopy is the split itself.
    configs["resample"] = compose("generator=resample", "budget.traces=null")

    def run(name):
        against = None if name == "independent" else configs["independent"]
        return run_cell(configs[name], {"generator": name}, rooms, independent=against)[0]

    found = {"independent": run("independent")}
    with ThreadPoolExecutor(2) as pool:
        others = [name for name in REFERENCES if name != "independent"]
        found.update(zip(others, pool.map(run, others), strict=True))
    assert {record.status for record in found.values()} == {"ok"}
    return found


def test_the_photocopier_is_flagged_and_nobody_else(records):
    flagged = {name: record.value("memorisation.flagged") for name, record in records.items()}
    assert flagged == {"independent": 0, "markov": 0, "two_level": 0, "resample": 1, "real": 0}
    assert records["resample"].value("memorisation.copied_share") > 0.5


def difference(records, first, second, metric=KEPT):
    """Paired difference over test traces, from the records' pseudo-values."""
    one, other = (records[name].per_trace[metric] for name in (first, second))
    traces = sorted(one.keys() & other.keys())
    return paired_difference(
        np.array([[one[trace] for trace in traces]]), np.array([[other[trace] for trace in traces]])
    )


def test_real_traffic_and_its_copies_are_at_the_top(records):
    # The validation split is a third of the training split, so that its photocopy may well teach more.
    assert difference(records, "real", "resample").interval[0] <= 0
    for name in ("independent", "markov", "two_level"):
        for top in ("resample", "real"):
            assert difference(records, name, top).interval[0] <= 0, f"{name} is surely better than {top}"
    # The training split itself teaches what the training split teaches, but for times cut to the microsecond.
    assert records["resample"].value(KEPT) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("metric", "sign"),
    [("timing.distance", -1), ("fidelity.c2st", -1), (KEPT, 1), ("downstream.rung6.skill_over_independent", 1)],
)
def test_the_independent_sampler_is_behind_the_training_split_itself(records, metric, sign):
    assert sign * (records["resample"].value(metric) - records["independent"].value(metric)) > 0


@pytest.mark.parametrize(("metric", "sign"), [("timing.distance", -1), ("fidelity.c2st", -1), (KEPT, 1)])
def test_the_independent_sampler_is_behind_two_level(records, metric, sign):
    assert sign * (records["two_level"].value(metric) - records["independent"].value(metric)) > 0


@pytest.mark.parametrize("metric", ["timing.distance", "fidelity.c2st", "fidelity.jsd", "timing.gap_wasserstein"])
def test_equal_corpora_score_at_the_noise_floor(records, metric):
    assert records["resample"].value(metric) == pytest.approx(records["resample"].floors[metric], rel=1e-6)


def test_the_noise_floor_of_a_ratio_is_one(records):
    assert records["real"].floors["timing.distance"] == pytest.approx(1)
    assert records["real"].floors[KEPT] == pytest.approx(1)


def test_everything_that_is_compiled_is_valid(records):
    for name in ("independent", "markov", "two_level"):
        assert [records[name].value(f"validity.l{level}.raw") for level in range(3)] == [1, 1, 1]
