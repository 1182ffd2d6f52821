"""Whatever happens to a cell, it leaves a row; and what was done isn't done twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.harness.cell import run_cell
from benchmark.harness.stage import cell_id, stage_keys
from benchmark.record import read_record
from tests.houses import ROOT, build_house, config_of, rooms_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A house in which one cell has run to its end."""
    root = build_house(tmp_path_factory.mktemp("finished"))
    record, found = run_cell(config_of(root), {"generator": "fragile"}, rooms_of(root))
    assert not found
    return root, record


@pytest.fixture
def house(tmp_path):
    return build_house(tmp_path)


def diary(root):
    path = root / "diary"
    return path.read_text().split() if path.exists() else []


def copy_of(root, tmp_path):
    """A copy of a finished house whose config still names the first one's corpus."""
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_a_finished_cell_is_ok_and_complete(finished):
    root, record = finished
    assert (record.status, record.reason) == ("ok", "")
    assert set(record.stages) == {"fit", "sample", "score"}
    assert record.value("validity.l1.raw") == 1.0
    assert record.value("cost.fit_s") is not None
    assert record.floors
    assert record.metric_versions
    assert record.packages["numpy"]
    assert record.machine["cores"] >= 1
    assert read_record(root / "results" / "cells" / record.cell / "record.json") == record
    assert (root / "results" / "cells" / record.cell / "picture.png").stat().st_size > 1000


def test_a_score_that_is_null_says_why(finished):
    _, record = finished
    nulls = {name: score for name, score in record.scores.items() if score["value"] is None}
    assert nulls
    assert [name for name, score in nulls.items() if not score["reason"]] == []


def test_the_same_cell_is_found_again(finished):
    root, record = finished
    before = diary(root)
    again, found = run_cell(config_of(root), {}, rooms_of(root))
    assert found
    assert again == record
    assert diary(root) == before


@pytest.mark.parametrize("key", ["cell_seconds", "fit_seconds"])
def test_deadlines_are_in_no_key(finished, key):
    root, record = finished
    config = config_of(root)
    config["budget"][key] = 77
    assert cell_id(config) == record.cell
    assert stage_keys(config, None, root) == stage_keys(config_of(root), None, root)


def test_a_changed_router_refits_nothing(finished):
    root, _ = finished
    config = config_of(root)
    config["router"] = {"name": "elsewhere"}
    assert cell_id(config) != cell_id(config_of(root))
    assert stage_keys(config, None, root) == stage_keys(config_of(root), None, root)


def test_a_changed_method_file_recomputes_fit_sample_and_score(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
    config = config_of(finished[0])
    method = root / "baselines" / "fragile.py"
    method.write_text(method.read_text() + "\nCHANGED = True\n")
    before, after = stage_keys(config, None, finished[0]), stage_keys(config, None, root)
    assert before.fit != after.fit
    assert before.sample != after.sample
    assert before.score != after.score
    assert before.floor == after.floor
    record, found = run_cell(config, {}, rooms_of(root))
    assert not found
    assert [record.stages[stage]["reused"] for stage in ("fit", "sample", "score")] == [False, False, False]


def test_another_methods_file_changes_nothing(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
    (root / "baselines" / "markov.py").unlink()
    (root / "baselines" / "markov.py").write_text("X = 1\n")
    config = config_of(finished[0])
    assert stage_keys(config, None, finished[0]) == stage_keys(config, None, root)


def test_a_changed_metric_rescores_only(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
    (root / "benchmark").unlink()
    shutil.copytree(ROOT / "benchmark", root / "benchmark", ignore=shutil.ignore_patterns("__pycache__"))
    config = config_of(finished[0])
    assert stage_keys(config, None, root) == stage_keys(config, None, finished[0])
    metric = root / "benchmark" / "metrics" / "cost.py"
    metric.write_text(metric.read_text() + "\nCHANGED = True\n")
    before, after = stage_keys(config, None, finished[0]), stage_keys(config, None, root)
    assert (before.fit, before.sample) == (after.fit, after.sample)
    assert before.score != after.score


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark isn't installed")
def test_what_a_missing_tool_left_out_is_scored_when_it_is_there(house, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path / "empty"))
        before, _ = run_cell(config_of(house), {}, rooms_of(house))
        assert run_cell(config_of(house), {}, rooms_of(house)) == (before, True)
    assert before.scores["validity.l3.raw"] == {"value": None, "interval": None, "reason": "tshark isn't installed"}
    assert (before.stages["score"]["lacked"], before.floors["validity.l3.raw"]) == (["tshark"], None)

    after, found = run_cell(config_of(house), {}, rooms_of(house))
    assert not found
    assert (after.value("validity.l3.raw"), after.floors["validity.l3.raw"]) == (1.0, 1.0)
    assert [after.stages[stage]["reused"] for stage in ("fit", "sample", "score")] == [True, True, False]
    assert "lacked" not in after.stages["score"]
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path / "empty"))
        assert run_cell(config_of(house), {}, rooms_of(house)) == (after, True)


