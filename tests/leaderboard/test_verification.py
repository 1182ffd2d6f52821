"""Entries run again in the sandbox: honest ones score as they did, forged and hostile ones are named."""

import json
import shutil

import pytest

from benchmark.errors import ConfigError, Unsupported
from benchmark.harness.cell import run_cell
from benchmark.harness.registry import load_corpus
from benchmark.harness.rooms import Rooms
from leaderboard.submitting.bundle import keep_claims, request_text
from leaderboard.submitting.claims import read_claims
from leaderboard.submitting.entry import CODE, PLACE, RECORDS, find_entry
from leaderboard.submitting.rerun import Refused, run_entry
from leaderboard.submitting.sandbox.limits import Limits
from leaderboard.submitting.scaffold import first_card, make_method
from leaderboard.submitting.verification import Setting, asked_of, verify_entry
from tests.houses import ROOT, build_house, config_of, rooms_of

pytestmark = pytest.mark.slow

LIMITS = Limits(wall_s=200, memory_mb=2048, work_mb=64)
CHOICES = {"generator": "mine", "dataset": "pcaps", "budget": "tiny", "probe": "none", "router": "none"}

# A method that does harm in its fit, its save or its sampling; what is told stands in for the harm.
HOSTILE = """
from pathlib import Path
{imports}

class Hostile:
    def fit(self, corpus, budget, seed, log):
        self.traces = list(corpus.train)
        assert not corpus.test and not corpus.validation
        {fit}

    def save(self, folder):
        (folder / "model.json").write_text("{{}}")
        {save}

    def load(self, folder):
        pass

    def sample(self, conditions, seed):
        {sample}

def build(method):
    return Hostile()
"""


def house_of(folder):
    root = build_house(folder)
    (root / "leaderboard").mkdir()
    (root / "leaderboard" / "__init__.py").symlink_to(ROOT / "leaderboard" / "__init__.py")
    make_method("mine", root, first_card("Ada", "MIT", "Packets at random."))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return house_of(tmp_path_factory.mktemp("honest"))


@pytest.fixture(scope="module")
def setting(root):
    own = config_of(root, "mine") | {"generator": find_entry("mine", root).node}
    independent = config_of(root, "independent")
    return Setting((own, CHOICES), (independent, {**CHOICES, "generator": "independent"}), rooms_of(root))


@pytest.fixture(scope="module")
def own(root, setting):
    """The record of one run of the entry, as its author makes it, beside the entry."""
    independent = setting.independent[0]
    run_cell(independent, setting.independent[1], setting.rooms)
    record, _ = run_cell(setting.cell[0], CHOICES, setting.rooms, independent=independent)
    assert (record.status, record.reason) == ("ok", "")
    folder = root / PLACE / "mine" / RECORDS
    folder.mkdir()
    shutil.copyfile(setting.rooms.cells / record.cell / "record.json", folder / "tiny-0.record.json")
    return record


@pytest.fixture(scope="module")
def verified(root, setting, own):
    """The verdict from a sandbox on the author's seed and two more, and the records that it rests on."""
    rooms = Rooms(root, root / "again")
    shutil.copytree(setting.rooms.results, rooms.results)
    shutil.rmtree(rooms.cells / own.cell)
    for stage in ("fit", "sample", "score"):
        shutil.rmtree(rooms.stages.folder(stage, own.stages[stage]["key"]))
    try:
        return verify_entry(
            find_entry("mine", root), Setting(setting.cell, setting.independent, rooms), [0, 1, 2], LIMITS
        )
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def claimed(root, verified):
    """Records of three seeds, put beside the entry."""
    return keep_claims(find_entry("mine", root), root / "again" / "cells", "pcaps", "tiny")


def test_a_seed_run_in_the_sandbox_scores_as_it_did_outside(own, verified):
    verdict, (again, *_) = verified
    assert (verdict.outcome, verdict.reason) == ("verified", "")
    assert own.cell == again.cell
    kept = [metric for metric in own.scores if not metric.startswith("cost.")]
    assert {metric: own.scores[metric] for metric in kept} == {metric: again.scores[metric] for metric in kept}


def test_a_verdict_says_what_held_the_code(verified):
    assert {"mount", "net", "pid"} <= set(verified[0].isolation["namespaces"])
    assert verified[0].isolation["seccomp"]


