"""Results at a URL: workers that share nothing else find each other's work, and don't do it twice."""

import json
import threading
import time
import uuid

import pytest

from benchmark.errors import ConfigError
from benchmark.harness.cell import run_cell
from benchmark.harness.lease import lease
from benchmark.harness.remote import Remote, work_folder
from benchmark.harness.rooms import Rooms, fetch_records, local_folder, rooms_at
from benchmark.harness.store import Store
from tests.houses import ROOT, build_house, config_of

KEY = "k" * 64


@pytest.fixture(params=["memory", "file", "s3"])
def remote(request, tmp_path):
    if request.param == "s3":
        return Remote(f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}")
    return Remote(f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/shared")


@pytest.fixture(scope="module")
def bucket():
    """An empty bucket of a server on this machine that speaks S3."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs isn't installed")
    server = pytest.importorskip("moto.server", reason="moto[server] isn't installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    given = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("results")
        yield "s3://results"
    server.stop()


def test_files_are_written_whole_and_read_back(remote):
    assert remote.read("a/b.json") is None
    remote.write("a/b.json", b"one")
    remote.write("a/b.json", b"two")
    assert remote.read("a/b.json") == b"two"
    assert remote.names("a") == ["b.json"]
    assert remote.names("nowhere") == []


def test_only_one_of_many_creates_a_file(remote):
    won = []
    workers = [threading.Thread(target=lambda n=n: won.append(remote.create("x/0", b"%d" % n))) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # fsspec's in-memory files are one process's own, and not made for a race of its threads.
    assert sorted(won) == [False] * 7 + [True] or (remote.protocols == {"memory"} and any(won))
    assert not remote.create("x/0", b"late")


def test_a_result_made_by_one_worker_is_found_by_another(remote, tmp_path):
    def work(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "model.bin").write_bytes(b"weights")
        return {"seconds": 1.5}

    made = Store(tmp_path / "one", remote).make("fit", KEY, work)
    other = Store(tmp_path / "two", remote)
    assert other.facts("fit", KEY) is None
    assert other.has("fit", KEY)
    found = other.make("fit", KEY, lambda folder: pytest.fail("made twice"))
    assert (made[2], found[2]) == (False, True)
    assert found[1] == {"seconds": 1.5}
    assert (found[0] / "deep" / "model.bin").read_bytes() == b"weights"


def test_a_result_whose_facts_are_missing_is_not_there(remote, tmp_path):
    remote.write(f"store/fit/{KEY[:32]}/model.bin", b"half")
    store = Store(tmp_path, remote)
    assert not store.has("fit", KEY)
    assert store.make("fit", KEY, lambda folder: {"fresh": True})[2] is False


def test_a_result_made_with_a_tool_takes_the_place_of_one_that_lacked_it(remote, tmp_path):
    key = "1" * 64  # in-memory files outlive a test
    remote.write(f"store/score/{key[:32]}/stage.json", b'{"lacked": ["sh"]}')
    assert Store(tmp_path / "one", remote).make("score", key, lambda folder: {"lacked": []})[2] is False
    other = Store(tmp_path / "two", remote)
    assert other.make("score", key, lambda folder: pytest.fail("made twice"))[1:] == ({"lacked": []}, True)


def test_a_failed_result_is_not_shared_and_leaves_the_key_free(remote, tmp_path):
    def fail(folder):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Store(tmp_path / "one", remote).make("fit", KEY, fail)
    assert json.loads(remote.read(f"leases/fit/{KEY[:32]}/000000"))["released"]
    assert Store(tmp_path / "two", remote).make("fit", KEY, lambda folder: {"fresh": True})[2] is False


def test_two_workers_make_a_result_once(remote, tmp_path):
    made = []

    def work(folder):
        made.append(folder)
        time.sleep(0.3)
        return {}

    stores = [Store(tmp_path / str(number), remote) for number in range(4)]
    workers = [threading.Thread(target=store.make, args=("fit", KEY, work)) for store in stores]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 1
    assert all(store.facts("fit", KEY) == {} for store in stores)


def test_a_holder_elsewhere_that_beats_keeps_its_lease_and_one_that_stopped_loses_it(remote):
    holder = {"holder": "other", "machine": "another boot", "pid": 1, "born": "1", "beat": 0}
    remote.write("leases/fit/a/000000", json.dumps(holder).encode())
    stop = threading.Event()

    def beat():
        while not stop.wait(0.05):
            holder["beat"] += 1
            remote.write("leases/fit/a/000000", json.dumps(holder).encode())

    heart = threading.Thread(target=beat)
    heart.start()
    got, waited = threading.Event(), []

    def take():
        with lease(remote, "fit/a", patience=1.5, wait=lambda: waited.append(1)):
            got.set()

    taker = threading.Thread(target=take)
    taker.start()
    assert not got.wait(2.5)
    stop.set()
    heart.join()
    assert got.wait(30)
    taker.join()
    assert waited == [1]


def test_a_dead_holder_of_this_machine_is_not_waited_for(remote):
    with lease(remote, "fit/a"):
        content = json.loads(remote.read("leases/fit/a/000000"))
    remote.write("leases/fit/a/000000", json.dumps({**content, "born": "1"}).encode())
    with lease(remote, "fit/a", patience=1e9):
        assert remote.read("leases/fit/a/000001")


def test_a_torn_lease_is_over_after_patience(remote):
    remote.write("leases/fit/a/000000", b'{"hold')
    with lease(remote, "fit/a", patience=0.5):
        assert remote.read("leases/fit/a/000001")


def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path):
    remote = Remote(f"memory://{uuid.uuid4().hex}")
    remote.files.store[f"{remote.base}/store/../../out"] = remote.files.open(f"{remote.base}/x", "wb")
    remote.files.store[f"{remote.base}/store/../../out"].close()
    with pytest.raises(OSError, match="isn't a name inside"):
        remote.names("store")


def test_urls_that_cannot_be_used_say_why():
    with pytest.raises(ConfigError, match="gone with its process"):
        rooms_at(ROOT, "memory://x")
    with pytest.raises(ConfigError, match="results=nosuch://x"):
        rooms_at(ROOT, "nosuch://x")


def test_paths_stay_what_they_were():
    assert rooms_at(ROOT, "results") == Rooms(ROOT, ROOT / "results")
    assert local_folder("results") == "results"
    assert rooms_at(ROOT, "results", "validation").results == ROOT / "results" / "validation"


def test_each_url_has_a_folder_of_its_own_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACEARENA_SCRATCH", str(tmp_path))
    assert work_folder("s3://a/b").parent == tmp_path
    assert len({work_folder("s3://a/b"), work_folder("s3://a/b/"), work_folder("s3://a/c")}) == 2


@pytest.mark.slow
def test_machines_that_share_a_url_run_a_cell_once(tmp_path):
    """Two machines, each with its own folder: the second finds the record, then the stages without the record."""
    root, remote = build_house(tmp_path), Remote(f"file://{tmp_path}/shared")
    machines = [Rooms(root, tmp_path / name, remote) for name in ("one", "two", "three")]
    record, found = run_cell(config_of(root), {"generator": "fragile"}, machines[0])
    assert (record.status, found) == ("ok", False)
    again, found = run_cell(config_of(root), {"generator": "fragile"}, machines[1])
    assert found
    assert again == record
    assert (root / "diary").read_text().split() == ["fit", "sample"]
    remote.files.rm(f"{remote.base}/cells", recursive=True)
    third, found = run_cell(config_of(root), {"generator": "fragile"}, machines[2])
    assert not found
    assert all(stage["reused"] for stage in third.stages.values())
    assert (machines[2].cells / third.cell / "picture.png").exists()
    assert (root / "diary").read_text().split() == ["fit", "sample"]
    gathered = tmp_path / "gathered"
    gathered.mkdir()
    assert fetch_records(remote, gathered) == 1
