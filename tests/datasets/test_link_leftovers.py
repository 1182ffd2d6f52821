"""Nothing of an emulated link is left behind, however a lane's process ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lane import Lane
from link import namespaces
from tests.datasets.lanes import needs_namespaces

TESTBED = Path(namespaces.__file__).parents[1]


PARENT = """
import os, signal, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from lane import Lane
from link import open_link
from session import Link
with Lane(int(sys.argv[2])) as lane, open_link(lane, Link(down=((0, 5),))):
    lane.popen(lane.client, ["sleep", "100"])
    lane.popen(None, ["setsid", "sh", "-c", "sleep 101 & trap '' TERM INT; sleep 102; sleep 103"])
    lane.popen(lane.server, ["setsid", "env", "-i", "sleep", "104"])
    time.sleep(0.2)
    print(lane.name, lane._keeper.pid, flush=True)
    sys.stdin.readline()
    if sys.argv[3] == "error":
        raise RuntimeError("meant")
"""


@contextlib.contextmanager
def parent(index, ending=""):
    needs_namespaces()
    argv = [sys.executable, "-c", PARENT, str(TESTBED), str(index), ending]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        words = process.stdout.readline().decode().split()
        assert words, process.stderr.read().decode()
        yield process, words[0], int(words[1])
    finally:
        process.kill()
        process.communicate()


def left_of(lane, patience=8.0):
    """Return the processes and namespaces of a lane that are left after a while."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        names = [name for name in namespaces.names_of(lane) if (namespaces.FOLDER / name).exists()]
        left = [*namespaces.members(lane), *names]
        if not left:
            break
        time.sleep(0.02)
    return left


@pytest.mark.parametrize("ending", ["normal", "error", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_any_end(ending):
    bystander = subprocess.Popen(["sleep", "30"])
    try:
        with parent(92, str(ending)) as (process, lane, _):
            # The relay, three programs of the client's and server's, and two below the shell.
            assert len(namespaces.members(lane)) >= 5
            if isinstance(ending, signal.Signals):
                process.send_signal(ending)
            else:
                process.stdin.write(b"\n")
                process.stdin.flush()
            process.wait(timeout=10)
            assert left_of(lane) == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_later_start_sweeps_what_is_left_when_the_keeper_is_killed_too():
    with parent(93) as (process, lane, keeper):
        Lane.sweep()
        assert (namespaces.FOLDER / f"{lane}-client").exists()
        os.kill(keeper, signal.SIGKILL)
        process.kill()
        process.wait()
        assert lane in Lane.sweep()
        assert left_of(lane, patience=1.0) == []
