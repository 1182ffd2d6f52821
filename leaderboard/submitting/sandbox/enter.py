"""The way into the sandbox: namespaces are made here, and the first process inside runs the steps.

``python -m leaderboard.submitting.sandbox.enter DESCRIPTOR``; the task, as JSON, on standard input. What the steps
print goes to standard output. To the descriptor: a JSON line a step, then for each result a JSON line and its bytes.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from typing import Any

from leaderboard.submitting.sandbox import seccomp, system
from leaderboard.submitting.sandbox.steps import run_step
from leaderboard.submitting.sandbox.view import build_view

CHANNEL = int(sys.argv[1])
_NAMESPACES = ("mount", "pid", "net", "ipc", "uts", "cgroup")
_CHUNK = 1 << 20


def main() -> int:
    """Enter the sandbox that standard input describes; return how the first process inside ended."""
    task: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    system.die_with_parent(signal.SIGKILL)
    for group in task["groups"]:
        with open(os.path.join(group, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))
    user, group_id = os.geteuid(), os.getegid()
    if task["privileged"]:
        system.unshare(_NAMESPACES)
    else:
        system.unshare(("user", *_NAMESPACES))
        _map_identity(user, group_id)
    first = os.fork()
    if first == 0:
        os._exit(_first_process(task))
    _say({"first": first})
    _, status = os.waitpid(first, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _map_identity(user: int, group: int) -> None:
    """Stay who one is in a new user namespace, where nobody is root."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _first_process(task: dict[str, Any]) -> int:
    """Build the view, give up all rights, run the steps, send the results. Never returns to the caller's code."""
    try:
        limits = task["limits"]
        build_view(task["stage"], task["visible"], limits["work_mb"], limits["files"])
        if task["privileged"]:
            os.setgroups([])
            os.setresgid(task["identity"], task["identity"], task["identity"])
            os.setresuid(task["identity"], task["identity"], task["identity"])
        system.drop_capabilities()
        system.become_opaque()
        system.die_with_parent(signal.SIGKILL)
        os.makedirs("/sandbox/out")
        os.chdir("/sandbox")
    except OSError as error:
        _say({"fault": f"this machine can't make the sandbox: {error}"})
        return 3
    code = seccomp.program(os.uname().machine) if seccomp.supported() else b""
    for number, words in enumerate(task["steps"]):
        found = run_step(words, task["environment"], limits, code)
        _say({"step": number, **found})
        if found["exit"] != 0:
            return 1
    _send(task["results"], limits["result_mb"] << 20)
    return 0


def _send(names: list[str], room: int) -> None:
    """Send the results: plain files only, and no more bytes of all together than there is room for."""
    folder = os.open("/sandbox/out", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    for name in names:
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            _say({"result": name, "fault": error.strerror or "unreadable"})
            continue
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            _say({"result": name, "fault": "not a plain file"})
        elif facts.st_size > room:
            _say({"result": name, "fault": "over the limit on results"})
        else:
            room -= facts.st_size
            _say({"result": name, "size": facts.st_size})
            _copy(file, facts.st_size)
        os.close(file)


def _copy(file: int, left: int) -> None:
    while left:
        block = os.read(file, min(left, _CHUNK))
        if not block:
            os._exit(4)  # shorter than it was, though nothing is left that could write to it
        left -= len(block)
        while block:
            block = block[os.write(CHANNEL, block) :]


def _say(fact: dict[str, Any]) -> None:
    os.write(CHANNEL, json.dumps({**fact, "time": time.time()}).encode() + b"\n")


if __name__ == "__main__":
    os.set_inheritable(CHANNEL, False)
    sys.exit(main())
