"""One boot of an emulated router: a script goes in, its answers come out, and the emulator is gone afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmark.errors import Unsupported
from bpf.agent.answer import AgentError, read_answers
from bpf.agent.compilation import compile_agent
from bpf.agent.script import Script
from bpf.routers.archive import pack_initramfs
from bpf.routers.machine import Machine
from bpf.routers.setup import Kernel, find_kernel, missing_packages

LONGEST = 120.0
"""Seconds of a boot."""
MOST_OUTPUT = 1 << 26
"""Bytes of console output, past which a guest is taken to have run wild."""
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG, prctl(2)
_PRCTL = ctypes.CDLL(None).prctl


@dataclass(frozen=True)
class Boot:
    """What one boot gave: an answer to each command, and the seconds it took."""

    answers: list[bytes]
    seconds: float


@dataclass(frozen=True)
class Guest:
    """An emulated router that is set up: its kernel and its agent are here."""

    machine: Machine
    kernel: Kernel
    agent: Path

    def run(self, script: Script, longest: float = LONGEST) -> Boot:
        """Boot, carry out the script, power off.

        Raises AgentError where the guest dies, its answers are damaged, or it takes more than ``longest`` seconds.
        """
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tracearena-") as folder:
            archive = Path(folder) / "initramfs"
            archive.write_bytes(pack_initramfs({"init": self.agent.read_bytes(), "script": script.encode()}))
            console = _run_bounded(self._command(archive), longest)
        answers = read_answers(console, script.commands, script.byte_order)
        return Boot(answers, time.monotonic() - started)

    def _command(self, archive: Path) -> list[str]:
        machine = self.machine
        return [
            machine.emulator, *machine.emulator_arguments, "-smp", "1", "-m", str(machine.memory_mb), "-nographic",
            "-no-reboot", "-nodefaults", "-serial", "stdio", "-monitor", "none",
            "-kernel", str(self.kernel.path), "-initrd", str(archive),
            "-append", f"console={machine.console} panic=-1 quiet loglevel=1 nokaslr",
        ]  # fmt: skip


def open_guest(machine: Machine) -> Guest:
    """The guest for ``machine``; Unsupported, with the command to run, where something of it is missing."""
    missing = missing_packages(machine)
    if missing:
        raise Unsupported(f"{', '.join(missing)}: missing; run: python -m bpf router setup {machine.name}")
    return Guest(machine, find_kernel(machine), compile_agent(machine.compiler))


def _run_bounded(command: Sequence[str], longest: float) -> bytes:
    """The program's output. It is killed at its deadline, when it prints too much, and when this process ends."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
    )
    try:
        assert process.stdout is not None
        return _read_bounded(process.stdout, time.monotonic() + longest, longest)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_bounded(stream: IO[bytes], deadline: float, longest: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise AgentError(f"the guest took more than {longest:.0f} s; its last words: {_end(parts)}")
            part = os.read(stream.fileno(), 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > MOST_OUTPUT:
                raise AgentError(f"the guest printed more than {MOST_OUTPUT} bytes; its last words: {_end(parts)}")


def _end(parts: list[bytes]) -> str:
    return repr(b"".join(parts[-4:])[-200:].decode("ascii", "replace"))


def _die_with_parent() -> None:
    _PRCTL(_DIES_WITH_PARENT, signal.SIGKILL)
