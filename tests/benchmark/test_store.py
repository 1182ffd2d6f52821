"""The store keeps whole results only, and makes each but once."""

import errno
import multiprocessing
import os
import signal
import time

import pytest

from benchmark.harness.store import Store, digest_of, write_bytes, write_json


def test_a_result_is_made_once_and_found_again(tmp_path):
    store, calls = Store(tmp_path), []

    def work(folder):
        calls.append(1)
        (folder / "model.bin").write_bytes(b"weights")
        return {"seconds": 1.5}

    first = store.make("fit", "k" * 64, work)
    second = store.make("fit", "k" * 64, work)
    assert len(calls) == 1
    assert (first[2], second[2]) == (False, True)
    assert second[1] == {"seconds": 1.5}
    assert (second[0] / "model.bin").read_bytes() == b"weights"


@pytest.mark.parametrize(("lacked", "made"), [(["sh"], 2), (["no-such-program"], 1), ([], 1)])
def test_a_result_stands_until_a_tool_that_it_lacked_is_there(tmp_path, lacked, made):
    store, calls = Store(tmp_path), []

    def work(_):
        calls.append(1)
        return {"seconds": 1.0, "lacked": [] if len(calls) == 2 else lacked}

    found = [store.make("score", "k" * 64, work)[2] for _ in range(3)]
    assert (len(calls), found) == (made, [False, made == 1, True])


def test_a_failed_result_leaves_nothing(tmp_path):
    store = Store(tmp_path)

    def work(folder):
        (folder / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make("fit", "a" * 64, work)
    assert store.facts("fit", "a" * 64) is None
    assert [path.name for path in (tmp_path / "fit").iterdir() if path.is_dir()] == []


def _slow(root, ready):
    def work(folder):
        (folder / "who").write_text(str(os.getpid()))
        ready.set()
        time.sleep(1.0)
        return {"pid": os.getpid()}

    Store(root).make("fit", "b" * 64, work)


def test_a_second_worker_waits_and_takes_the_first_ones_result(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=_slow, args=(tmp_path, ready))
    worker.start()
    assert ready.wait(60)
    _, facts, reused = Store(tmp_path).make("fit", "b" * 64, lambda folder: pytest.fail("made twice"))
    worker.join()
    assert reused
    assert facts["pid"] == worker.pid


def test_a_killed_worker_leaves_the_key_free(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=_slow, args=(tmp_path, ready))
    worker.start()
    assert ready.wait(60)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    folder, _, reused = Store(tmp_path).make("fit", "b" * 64, lambda folder: {"fresh": True})
    assert not reused
    assert not (folder / "who").exists()


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_bytes(path, b"new")
    assert path.read_text() == '{\n "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_digests_ignore_the_order_of_keys_only():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
