"""The sandbox against code that means harm: each attempt ends, is named, and leaves nothing behind."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmark.errors import Unsupported
from leaderboard.submitting.sandbox import seccomp
from leaderboard.submitting.sandbox.groups import ROOT as GROUPS
from leaderboard.submitting.sandbox.jail import run_task
from leaderboard.submitting.sandbox.limits import Limits, Task

LIMITS = Limits(
    wall_s=20, cpu_s=1, memory_mb=200, processes=16, work_mb=8, files=200, printed_kb=64, result_mb=1, cores=1
)


def sandboxed(code, privileged, visible=None, limits=LIMITS, results=("answer",)):
    steps = ((sys.executable, "-I", "-c", code),)
    try:
        return run_task(Task(visible or {}, steps, results, {"HOME": "/sandbox"}), limits, privileged=privileged)
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture(params=["as root", "as a user"])
def privileged(request):
    if request.param == "as root" and os.geteuid() != 0:
        pytest.skip("needs root")
    return request.param == "as root"


@pytest.fixture(autouse=True)
def _nothing_left():
    """No process, group or folder of a sandbox outlives it."""
    yield
    left = list(GROUPS.rglob(f"tracearena-{os.getpid()}-*")) if GROUPS.exists() else []
    assert left == []
    # What is killed with a namespace is gone when its first process is.
    deadline = time.monotonic() + 5
    while (found := descendants()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == []


def descendants():
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"leaderboard.submitting.sandbox.enter" in words:
            found.append(entry.name)
    return found


def test_honest_code_runs_and_its_result_comes_out(privileged):
    found = sandboxed("open('/sandbox/out/answer', 'w').write('42'); print('done')", privileged)
    assert (found.reason, found.printed, found.results) == ("", "done\n", {"answer": b"42"})
    assert found.isolation["seccomp"]
    assert {"mount", "net", "pid"} <= set(found.isolation["namespaces"])
    assert ("user" in found.isolation["namespaces"]) is not privileged


def test_nothing_of_the_host_is_there_but_what_is_shown(privileged, tmp_path):
    (tmp_path / "secret").write_text("host")
    (tmp_path / "shown").write_text("shown")
    code = f"""
import os
assert open('/shown').read() == 'shown'
for path in ({str(tmp_path / "secret")!r}, '/etc/passwd', '/home', {str(Path(__file__).parents[2] / "datasets")!r}):
    assert not os.path.exists(path), path
seen = [n for n in os.listdir('/proc') if n.isdigit()]
assert len(seen) == 2, seen
open('/sandbox/out/answer', 'w').write('alone')
"""
    found = sandboxed(code, privileged, {str(tmp_path / "shown"): "/shown"})
    assert (found.reason, found.results) == ("", {"answer": b"alone"})


def test_what_is_shown_cannot_be_written(privileged, tmp_path):
    (tmp_path / "shown").write_text("as it was")
    for code in (
        "open('/shown', 'w')",
        "open('/usr/planted', 'w')",
        "open('/planted', 'w')",
        "import os; os.remove('/shown')",
    ):
        assert sandboxed(code, privileged, {str(tmp_path / "shown"): "/shown"}).kind == "raised"
    assert (tmp_path / "shown").read_text() == "as it was"
    assert not Path("/usr/planted").exists()


def test_a_result_that_is_a_link_stays_inside(privileged, tmp_path):
    (tmp_path / "secret").write_text("host")
    code = f"import os; os.symlink({str(tmp_path / 'secret')!r}, '/sandbox/out/answer')"
    found = sandboxed(code, privileged)
    assert found.results == {}
    assert list(found.faults) == ["answer"]


def test_a_folder_of_results_that_is_a_link_leads_nowhere(privileged):
    found = sandboxed("import os; os.rmdir('/sandbox/out'); os.symlink('/etc', '/sandbox/out')", privileged)
    assert found.results == {}


@pytest.mark.parametrize("kind", ["os.mkfifo('/sandbox/out/answer')", "os.mkdir('/sandbox/out/answer')"])
def test_a_result_that_is_no_plain_file_is_left(privileged, kind):
    found = sandboxed(f"import os; {kind}", privileged)
    assert found.faults == {"answer": "not a plain file"}


def test_a_result_beyond_its_limit_is_left(privileged):
    found = sandboxed("open('/sandbox/out/answer', 'wb').write(bytes(2 << 20))", privileged)
    assert found.faults == {"answer": "over the limit on results"}


def test_the_first_process_can_be_neither_read_nor_killed(privileged):
    code = """