def test_a_changed_corpus_recomputes_all(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
    labels = root / "captures" / "labels.csv"
    labels.write_text(labels.read_text().replace("web", "mail", 1))
    before, after = stage_keys(config_of(finished[0]), None, root), stage_keys(config_of(root), None, root)
    assert before.fit != after.fit
    assert before.floor != after.floor


def test_a_raise_is_a_row_and_the_next_run_resumes(house):
    config = config_of(house, mode="raise", stage="sample")
    record, _ = run_cell(config, {}, rooms_of(house))
    assert record.status == "failed"
    assert record.reason == "ValueError: the method gave up"
    assert "fragile.py" in record.traceback
    # The harness's own files are named from the project's root, as the record is published.
    assert '"benchmark/harness/child.py"' in record.traceback
    assert str(ROOT) not in record.traceback
    assert diary(house) == ["fit", "sample"]
    run_cell(config, {}, rooms_of(house))
    assert diary(house) == ["fit", "sample", "sample"]
    kept, found = run_cell(config, {}, rooms_of(house), retry=False)
    assert found
    assert kept.status == "failed"


def test_a_timeout_is_a_row_and_kills_the_whole_group(house):
    config = config_of(house, mode="hang", stage="fit")
    config["budget"]["cell_seconds"] = 12
    started = time.monotonic()
    record, _ = run_cell(config, {}, rooms_of(house))
    assert record.status == "timeout"
    assert "12 s" in record.reason
    assert time.monotonic() - started < 60
    assert diary(house) == ["fit"]


def test_a_killed_child_is_a_row(house):
    record, _ = run_cell(config_of(house, mode="kill", stage="fit"), {}, rooms_of(house))
    assert record.status == "failed"
    assert "SIGKILL" in record.reason


def test_a_missing_privilege_is_unsupported(house):
    record, _ = run_cell(config_of(house, mode="unsupported", stage="fit"), {}, rooms_of(house))
    assert (record.status, record.reason) == ("unsupported", "needs a machine that flies")


def test_a_missing_corpus_is_a_row(house):
    config = config_of(house)
    config["dataset"]["path"] = str(house / "nowhere")
    record, _ = run_cell(config, {}, rooms_of(house))
    assert record.status == "failed"
    assert "nowhere" in record.reason


def test_a_missing_module_is_a_row_with_the_nearest_name(house):
    config = config_of(house)
    config["generator"]["module"] = "baselines.fragil"
    record, _ = run_cell(config, {}, rooms_of(house))
    assert record.status == "failed"
    assert "fragil" in record.reason


PARENT = """
import sys
from pathlib import Path
from benchmark.harness.cell import run_cell
from tests.houses import config_of, rooms_of
root = Path(sys.argv[1])
run_cell(config_of(root, mode="hang", stage=sys.argv[2]), {}, rooms_of(root))
"""


@pytest.mark.parametrize("stage", ["fit", "sample"])
def test_a_killed_parent_leaves_a_row_no_child_and_a_resumable_store(house, stage):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(house), stage], cwd=ROOT)
    deadline = time.monotonic() + 120
    while stage not in diary(house) and time.monotonic() < deadline:
        time.sleep(0.1)
    config = config_of(house, mode="hang", stage=stage)
    path = house / "results" / "cells" / cell_id(config) / "record.json"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    record = read_record(path)
    assert record.status == "failed"
    assert record.reason.startswith("died")
    assert record.pid == parent.pid
    for _ in range(100):
        if not _running(str(path.parent)):
            break
        time.sleep(0.1)
    assert not _running(str(path.parent))

    # The same key finds what was finished; the method's file hangs still, so only the fit is looked at.
    config["budget"]["cell_seconds"] = 15
    record, found = run_cell(config, {}, rooms_of(house))
    assert not found
    assert record.status == "timeout"
    assert diary(house).count("fit") == (2 if stage == "fit" else 1)


def _running(folder):
    """Command lines of children that work on a cell's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if folder.encode() in words and b"cell" in words:
            found.append(words)
    return found


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_row(small_disk):
    root = build_house(small_disk)
    record, _ = run_cell(config_of(root, mode="fill", stage="fit"), {}, rooms_of(root))
    assert record.status == "failed"
    assert "disk full" in record.reason
    stored = root / "results" / "store" / "fit"
    assert [path for path in stored.iterdir() if path.is_dir()] == []
    healed = config_of(root)
    assert run_cell(healed, {}, rooms_of(root))[0].status == "ok"


def test_a_disk_that_is_full_to_the_last_byte_still_takes_the_record(small_disk):
    root = build_house(small_disk)
    ballast = root / "ballast"
    record_file = root / "results" / "cells" / cell_id(config_of(root, mode="raise", stage="sample")) / "record.json"

    def fill(event):
        if event["what"] == "stage:sample" and not ballast.exists():
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(65536))
                except OSError:
                    pass

    record, _ = run_cell(config_of(root, mode="raise", stage="sample"), {}, rooms_of(root), listen=fill)
    assert record.status == "failed"
    assert json.loads(record_file.read_bytes())["status"] == "failed"
    assert not json.loads(record_file.read_bytes())["reason"].startswith("died")
