"""Two network namespaces of this test run with a pair of devices between them, and programs run inside."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

_numbers = itertools.count()


@dataclass(frozen=True)
class Pair:
    """``router`` has device ``lan`` with 10.78.0.1; ``client`` has ``wire`` with 10.78.0.2."""

    router: str
    client: str
    device: str = "lan"

    def command(self, *words: str, inside: str | None = None) -> list[str]:
        """The command that runs ``words`` in a namespace, the router's unless told otherwise."""
        return ["nsenter", f"--net=/run/netns/{inside or self.router}", "--", *words]

    def run(self, *words: str, inside: str | None = None) -> str:
        """Run to the end; return what is printed."""
        done = subprocess.run(
            self.command(*words, inside=inside), capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout


@contextmanager
def pair() -> Iterator[Pair]:
    """Make the namespaces, and remove them whatever happens; skip without the right or the tools to."""
    missing = [name for name in ("ip", "tc", "nsenter") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing")
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    number = next(_numbers)
    made = Pair(f"ta-{os.getpid()}-{number}-router", f"ta-{os.getpid()}-{number}-client")
    try:
        for name in (made.router, made.client):
            done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
        for words in (
            f"ip -n {made.router} link add lan type veth peer name wire netns {made.client}",
            f"ip -n {made.router} addr add 10.78.0.1/24 dev lan",
            f"ip -n {made.client} addr add 10.78.0.2/24 dev wire",
            f"ip -n {made.router} link set lan up",
            f"ip -n {made.client} link set wire up",
            f"ip -n {made.router} link set lo up",
        ):
            subprocess.run(words.split(), check=True, timeout=20)
        yield made
    finally:
        for name in (made.router, made.client):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
