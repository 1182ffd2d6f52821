"""Commands whose output nobody reads any more end quietly; every other broken pipe is a fault."""

import os
import subprocess
import sys

import pytest

from tests.houses import ROOT

HEADER = "from benchmark.commands.piped import piped_output\nimport os, sys\nwith piped_output():\n"


def run_unread(words, unbuffered=""):
    """Run a command into a pipe that has no reader; return its status and what it said of errors."""
    read, write = os.pipe()
    os.close(read)
    how = {"stdout": write, "stderr": subprocess.PIPE, "env": os.environ | {"PYTHONUNBUFFERED": unbuffered}}
    try:
        done = subprocess.run([sys.executable, *words], cwd=ROOT, text=True, timeout=120, check=False, **how)
    finally:
        os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["run.py", "--help"],
        ["-m", "benchmark", "plot", "--help"],
        ["-m", "bpf", "doctor"],
        ["-m", "leaderboard", "show", "--json"],
    ],
    ids=lambda words: words[-2],
)
def test_every_command_ends_quietly(words):
    status, said = run_unread(words)
    assert status == 1
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.parametrize("ending", ["pass", "sys.exit(0)"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_few_words_nobody_reads_are_noticed_however_they_are_buffered(ending, unbuffered):
    assert run_unread(["-c", f"{HEADER} print('few words')\n {ending}"], unbuffered) == (1, "")


def test_another_broken_pipe_is_a_fault():
    broken = "read, write = os.pipe(); os.close(read); os.write(write, b'x')"
    done = subprocess.run(
        [sys.executable, "-c", f"{HEADER} {broken}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


def test_a_status_is_passed_on():
    done = subprocess.run([sys.executable, "-c", f"{HEADER} print(1)\n sys.exit(3)"], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout) == (3, b"1\n")