def test_the_text_of_the_request_has_card_and_claims(root, claimed):
    text = request_text(find_entry("mine", root), claimed)
    assert "# Submission: mine" in text
    assert "- authors: Ada" in text
    assert "timing.distance" in text or "validity.l2.raw" in text


def test_too_few_seeds_are_no_claim(root, setting):
    with pytest.raises(ConfigError, match=r"seed=0,1,2"):
        keep_claims(find_entry("mine", root), root / "nowhere", "pcaps", "tiny")


def test_forged_scores_disagree(root, claimed, verified, setting):
    from leaderboard.submitting.verification import _compared

    entry = find_entry("mine", root)
    honest = {path: path.read_bytes() for path in (entry.folder / RECORDS).iterdir()}
    try:
        for path in honest:
            content = json.loads(path.read_text())
            content["scores"]["validity.l2.raw"]["value"] = 0.5
            path.write_text(json.dumps(content))
        claims, faults = read_claims(entry)
        assert faults == []
        verdict = _compared(verified[0], claims, verified[1])
    finally:
        for path, content in honest.items():
            path.write_bytes(content)
    assert verdict.outcome == "disagrees"
    assert "validity.l2.raw claimed 0.500, measured 1.000" in verdict.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record: record.update(cell="0" * 12), "its id isn't that of its config"),
        (lambda record: record["config"].update(seed=9), "isn't that of its config"),
        (lambda record: record["config"]["generator"].update(name="gpt"), "isn't of this entry"),
        (lambda record: record.update(config={}), "not a record of a cell"),
        (lambda record: record.update(status="failed"), "its status is failed"),
        (lambda record: record.update(schema=99), "schema is 99"),
    ],
)
def test_forged_records_are_named(root, claimed, tmp_path, change, reason):
    other = tmp_path / PLACE
    shutil.copytree(root / PLACE, other)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    path = next((other / "mine" / RECORDS).iterdir())
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    _, faults = read_claims(find_entry("mine", tmp_path))
    assert len(faults) == 1
    assert reason in faults[0]


def test_claims_of_other_code_are_refused(root, claimed, setting):
    path = root / PLACE / "mine" / CODE
    before = path.read_text()
    try:
        path.write_text(before + "\nEXTRA = 1\n")
        verdict, _ = verify_entry(find_entry("mine", root), setting, [7, 8, 9], LIMITS)
    finally:
        path.write_text(before)
    assert verdict.outcome == "refused"
    assert "made by other code" in verdict.reason


def attack(root, limits=LIMITS, **parts):
    code = HOSTILE.format(**{"imports": "", "fit": "pass", "save": "pass", "sample": "yield from self.traces", **parts})
    path = root / PLACE / "mine" / CODE
    before = path.read_text()
    try:
        path.write_text(code)
        entry = find_entry("mine", root)
        config = config_of(root, "mine") | {"generator": entry.node}
        corpus = load_corpus(config, root)
        found = run_entry(entry, config, corpus, asked_of(corpus, config), limits)
    except Unsupported as error:
        pytest.skip(str(error))
    finally:
        path.write_text(before)
    assert isinstance(found, Refused)
    return found


def test_a_model_that_is_a_pickle_is_refused(root):
    found = attack(root, save='(folder / "weights.pkl").write_bytes(bytes.fromhex("80049529"))')
    assert "'weights.pkl' isn't a model file" in found.reason


def test_the_test_split_is_nowhere_to_be_found(root):
    look = 'found = [f for _, _, files in os.walk("/") for f in files if f.endswith(".pcap")]'
    tell = 'raise SystemExit(f"found {found}")'
    assert attack(root, imports="import os", fit=f"{look}; {tell}").reason == "found []"


def test_a_hang_is_ended(root):
    found = attack(root, Limits(wall_s=10, memory_mb=2048, work_mb=64), imports="import time", fit="time.sleep(600)")
    assert found.kind == "time"


def test_samples_that_are_something_else_are_refused_and_scores_of_its_own_change_nothing(root):
    fill = 'Path(f"/sandbox/out/traces-{n}.parquet").write_bytes(b"PAR1" + bytes(1000) + b"PAR1")'
    forge = 'Path(f"/sandbox/out/{n}.json").write_text("{}")'
    write = f'[{fill} for n in ("asked", "low", "high")]; [{forge} for n in ("record", "verified")]'
    assert attack(root, sample=f"import os; {write}; os._exit(0); yield").kind == "samples"
    assert not (root / PLACE / "mine" / "verified.json").exists()
