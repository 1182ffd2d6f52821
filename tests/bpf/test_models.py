"""Quality models in integers: against scikit-learn and torch, and the kernel's own source against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmark.errors import ConfigError
from benchmark.probe import Fitter, QualityModel
from benchmark.quality.models import build_model
from benchmark.quality.names import FEATURE_SETS, feature_names
from bpf.models import bronzino, linear, mlp, trees, vcaml
from bpf.models.blob import (
    CAPACITY,
    FOREST,
    HEADER,
    INPUT,
    NEURON,
    NODE,
    capacity_of,
    fits,
    join,
    no_capacity,
    padded,
    split,
    swapped,
)
from bpf.models.integers import predict, sums
from tests.bpf.native_model import compile_native

TOP = 0xFFFFFFFF
CORNERS = np.array(
    [0, 1, 2, 255, 256, 65535, (1 << 24) - 1, 1 << 24, (1 << 24) + 1, (1 << 24) + 2, (1 << 25) + 1, (1 << 31) - 1,
     1 << 31, (1 << 31) + 129, TOP - 256, TOP - 128, TOP - 127, TOP],
    np.int64,
)  # fmt: skip


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    return compile_native(tmp_path_factory.mktemp("native"))


def make_rows(count, columns, seed=0):
    """Rows of features of every magnitude, corners among them."""
    rng = np.random.default_rng(seed)
    rows = np.floor(2.0 ** (rng.random((count, columns)) * 32)).astype(np.int64)
    rows = np.minimum(rows, TOP)
    corner = rng.random(rows.shape) < 0.2
    rows[corner] = rng.choice(CORNERS, int(corner.sum()))
    return rows


def make_labels(rows, classes, seed=0):
    """Classes (or numbers, where there are none) that the rows tell, but for noise."""
    rng = np.random.default_rng(seed)
    signal = np.log2(rows[:, 0] + 1.0) + np.log2(rows[:, 1] + 1.0) / 2 + rng.normal(0, 2, len(rows))
    if not classes:
        return signal * 1000
    return np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes)).astype(float)


TREES = {
    "tree": lambda classes: (DecisionTreeClassifier if classes else DecisionTreeRegressor)(max_depth=8, random_state=0),
    "forest": lambda classes: (RandomForestClassifier if classes else RandomForestRegressor)(
        10, max_depth=10, random_state=0
    ),
    "boosting": lambda classes: (GradientBoostingClassifier if classes else GradientBoostingRegressor)(
        n_estimators=8, random_state=0
    ),
}


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("classes", [0, 2, 3, 8])
def test_compiled_trees_say_what_scikit_learn_says(kind, classes):
    rows = make_rows(600, 12)
    model = TREES[kind](classes).fit(rows, make_labels(rows, classes))
    compiled = trees.compile_trees(model, range(12), rows)
    fresh = make_rows(4000, 12, seed=1)
    answers = compiled.answers(*compiled.predict(fresh))
    wanted = model.predict(fresh)
    if classes:
        # Float sums may tie where integer sums don't; nothing else may differ.
        scores = compiled.scores(fresh)
        ranked = np.sort(scores[:, : max(classes, 2)], axis=1)
        clear = ranked[:, -1] - ranked[:, -2] > 1e-6
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(answers[clear], wanted[clear])
    else:
        np.testing.assert_allclose(answers, wanted, atol=1e-3)
    assert compiled.facts["quantisation"]["error_max"] < 1e-3


def test_labels_keep_their_numbers_where_some_are_missing():
    rows = make_rows(300, 4)
    labels = np.where(make_labels(rows, 2) > 0, 5.0, 2.0)
    for fitter in (trees.build({}), trees.build({"model": "boosting"}), linear.build({}), mlp.build({"steps": 5})):
        model = fitter.fit(rows, labels, ["a", "b", "c", "d"], True, 0)
        assert set(model.predict(make_rows(500, 4, 1))[0]) <= {2, 5}


def test_thresholds_go_left_exactly_where_scikit_learn_goes_left():
    rng = np.random.default_rng(0)
    around = rng.integers(0, TOP, 300)
    for threshold in [*CORNERS.tolist(), *(CORNERS + 0.5).tolist(), *(CORNERS - 0.5).tolist(), *around.tolist()]:
        found = trees.threshold_of(float(threshold))
        near = np.clip(np.arange(found - 300, found + 301), 0, TOP)
        left = near.astype(np.float32) <= np.float64(threshold)
        np.testing.assert_array_equal(left, near <= found)


def test_thresholds_beyond_two_to_the_24_arent_rounded_down():
    # float32(2^24 + 1) is 2^24: scikit-learn goes left, and a threshold of floor(2^24) wouldn't.
    assert trees.threshold_of(float(1 << 24)) == (1 << 24) + 1
    assert trees.threshold_of(16777215.5) == (1 << 24) - 1
    assert trees.threshold_of(float(TOP)) == TOP - 128
    assert trees.threshold_of(2.0**32) == TOP
    assert trees.threshold_of(-0.5) == -1


def test_a_split_that_sends_everything_right_is_none():
    rows = np.array([[0], [1], [2], [3]], np.int64)
    model = DecisionTreeClassifier().fit(rows, [0, 0, 1, 1])
    model.tree_.threshold[0] = -1.0
    compiled = trees.compile_trees(model, [0], rows)
    assert compiled.predict(rows)[0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_linear_model_stays_near_its_floats(classes):
    rows = make_rows(400, 20)
    labels = make_labels(rows, classes)
    compiled = linear.build({}).fit(rows, labels, [str(k) for k in range(20)], bool(classes), 0)
    report = compiled.quantisation(make_rows(3000, 20, 1))
    assert report["agreement"] > 0.99
    pipeline = build_model("logistic", 0, not classes, **({"C": 1.0} if classes else {"alpha": 1.0})).fit(rows, labels)
    fresh = make_rows(3000, 20, 1)
    wanted, found = pipeline.predict(fresh), compiled.answers(*compiled.predict(fresh))
    if classes:
        assert (wanted == found).mean() > 0.99
    else:
        assert np.abs(wanted - found).max() < 0.01 * np.ptp(wanted)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_quantised_mlp_reports_how_near_it_is(classes):
    rows = make_rows(400, 30)
    compiled = mlp.build({"steps": 150}).fit(
        rows, make_labels(rows, classes), [str(k) for k in range(30)], bool(classes), 0
    )
    report = compiled.quantisation(rows)
    assert report["agreement"] > (0.95 if classes else 0.5)
    assert report["error_mean"] < (0.5 if classes else 0.02 * np.ptp(make_labels(rows, classes)))
    assert compiled.facts["bytes"] == len(compiled.blob) < 1200


def test_training_an_mlp_leaves_torchs_generator_alone():
    import torch

    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    rows = make_rows(40, 3)
    mlp.build({"steps": 2}).fit(rows, make_labels(rows, 2), ["a", "b", "c"], True, 0)
    assert torch.equal(torch.rand(3), wanted)


FITTERS = {
    "tree": trees.build({"model": "tree"}),
    "forest": trees.build({}),
    "boosting": trees.build({"model": "boosting", "trees": 6, "depth": 3}),
    "logistic": linear.build({}),
    "mlp": mlp.build({"steps": 20}),
    "bronzino": bronzino.build({"trees": 12}),
    "vcaml": vcaml.build({"trees": 12}),
}


@pytest.mark.parametrize("feature_set", ["F0", "F4", "F5"])
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("kind", FITTERS)
def test_the_kernels_source_says_what_the_reference_says(native, kind, classes, feature_set):
    names = feature_names(feature_set)
    rows = make_rows(150, len(names))
    model = FITTERS[kind].fit(rows, make_labels(rows, classes), names, bool(classes), 0)
    assert isinstance(model, QualityModel)
    assert isinstance(FITTERS[kind], Fitter)
    fresh = np.vstack([make_rows(1500, len(names), 1), np.zeros((1, len(names))), np.full((1, len(names)), TOP)])
    label, score, kind_of = native.predict(model.blob, fresh, slot=1)
    wanted_label, wanted_score = model.predict(fresh)
    np.testing.assert_array_equal(label, wanted_label)
    np.testing.assert_array_equal(score, wanted_score)
    assert set(kind_of) == {model.blob[0]}
    again = FITTERS[kind].load(model.blob)
    np.testing.assert_array_equal(again.answers(*again.predict(fresh)), model.answers(wanted_label, wanted_score))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_chain_of_nodes_is_walked_alike_and_sums_wrap_alike(native, data):
    count = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    nodes = np.zeros(count, NODE)
    nodes["vote"] = rng.random(count) < 0.6
    nodes["value"] = np.where(nodes["vote"] != 0, rng.integers(0, TOP, count), rng.choice(CORNERS, count))
    nodes["place"] = rng.integers(0, 4, count)
    # Forward alone, so that every walk ends; the last three are votes that end it.
    nodes["next"] = np.minimum(np.arange(count) + rng.integers(1, 4, count), max(count - 2, 0))
    nodes["vote"][-3:], nodes["next"][-3:] = 1, 0
    header = {
        "kind": FOREST, "labels": data.draw(st.integers(0, 255)), "outputs": 8, "nodes": count, "steps": count,
    }  # fmt: skip
    blob = join(header, [nodes])
    rows = make_rows(50, 4, data.draw(st.integers(0, 1000)))
    label, score, _ = native.predict(blob, rows)
    wanted = predict(blob, rows)
    np.testing.assert_array_equal(label, wanted[0])
    np.testing.assert_array_equal(score, wanted[1])


def test_a_sum_past_31_bits_wraps():
    nodes = np.array([(0x7FFFFFFF, 1, 0, 1), (1, 0, 0, 1)], NODE)
    blob = join({"kind": FOREST, "nodes": 2, "steps": 2}, [nodes])
    assert predict(blob, np.zeros((1, 1), np.uint32))[1].tolist() == [-(1 << 31)]


def test_a_chain_that_never_ends_is_refused_by_both(native):
    nodes = np.array([(1, 1, 0, 1), (1, 1, 0, 1)], NODE)
    blob = join({"kind": FOREST, "nodes": 2, "steps": 9}, [nodes])
    with pytest.raises(ValueError, match="doesn't end"):
        predict(blob, np.zeros((1, 1), np.uint32))
    assert native.predict(blob, np.zeros((1, 1)))[2].tolist() == [0]


def test_a_node_past_the_capacity_is_never_read(native):
    nodes = np.array([(0, 500, 0, 0), (0, 0, 0, 1)], NODE)
    blob = join({"kind": FOREST, "nodes": 2, "steps": 9}, [nodes])
    assert native.predict(blob, np.ones((1, 1)))[2].tolist() == [0]


def test_a_model_of_another_kind_than_the_program_is_for_judges_nothing(native):
    rows = make_rows(60, 4)
    model = trees.build({}).fit(rows, make_labels(rows, 2), ["a", "b", "c", "d"], True, 0)
    other = bytearray(model.blob)
    other[0] = 2
    capacity = capacity_of(bytes(other)).copy()
    blob = bytes(other)
    capacity["kind"] = FOREST
    with pytest.raises(ConfigError):
        padded(blob, capacity)
    content = np.frombuffer(model.blob, np.uint8).copy()
    content[0] = 0
    none = content.tobytes()
    assert native.predict(none, rows)[2].tolist() == [0] * 60


def test_the_layouts_are_the_headers():
    assert (HEADER.itemsize, CAPACITY.itemsize, NODE.itemsize, INPUT.itemsize, NEURON.itemsize) == (16, 20, 8, 8, 8)
    assert int(no_capacity()["bytes"]) == HEADER.itemsize


def test_a_smaller_model_fits_a_larger_ones_capacity_and_not_the_reverse():
    rows = make_rows(400, 4)
    names, labels = ["a", "b", "c", "d"], make_labels(rows, 3)
    small = trees.build({"trees": 2, "depth": 3}).fit(rows, labels, names, True, 0)
    large = trees.build({}).fit(rows, labels, names, True, 0)
    assert fits(small.blob, capacity_of(large.blob))
    assert not fits(large.blob, capacity_of(small.blob))
    assert len(padded(small.blob, capacity_of(large.blob))) == len(large.blob)
    assert not fits(linear.build({}).fit(rows, labels, names, True, 0).blob, capacity_of(large.blob))


@pytest.mark.parametrize("kind", FITTERS)
def test_a_big_endian_blob_holds_the_same_numbers(kind):
    names = feature_names("F4")
    rows = make_rows(100, len(names))
    blob = FITTERS[kind].fit(rows, make_labels(rows, 3), names, True, 0).blob
    other = swapped(blob)
    assert len(other) == len(blob)
    assert other != blob
    at = 0
    parts = [np.array([split(blob).header]), *split(blob).arrays]
    for part in parts:
        there = np.frombuffer(other, part.dtype.newbyteorder(">"), part.size, at).reshape(part.shape)
        np.testing.assert_array_equal(there.astype(part.dtype), part)
        at += part.nbytes


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("kind", FITTERS)
def test_one_answer_to_everything_is_learnt_as_that(native, kind, classes):
    names = feature_names("F4")
    rows = make_rows(20, len(names))
    model = FITTERS[kind].fit(rows, np.full(20, 3.0), names, classes, 0)
    label, score, _ = native.predict(model.blob, rows)
    np.testing.assert_allclose(model.answers(label, score), 3.0, atol=1e-6)


def test_sums_are_within_the_bounds_that_compiling_promises():
    rows = make_rows(300, 132)
    model = linear.build({"penalty": 0.001}).fit(rows, make_labels(rows, 3), feature_names("F5"), True, 0)
    header, (bias, weights) = split(model.blob).header, split(model.blob).arrays
    worst = np.abs(bias.astype(np.int64)[:3]) + 255 * np.abs(weights.astype(np.int64)).sum(axis=0)
    assert worst.max() < 1 << 31
    assert header["inputs"] == 132
    assert np.abs(sums(model.blob, rows)).max() <= worst.max()


def test_rebuilt_models_see_the_features_that_stand_for_theirs():
    every = feature_names("F5")
    assert set(bronzino.COLUMNS) < set(every)
    assert set(vcaml.COLUMNS) < set(every)
    assert not {"down_retransmits", "up_rtt_mean", "frames"} & set(bronzino.COLUMNS)
    assert {"segment_last", "ring_bytes_9", "down_gap_mean"} <= set(bronzino.COLUMNS)
    assert {"down_unique_sizes", "down_bursts", "down_size_max"} <= set(vcaml.COLUMNS)
    assert not {name for name in vcaml.COLUMNS if name.startswith(("up_", "segment", "ring"))}


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_rebuilt_models_use_what_the_probe_computes(feature_set):
    names = feature_names(feature_set)
    rows = make_rows(60, len(names))
    for kind, columns in (("bronzino", bronzino.COLUMNS), ("vcaml", vcaml.COLUMNS)):
        nodes = split(FITTERS[kind].fit(rows, make_labels(rows, 2), names, True, 0).blob).arrays[0]
        used = {names[place] for place in nodes["place"][nodes["vote"] == 0]}
        assert used <= set(columns)


@pytest.mark.parametrize("build", [trees.build, linear.build, mlp.build, bronzino.build, vcaml.build])
def test_a_wrong_option_gets_the_nearest_right_one(build):
    with pytest.raises(ConfigError, match="no option 'treees'"):
        build({"treees": 3})


def test_an_mlp_larger_than_the_program_is_refused():
    with pytest.raises(ConfigError, match="at most"):
        mlp.build({"inputs": 64})


def test_more_nodes_than_16_bits_number_are_refused():
    rows = make_rows(9000, 3)
    labels = np.random.default_rng(0).integers(0, 3, 9000).astype(float)
    with pytest.raises(ConfigError, match="fewer or shallower trees"):
        trees.build({"trees": 12, "depth": 30, "leaf": 1}).fit(rows, labels, ["a", "b", "c"], True, 0)
