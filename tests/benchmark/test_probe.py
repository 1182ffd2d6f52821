"""The probe stage: its keys, the model that it trains, what routers say, and the row where one can't run."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ConfigError, Incompatible
from benchmark.harness.cell import run_cell
from benchmark.harness.probing import read_settings, train_model
from benchmark.harness.registry import build_fitter, load_corpus, names
from benchmark.harness.source import files_digest
from benchmark.harness.stage import cell_id, has_probe, stage_keys
from benchmark.harness.store import Store
from benchmark.metric import Evidence
from benchmark.metrics import kernel
from benchmark.probe import NO_FLOW, Choice, Probe, ProbeEvidence, ProbeResult, Verdicts
from benchmark.quality.features import extract, extract_all, feature_names
from benchmark.quality.task import TASKS, gather
from benchmark.record import LATER, Record, close_record, open_record, read_record
from benchmark.trace import Labels
from benchmark.verdicts import agreement, choose, digest, judge, table
from bpf.models import trees
from bpf.routers.none import UserSpace
from tests.configs import compose
from tests.houses import ROOT, build_house, config_of, rooms_of

FAKE = '''
"""A router for tests: says what the reference says, or half of it, or can't."""

from dataclasses import replace

from benchmark.errors import Unsupported
from benchmark.probe import ProbeResult
from benchmark.trace import Labels
from benchmark.verdicts import judge


def build(options):
    return Fake(options)


class Fake:
    def __init__(self, options):
        self.mode = options["mode"]

    def run(self, probe, traces):
        if self.mode == "unsupported":
            raise Unsupported("bpf(2) says EPERM: be root")
        verdicts = judge(probe.model, traces, probe.features)
        if self.mode == "wrong":
            verdicts = [replace(one, score=one.score + one.flow % 2 + one.window % 2) for one in verdicts]
        figures = {"added_ns": 42.0, "map_bytes": 1000.0, "unaccounted": 0.0, "verified_states": 7.0}
        return ProbeResult(verdicts[::-1][::-1], figures, {"closing_ns": "no clock here"}, {"rounds": [1, 2]})
