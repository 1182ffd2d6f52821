"""The kernel's inference equals the integer reference, for every kind of model, on rows that it computed itself."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import Unsupported
from benchmark.quality.names import feature_names
from benchmark.synthesis.compiler import compile_sketch
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels, Trace
from bpf.models import bronzino, linear, mlp, trees, vcaml
from bpf.models.blob import KINDS
from bpf.probe import LoadedProbe, ProbeOptions
from tests.bpf.large_model import make_largest

FITTERS = {
    "tree": trees.build({"model": "tree"}),
    "forest": trees.build({}),
    "boosting": trees.build({"model": "boosting", "trees": 20, "depth": 3}),
    "logistic": linear.build({}),
    "mlp": mlp.build({"steps": 30}),
    "bronzino": bronzino.build({}),
    "vcaml": vcaml.build({}),
}


def make_trace(seed, packets=1500):
    """A trace of many windows whose rates differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.exponential(10 ** rng.uniform(5, 8, packets))).astype(np.int64)
    up = rng.random(packets) < 0.3
    payload = np.where(up, rng.choice([0, 40, 90, 400], packets), rng.integers(1, 1449, packets)).astype(np.int32)
    labels = Labels.unknown(int(ts[-1] // 1_000_000_000) + 1)
    packets_of = compile_sketch(Sketch("tcp" if seed % 2 else "quic", ts, up, payload), seed)
    return Trace(f"t{seed}", packets_of, Condition("x", float(len(labels)), 1.0, labels))


def make_model(kind, feature_set, rows, classes):
    labels = np.log2(rows[:, 3] + 1.0) + np.log2(rows[:, 0] + 1.0)
    if classes:
        labels = np.digitize(labels, np.quantile(labels, [0.3, 0.6])).astype(float)
    return FITTERS[kind].fit(rows, labels, feature_names(feature_set), classes, 0)


@pytest.fixture(scope="module")
def rows():
    """Rows of F5 that the program itself computes; skips without the right to load it."""
    try:
        with LoadedProbe(ProbeOptions("F5", rows=True)) as probe:
            found = [probe.replay(make_trace(seed)).results for seed in range(3)]
    except Unsupported as lack:
        pytest.skip(str(lack))
    table = np.concatenate([one["row"][:, : len(feature_names("F5"))] for one in found])
    assert len(table) > 30
    return table.astype(np.int64)


CASES = [
    *((kind, True, "F4") for kind in ("forest", "logistic", "mlp")),
    *(pytest.param(kind, classes, "F4", marks=pytest.mark.slow) for kind in FITTERS for classes in (True, False)),
    *(pytest.param("forest", False, feature_set, marks=pytest.mark.slow) for feature_set in ("F0", "F5")),
]


@pytest.mark.parametrize(("kind", "classes", "feature_set"), CASES)
def test_the_kernel_infers_what_the_reference_does(rows, kind, classes, feature_set):
    width = len(feature_names(feature_set))
    model = make_model(kind, feature_set, rows[:, :width], classes)
    try:
        with LoadedProbe(ProbeOptions(feature_set, blob=model.blob, rows=True)) as probe:
            found = np.concatenate([probe.replay(make_trace(seed)).results for seed in (5, 6)])
    except Unsupported as lack:
        pytest.skip(str(lack))
    label, score = model.predict(found["row"][:, :width])
    np.testing.assert_array_equal(found["result"]["label"], label)
    np.testing.assert_array_equal(found["result"]["score"], score)
    assert {KINDS[kind_of] for kind_of in found["result"]["kind"]} == {model.facts["kind"]}
    assert len(np.unique(found["result"]["label" if classes else "score"])) > 1


@pytest.mark.parametrize("hook", ["tc", "xdp", "socket"])
@pytest.mark.parametrize("feature_set", ["F4", "F5"])
def test_a_hundred_deep_trees_are_half_of_what_the_verifier_walks_at_most(feature_set, hook):
    try:
        with LoadedProbe(ProbeOptions(feature_set, hook=hook, blob=make_largest())) as probe:
            assert 0 < probe.figures()["verified_insns"] < 500_000
    except Unsupported as lack:
        pytest.skip(str(lack))


def test_a_forest_beyond_the_verifier_is_refused_in_its_words():
    for loader in ("libbpf", "raw"):
        try:
            with pytest.raises(OSError, match=r"too (complex|large)"):
                LoadedProbe(ProbeOptions(blob=make_largest(trees=1000), loader=loader))
        except Unsupported as lack:
            pytest.skip(str(lack))
