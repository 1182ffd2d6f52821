"""Quality models and the examples that they learn from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.quality.features import FeatureTable, extract_all, feature_names
from benchmark.quality.models import HISTORY, MODELS, add_history, build_model, history_names, levels
from benchmark.quality.task import TASKS, gather
from tests.benchmark.feature_twin import eighths
from tests.benchmark.packet_making import packets_from, trace_from
from tests.benchmark.test_features import make

LADDER = (144, 240, 360, 480, 720, 1080)


def two_classes(rows=120):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, rows)
    features = random.integers(0, 1 << 20, (rows, 5))
    features[:, 2] = np.where(labels, 60_000, 4_000) + random.integers(0, 2_000, rows)
    return features, labels


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_the_same_twice(name):
    features, labels = two_classes()
    first, second = (build_model(name, seed=3).fit(features[:80], labels[:80]) for _ in range(2))
    predicted = first.predict(features[80:])
    assert (predicted == labels[80:]).mean() > 0.9
    assert np.array_equal(predicted, second.predict(features[80:]))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_regression(name):
    features, labels = two_classes()
    model = build_model(name, regression=True).fit(features[:80], labels[:80].astype(float))
    error = np.abs(model.predict(features[80:]) - labels[80:]).mean()
    assert error < 0.4 < np.abs(labels[80:] - 0.5).mean()


def test_names_and_options_are_checked():
    with pytest.raises(ConfigError, match="did you mean 'forest'"):
        build_model("forrest")
    with pytest.raises(ConfigError, match="did you mean 'max_depth'"):
        build_model("tree", max_deep=3)
    assert build_model("forest", n_estimators=10).n_estimators == 10


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_levels_are_the_machines_logarithm(values):
    assert levels(np.array(values, np.int64)).tolist() == [eighths(value) for value in values]


def test_history_by_hand():
    names = ("up_packets", "segment_max")
    values = np.array([[1, 100], [2, 200], [3, 0], [4, 1]])
    history = add_history(values, names)
    assert history_names(names) == (*names, "segment_max_before", "segment_max_before_2", "segment_max_mean")
    # m + (x - m) / 4, rounded down: 100; 125; 125 - 32 = 93; 93 - 23 = 70.
    assert history.tolist() == [
        [1, 100, 100, 100, 100],
        [2, 200, 100, 100, 125],
        [3, 0, 200, 100, 93],
        [4, 1, 0, 200, 70],
    ]
    assert add_history(np.zeros((0, 2), np.int64), names).shape == (0, 5)
    assert set(HISTORY) <= set(feature_names("F4"))


def test_features_do_not_tell_the_windows_place():
    # The same traffic in every window, but for what a flow's very first packet cannot have: a gap before it.
    rows = []
    for window in range(5):
        for k in range(4):
            at = window * 10_000_000_000 + k * 2_400_000_000
            rows.append({"at": at, "payload": 100, "seq": 100 * (4 * window + k), "flags": 24})
            rows.append({"at": at + 10**7, "up": False, "payload": 1448, "seq": 1448 * (4 * window + k)})
    trace = make(rows, windows=5)
    table = extract_all([trace])[0]
    values = add_history(table.values, table.names)
    later = values[2:]
    assert (later[:, : len(table.names)] == later[0, : len(table.names)]).all()
    first = [table.names[k] for k in np.flatnonzero(table.values[0] != table.values[1])]
    started = ("gap", "bursts", "segment", "idle", "ring")
    assert all(any(word in name for word in started) for name in first)
    assert values.shape[1] == len(history_names(table.names))


def test_a_stall_is_asked_of_windows_past_startup():
    stall = np.array([7, 2, 0.4, 3, np.nan, 10], np.float32)
    height = np.array([-1, 144, 240, 240, 240, -1], np.int16)
    trace = trace_from(packets_from([]), windows=6, stall=stall, height=height, startup=9.0)
    table = FeatureTable(np.arange(6), np.zeros((6, len(feature_names("F5"))), np.int64), feature_names("F5"))
    # The startup delay's share is in the windows up to the first with a played height.
    examples = gather(TASKS["stall"], [trace], [table])
    assert examples.window.tolist() == [2, 3, 5]
    assert examples.labels.tolist() == [0, 1, 1]
    never = trace_from(packets_from([]), windows=6, stall=stall, height=np.full(6, -1, np.int16))
    assert len(gather(TASKS["stall"], [never], [table])) == 0


def test_examples_have_a_label_each():
    packets = make([{"at": 0, "payload": 9}, {"at": 11_000_000_000, "up": False, "payload": 9}]).packets
    rung = np.array([-1, 5, 3], np.int8)
    height = np.array([-1, 480, 720], np.int16)
    trace = trace_from(packets, windows=3, rung=rung, height=height, startup=2.5)
    other = trace_from(packets, windows=3, rung=np.array([0, 9, 2], np.int8))
    tables = extract_all([trace, other])
    examples = gather(TASKS["rung"], [trace, other], tables, LADDER)
    # A rung above the ladder is no label.
    assert examples.labels.tolist() == [2, 1, 0, 0]
    assert examples.trace.tolist() == [0, 0, 1, 1]
    assert examples.traces == 2
    assert np.array_equal(examples.features[0], tables[0].values[1])
    assert gather(TASKS["rung6"], [trace], tables[:1], LADDER, "F0").features.shape == (2, 4)
    assert gather(TASKS["rung6"], [trace], tables[:1], LADDER).labels.tolist() == [5, 3]
    assert gather(TASKS["height"], [trace], tables[:1]).labels.tolist() == [1, 2]
    startup = gather(TASKS["startup"], [trace, other], tables)
    assert startup.labels.tolist() == [2.5]
    assert np.array_equal(startup.features[0], tables[0].values[0])
    assert examples.window.tolist() == [1, 2, 0, 2]
    assert len(gather(TASKS["fps"], [trace], tables[:1])) == 0
    assert gather(TASKS["height"], [], []).features.shape[1] == len(history_names(feature_names("F5")))
