"""Network namespaces for a measurement: nameless, so that they are gone once this process is, however it ends.

A namespace is held by a descriptor of this process alone. Its devices, queues and filters go with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import Unsupported

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LONGEST_START = 10.0
_OWN = "/proc/thread-self/ns/net"
_library = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace. Raises Unsupported without the right to make one."""

    def __init__(self) -> None:
        made: list[int] = []
        # It is the thread's that makes it; this process goes on in its own.
        thread = threading.Thread(target=lambda: made.append(_unshare()))
        thread.start()
        thread.join()
        if made[0] < 0:
            raise Unsupported(f"network namespaces: {os.strerror(-made[0])}; it takes root (CAP_SYS_ADMIN)")
        self.descriptor = made[0]

    @property
    def path(self) -> str:
        """Its file, for other programs while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Have the calling thread in the namespace for as long as the block lasts: sockets, devices, new processes."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _enter(self.descriptor)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(home)

    def run(self, *commands: str) -> str:
        """Run commands, one after the other, and return what they print. Raises Unsupported where one can't."""
        printed = []
        with self.inside():
            for command in commands:
                words = command.split()
                if shutil.which(words[0]) is None:
                    raise Unsupported(f"{words[0]} isn't installed")
                done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
                if done.returncode:
                    raise Unsupported(f"{command}: {done.stderr.strip()}")
                printed.append(done.stdout)
        return "".join(printed)

    def write_setting(self, name: str, value: int) -> None:
        """Write a setting below /proc/sys/net; nothing where the kernel hasn't got it."""
        path = Path("/proc/sys/net") / name
        with self.inside():
            if path.exists():
                path.write_text(str(value))

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


@dataclass(frozen=True)
class Line:
    """A client and a server, each with device ``wire``, and a router between them, with devices ``lan`` and ``wan``."""

    client: Namespace
    router: Namespace
    server: Namespace

    @property
    def all(self) -> tuple[Namespace, ...]:
        """The three, the client first."""
        return self.client, self.router, self.server


@contextlib.contextmanager
def bridged(mtu: int = 1500) -> Iterator[Line]:
    """A line whose router bridges: any frame passes, whatever its addresses, and nothing else is on the wire."""
    with _line() as line:
        line.router.run(
            # A bridge that snoops sends membership reports, which would be packets that nobody sent.
            "ip link add bridge type bridge mcast_snooping 0",
            "ip link set lan master bridge",
            "ip link set wan master bridge",
            "ip link set bridge up mtu " + str(mtu),
        )
        for one, names in zip(line.all, (("wire",), ("lan", "wan", "bridge"), ("wire",)), strict=True):
            for name in names:
                one.run(f"ip link set dev {name} mtu {mtu} arp off multicast off", f"ip link set dev {name} up")
        _wait_until_up(line)
        yield line


def _wait_until_up(line: Line) -> None:
    """Wait until every device takes packets: just after a link comes up the kernel drops what it is given."""
    deadline = time.monotonic() + _LONGEST_START
    for one in line.all:
        while any(device["operstate"] == "DOWN" for device in _devices(one)):
            if time.monotonic() > deadline:
                raise Unsupported(f"virtual devices weren't up within {_LONGEST_START} s")
            time.sleep(0.01)


def _devices(namespace: Namespace) -> list[dict[str, Any]]:
    return [one for one in json.loads(namespace.run("ip -json link show")) if one["ifname"] != "lo"]


@contextlib.contextmanager
def routed() -> Iterator[Line]:
    """A line whose router forwards between 10.78.1.0/24, where the client is .2, and 10.78.2.0/24, the server's."""
    with _line() as line:
        for one, commands in zip(
            line.all,
            (
                ("ip addr add 10.78.1.2/24 dev wire", "ip link set wire up", "ip route add default via 10.78.1.1"),
                ("ip addr add 10.78.1.1/24 dev lan", "ip addr add 10.78.2.1/24 dev wan", "ip link set lan up"),
                ("ip addr add 10.78.2.2/24 dev wire", "ip link set wire up", "ip route add default via 10.78.2.1"),
            ),
            strict=True,
        ):
            one.run(*commands, "ip link set lo up")
        line.router.run("ip link set wan up")
        line.router.write_setting("ipv4/ip_forward", 1)
        yield line


@contextlib.contextmanager
def _line() -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(3):
            made.append(Namespace())
            stack.callback(made[-1].close)
            # Neighbour discovery would be packets that nobody sent.
            made[-1].write_setting("ipv6/conf/all/disable_ipv6", 1)
            made[-1].write_setting("ipv6/conf/default/disable_ipv6", 1)
        line = Line(*made)
        line.router.run(
            f"ip link add lan type veth peer name wire netns {line.client.path}",
            f"ip link add wan type veth peer name wire netns {line.server.path}",
        )
        yield line


@contextlib.contextmanager
def running(namespace: Namespace, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Have a program run inside for as long as the block lasts, and no longer than this process."""
    if shutil.which(command[0]) is None:
        raise Unsupported(f"{command[0]} isn't installed")
    with namespace.inside():
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=lambda: _library.prctl(_DIE_WITH_PARENT, signal.SIGKILL),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _unshare() -> int:
    if _library.unshare(_NEW_NETWORK):
        return -ctypes.get_errno()
    return os.open(_OWN, os.O_RDONLY)


def _enter(descriptor: int) -> None:
    if _library.setns(descriptor, _NEW_NETWORK):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