import glob, os, signal
os.kill(1, signal.SIGKILL)
for path in ['/proc/1/environ', '/proc/1/mem', *glob.glob('/proc/1/fd/*')]:
    try:
        open(path, 'rb')
    except PermissionError:
        continue
    raise SystemExit(f'{path} opens')
print('closed')
"""
    found = sandboxed(code, privileged)
    assert (found.reason, found.printed) == ("", "closed\n")


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import socket; socket.socket(16, socket.SOCK_RAW)",
    ],
)
def test_there_is_no_network(privileged, code):
    found = sandboxed(code, privileged)
    assert found.kind == "raised"
    assert "Permission" in found.reason


def test_kernel_interfaces_are_refused(privileged):
    code = """
import ctypes
call = ctypes.CDLL(None, use_errno=True)
assert call.unshare(0x10000000) == -1 and ctypes.get_errno() == 1
assert call.ptrace(0, 0, 0, 0) == -1
assert call.mount(b'a', b'/sandbox', b'tmpfs', 0, 0) == -1
assert call.setuid(0) == 0 or ctypes.get_errno() == 1
"""
    assert sandboxed(code, privileged).reason == ""


def test_a_fork_bomb_is_bounded(privileged):
    code = """
import os, time
until = time.monotonic() + 1
while time.monotonic() < until:
    try:
        os.fork()
    except OSError:
        pass
print(len([n for n in os.listdir('/proc') if n.isdigit()]))
"""
    found = sandboxed(code, privileged)
    # The group of processes has room for the way in, too; root within a user namespace has no other bound.
    assert max(int(line) for line in found.printed.split()) <= LIMITS.processes + 8


def test_a_memory_bomb_ends_the_run(privileged):
    assert sandboxed("held = []\nwhile True: held.append(bytearray(10**7))", privileged).reason == "MemoryError"


def test_memory_of_many_processes_counts_together(privileged):
    code = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        break
held = bytearray(80 << 20)
time.sleep(15)
"""
    found = sandboxed(code, privileged)
    assert found.kind == "memory"


def test_a_watcher_counts_memory_where_no_group_does(monkeypatch):
    monkeypatch.setattr("leaderboard.submitting.sandbox.groups._wanted", lambda name, limits: [])
    test_memory_of_many_processes_counts_together(False)


def test_a_hang_ends_at_its_deadline(privileged):
    limits = Limits(wall_s=1, memory_mb=200, processes=16, work_mb=8)
    code = "import os, time\nos.fork()\ntime.sleep(60)"
    assert sandboxed(code, privileged, limits=limits).kind == "time"


def test_a_busy_loop_ends_at_its_processor_time(privileged):
    assert sandboxed("while True: pass", privileged).kind == "time"


def test_endless_printing_ends_the_run(privileged):
    found = sandboxed("while True: print('x' * 1000)", privileged)
    assert found.kind == "output"
    assert len(found.printed) < 1 << 19


def test_endless_files_end_the_run(privileged):
    large = sandboxed("f = open('/sandbox/a', 'wb')\nwhile True: f.write(bytes(10**6))", privileged)
    many = sandboxed("n = 0\nwhile True: n += 1; open(f'/sandbox/{n}', 'w').write('x')", privileged)
    assert large.kind in ("raised", "files")
    assert "No space left" in many.reason


def test_what_a_step_leaves_running_is_killed_before_the_next(privileged):
    first = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)"
    second = (
        "import os; open('/sandbox/out/answer', 'w').write(str(len([n for n in os.listdir('/proc') if n.isdigit()])))"
    )
    steps = tuple((sys.executable, "-I", "-c", code) for code in (first, second))
    found = run_task(Task({}, steps, ("answer",), {}), LIMITS, privileged=privileged)
    assert found.results == {"answer": b"2"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_a_sound_program(machine):
    code = seccomp.program(machine)
    lines = [code[at : at + 8] for at in range(0, len(code), 8)]
    for number, line in enumerate(lines):
        if line[0] in (0x15, 0x45):
            assert number + 1 + max(line[2], line[3]) < len(lines)
    assert lines[-1][0] == 0x06


def test_a_machine_without_a_filter_is_unsupported(monkeypatch):
    monkeypatch.setattr("leaderboard.submitting.sandbox.seccomp.supported", lambda: False)
    with pytest.raises(Unsupported, match="no seccomp filter"):
        run_task(Task({}, ((sys.executable, "-c", ""),)), LIMITS)