'''


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A house whose corpus has frame rates and whose bpf/ has a router for tests."""
    root = build_house(tmp_path_factory.mktemp("probing"))
    (root / "bpf" / "routers").mkdir(parents=True)
    for folder in (ROOT / "bpf", ROOT / "bpf" / "routers"):
        for entry in folder.iterdir():
            if entry.name not in ("__pycache__", "routers"):
                (root / entry.relative_to(ROOT)).symlink_to(entry)
    (root / "bpf" / "routers" / "fake.py").write_text(FAKE)
    (root / "bpf" / "extra.h").write_text("int x;\n")
    rng = np.random.default_rng(1)
    with open(root / "captures" / "windows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "window", "fps"])
        writer.writerows([f"t{number}.pcap", window, rng.integers(5, 30)] for number in range(6) for window in range(2))
    return root


def probing(root, router="none", **changes):
    config = config_of(root)
    config["probe"] = {
        "name": "forest", "module": "bpf.models.trees", "task": None, "features": "F2", "hook": "tc",
        "loader": "libbpf", "options": {"model": "forest", "trees": 4, "depth": 4}, "choices": {"leaf": [1, 3]},
        **changes,
    }  # fmt: skip
    config["router"] = {"name": "none", "module": "bpf.routers.none", "sources": [], "options": {}}
    if router != "none":
        fake = {"name": "fake", "module": "bpf.routers.fake", "sources": ["bpf/extra.h"], "options": {"mode": router}}
        config["router"] = fake
    return config


def verdicts(*rows):
    return Verdicts.of(rows)


class Echo:
    """A model whose answers are its labels, and 9 for a row of zeros."""

    blob = b""
    facts = {}  # noqa: RUF012

    def predict(self, rows):
        return np.full(len(rows), 9), np.full(len(rows), 90)

    def quantisation(self, rows):
        return {}

    def answers(self, label, score):
        return label.astype(float)


def test_a_window_is_the_flows_with_most_down_bytes_and_of_equals_the_first_seen():
    found = choose(
        verdicts((1, 0, 500, 3, 30), (0, 0, 400, 2, 20), (4, 1, 7, 5, 50), (2, 1, 7, 4, 40), (0, 3, 0, 1, 10)),
        *(Echo(), 4, 2),
    )
    assert found.label.tolist() == [3, 4, 9, 1]
    assert found.score.tolist() == [30, 40, 90, 10]
    assert found.flow.tolist() == [1, 2, NO_FLOW, 0]
    assert found.answer.tolist() == [3.0, 4.0, 9.0, 1.0]


def test_windows_outside_a_trace_are_left_out():
    found = choose(verdicts((0, 5, 1, 1, 1), (0, 2, 1, 1, 1), (0, 0, 1, 1, 1)), Echo(), 2, 2)
    assert found.flow.tolist() == [0, NO_FLOW]


def test_no_verdict_at_all_is_the_model_on_zeros():
    assert choose(verdicts(), Echo(), 3, 2).label.tolist() == [9, 9, 9]


ROW = st.tuples(
    st.integers(0, 3), st.integers(0, 4), st.integers(0, 3), st.integers(0, 5), st.integers(-(1 << 31), (1 << 31) - 1)
)


@given(st.lists(ROW, unique_by=lambda row: row[:2]), st.randoms())
def test_the_order_of_verdicts_doesnt_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = [verdicts(*rows)], [verdicts(*shuffled)]
    assert digest(one) == digest(other)
    np.testing.assert_array_equal(table(one), table(other))
    chosen = [choose(each[0], Echo(), 5, 2) for each in (one, other)]
    np.testing.assert_array_equal(chosen[0].flow, chosen[1].flow)
    assert agreement(one, other) == 1.0 if rows else np.isnan(agreement(one, other))


def test_agreement_counts_what_differs_and_what_only_one_has():
    one = [verdicts((0, 0, 10, 1, 5), (0, 1, 10, 1, 5), (1, 0, 3, 0, 2))]
    assert agreement(one, [verdicts((0, 0, 10, 1, 5), (0, 1, 10, 1, 6))]) == pytest.approx(1 / 3)
    assert agreement(one, [verdicts((0, 0, 11, 1, 5), (0, 1, 10, 2, 5), (1, 0, 3, 0, 2), (9, 9, 1, 1, 1))]) == 1 / 4
    assert digest(one) != digest([verdicts((0, 0, 10, 1, 5))])


def test_the_reference_chooses_the_features_own_flow(house):
    config = probing(house)
    corpus = load_corpus(config, house)
    names_of = feature_names("F2")
    traces = [*corpus.train, *corpus.test]
    examples = gather(TASKS["fps"], traces, extract_all(traces, "F2"), (), "F2")
    model = trees.build({}).fit(examples.features, examples.labels, names_of, False, 0)
    result = UserSpace().run(Probe("p", "F2", "tc", "libbpf", "fps", model), corpus.test)
    assert digest(result.verdicts) == digest(judge(model, corpus.test, "F2"))
    for trace, found in zip(corpus.test, result.verdicts, strict=True):
        chosen = choose(found, model, len(trace.labels), len(names_of))
        wanted = model.predict(extract(trace, "F2").values)
        np.testing.assert_array_equal(chosen.label, wanted[0])
        np.testing.assert_array_equal(chosen.score, wanted[1])


def changed(keys, others):
    return {name for name in ("fit", "sample", "score", "model", "probe") if keys.of(name) != others.of(name)}


def test_keys_of_a_probe_depend_on_what_they_say(house):
    keys = stage_keys(probing(house), None, house)
    assert keys.model
    assert keys.probe
    assert changed(keys, stage_keys(config_of(house), None, house)) == {"model", "probe"}
    assert changed(keys, stage_keys(probing(house, "same"), None, house)) == {"probe"}
    assert changed(keys, stage_keys(probing(house, hook="xdp"), None, house)) == {"probe"}
    assert changed(keys, stage_keys(probing(house, loader="bcc"), None, house)) == {"probe"}
    assert changed(keys, stage_keys(probing(house, features="F3"), None, house)) == {"model", "probe"}
    assert changed(keys, stage_keys(probing(house, choices={"leaf": [1]}), None, house)) == {"model", "probe"}
    other = stage_keys(probing(house, module="bpf.models.linear"), None, house)
    assert changed(keys, other) == {"model", "probe"}
    reseeded = {**probing(house), "seed": 1}
    assert changed(keys, stage_keys(reseeded, None, house)) == {"fit", "sample", "score", "model", "probe"}


def test_a_changed_source_of_the_router_changes_the_probes_key_alone(house):
    before = stage_keys(probing(house, "same"), None, house)
    (house / "bpf" / "extra.h").write_text("int y;\n")
    assert changed(before, stage_keys(probing(house, "same"), None, house)) == {"probe"}


def test_files_are_digested_by_name_and_content(tmp_path):
    for name, content in (("a.h", "1"), ("b/c.h", "2"), ("b/__pycache__/d.pyc", "3")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    before = files_digest(["a.h", "b"], tmp_path)
    (tmp_path / "b/__pycache__/d.pyc").write_text("4")
    assert files_digest(["b", "a.h"], tmp_path) == before
    (tmp_path / "b/c.h").rename(tmp_path / "b/e.h")
    assert files_digest(["a.h", "b"], tmp_path) != before
    with pytest.raises(FileNotFoundError):
        files_digest(["nowhere"], tmp_path)


def test_settings_of_a_router_without_a_probe_make_no_other_cell(house):
    bare, settled = config_of(house), config_of(house)
    settled["router"] = {"name": "none", "module": "bpf.routers.none", "sources": [], "options": {}}
    assert cell_id(bare) == cell_id(settled)
    assert cell_id(probing(house)) != cell_id(probing(house, "same"))


@pytest.mark.parametrize("probe", names("probe", ROOT / "conf"))
def test_every_probe_can_be_chosen_and_builds(probe):
    config = compose("generator=resample", f"probe={probe}", "router=host")
    assert config["probe"]["name"] == probe
    assert has_probe(config) == (probe != "none")
    if probe == "none":
        return
    chosen = {name: values[0] for name, values in config["probe"]["choices"].items()}
    fitter = build_fitter(config, {**config["probe"]["options"], **chosen}, ROOT)
    rows = np.random.default_rng(0).integers(0, 1000, (40, len(feature_names(config["probe"]["features"]))))
    model = fitter.fit(rows, (rows[:, 0] > 500).astype(float), feature_names(config["probe"]["features"]), True, 0)
    assert len(model.predict(rows)[0]) == 40


@pytest.mark.parametrize("router", names("router", ROOT / "conf"))
def test_every_router_names_a_module_and_its_sources(router):
    config = compose("generator=resample", "probe=forest", f"router={router}")["router"]
    assert config["name"] == router
    assert config["module"] == f"bpf.routers.{router}"
    assert isinstance(config["sources"], list)


def test_a_wrong_setting_gets_the_nearest_right_one(house):
    corpus = load_corpus(probing(house), house)
    assert read_settings(probing(house), corpus).task.name == "fps"
    for changes, words in (
        ({"features": "F6"}, "probe.features: no 'F6'"),
        ({"hook": "tcc"}, "did you mean 'tc'"),
        ({"loader": "libbf"}, "did you mean 'libbpf'"),
        ({"task": "fsp"}, "did you mean 'fps'"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_settings(probing(house, **changes), corpus)
    for task, words in (("height", "the windows before"), ("rung", "no trace of the train split")):
        with pytest.raises(Incompatible, match=words):
            read_settings(probing(house, task=task), corpus)


def test_the_model_is_chosen_on_validation(house, tmp_path):
    config = probing(house)
    corpus = load_corpus(config, house)
    facts = train_model(config, house, corpus, corpus.train, tmp_path)
    losses = {one["options"]["leaf"]: one["validation_loss"] for one in facts["candidates"]}
    assert set(losses) == {1, 3}
    assert facts["options"]["leaf"] == min(losses, key=losses.get)
    assert facts["bytes"] == (tmp_path / "model.bin").stat().st_size
    again = train_model(config, house, corpus, corpus.train, tmp_path)
    assert again == facts


def test_synthetic_windows_without_a_label_are_no_training(house, tmp_path):
    config = probing(house)
    corpus = load_corpus(config, house)
    unlabelled = [
        replace(trace, condition=replace(trace.condition, labels=Labels.unknown(len(trace.labels))))
        for trace in corpus.train
    ]
    with pytest.raises(Incompatible, match="no synthetic window"):
        train_model(config, house, corpus, unlabelled, tmp_path)


def evidence_of(test, probe=None):
    return Evidence([], [], test, [], [], [], probe=probe)


def test_every_kernel_metric_is_null_with_a_reason_without_a_probe():
    scores = kernel.score(evidence_of([]))
    assert set(scores) == {metric.name for metric in kernel.METRICS}
    assert all(score.value is None and score.reason for score in scores.values())


def test_kernel_metrics_say_what_the_router_says(house):
    test = list(load_corpus(probing(house), house).test)
    offset = [1.0, 3.0]
    choices = []
    for trace, off in zip(test, offset, strict=True):
        truth = np.nan_to_num(TASKS["fps"].read(trace, ()), nan=99.0)
        nothing = np.zeros(len(truth), np.int64)
        choices.append(Choice(truth + off, nothing, nothing, nothing))
    result = ProbeResult([], {"added_ns": 12.5, "unaccounted": 0.0}, {"closing_ns": "no clock", "": "no kernel"})
    scores = kernel.score(evidence_of(test, ProbeEvidence("fps", "fake", choices, result, 0.75)))
    assert scores["kernel.error.fps"].value == pytest.approx(2.0)
    assert scores["kernel.accuracy.fps"].value == pytest.approx(0.5)
    assert set(scores["kernel.accuracy.fps"].per_trace) == {trace.name for trace in test}
    assert scores["kernel.agreement"].value == 0.75
    assert scores["kernel.added_ns"].value == 12.5
    assert scores["kernel.unaccounted"].value == 0
    assert scores["kernel.closing_ns"].reason == "no clock"
    assert scores["kernel.map_bytes"].reason == "no kernel"
    assert scores["kernel.accuracy.rung"].reason == "the probe's task is fps"


def test_a_record_from_before_probes_is_read(tmp_path):
    path = tmp_path / "record.json"
    open_record(path, Record("c", "m", {}, {}, 0))
    close_record(path, Record("c", "m", {}, {}, 0))
    content = json.loads(path.read_text())
    for name in LATER:
        del content[name]
    path.write_text(json.dumps(content))
    assert read_record(path).probe == {}


@pytest.mark.slow
def test_a_sweep_of_routers_fits_once_and_predicts_the_same(house):
    rooms = rooms_of(house)
    found = {mode: run_cell(probing(house, mode), {}, rooms)[0] for mode in ("none", "same", "wrong")}
    assert [record.status for record in found.values()] == ["ok"] * 3, [record.reason for record in found.values()]
    assert (house / "diary").read_text().split() == ["fit", "sample"]
    for mode in ("same", "wrong"):
        assert {stage for stage, fact in found[mode].stages.items() if not fact["reused"]} == {"probe"}
    assert found["none"].probe["predictions"] == found["same"].probe["predictions"]
    assert found["none"].probe["predictions"] != found["wrong"].probe["predictions"]
    assert found["none"].probe["model"] == found["same"].probe["model"]
    accuracy = {mode: record.value("kernel.error.fps") for mode, record in found.items()}
    assert accuracy["none"] == accuracy["same"]
    assert found["none"].value("kernel.agreement") is None
    assert "reference itself" in found["none"].scores["kernel.agreement"]["reason"]
    assert found["same"].value("kernel.agreement") == 1.0
    assert found["wrong"].value("kernel.agreement") < 1.0
    assert found["same"].value("kernel.added_ns") == 42.0
    assert found["same"].probe["figures"]["verified_states"] == 7.0
    assert found["same"].probe["notes"] == {"rounds": [1, 2]}
    assert found["same"].scores["kernel.closing_ns"] == {"value": None, "interval": None, "reason": "no clock here"}
    assert read_record(rooms.cells / found["same"].cell / "record.json") == found["same"]
    assert run_cell(probing(house, "same"), {}, rooms) == (found["same"], True)
    stored = Store(rooms.store).folder("probe", stage_keys(probing(house, "same"), None, house).probe)
    assert np.load(stored / "verdicts.npy").shape[1] == 6


@pytest.mark.slow
def test_a_router_that_cant_run_leaves_an_unsupported_row_with_the_other_scores(house):
    rooms = rooms_of(house)
    record, _ = run_cell(probing(house, "unsupported"), {}, rooms)
    assert (record.status, record.reason) == ("unsupported", "bpf(2) says EPERM: be root")
    assert record.value("validity.l1.raw") == 1.0
    assert record.value("kernel.accuracy.fps") is None
    assert record.scores["kernel.added_ns"]["reason"]
    assert read_record(rooms.cells / record.cell / "record.json").status == "unsupported"


@pytest.mark.slow
def test_a_task_that_the_corpus_lacks_is_a_skipped_row(house):
    record, _ = run_cell(probing(house, task="rung"), {}, rooms_of(house))
    assert record.status == "skipped"
    assert "probe.task=rung" in record.reason
    assert record.value("validity.l1.raw") == 1.0
