"""Tries of what the kernel lets this process do, with programs of two instructions: nothing of them stays.

Hooks are tried on the loopback device of a network namespace that lives as long as the try does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from benchmark.errors import Unsupported
from bpf.attach import HOOKS, attach, find_device
from bpf.system_call import call

Answer = TypeVar("Answer")
_LOAD, _TEST_RUN, _INFO = 5, 10, 15
_SOCKET, _TC, _XDP = 1, 3, 6
KINDS = {"tc": _TC, "tcx": _TC, "xdp": _XDP, "socket": _SOCKET}
# What each kind returns to have the packet go on: TC_ACT_UNSPEC, XDP_PASS, and no byte for a socket.
_GO_ON = {_TC: -1, _XDP: 2, _SOCKET: 0}
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_ATTRIBUTE = 128
_JITED_LENGTH = 16  # offset in struct bpf_prog_info
_COUNT_INSTRUCTIONS = 1  # PERF_COUNT_HW_INSTRUCTIONS
_PERF_OPEN = {"x86_64": 298, "aarch64": 241, "armv7l": 364}
_library = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """A loaded program: its descriptor, and the bytes that the JIT made of it (0 where the interpreter runs it)."""

    descriptor: int
    jited: int


def load_nothing(kind: int = _SOCKET) -> Program:
    """Load a program that does nothing; OSError where the kernel refuses. The caller closes the descriptor."""
    code = struct.pack("=BBhiBBhi", 0xB7, 0, 0, _GO_ON[kind], 0x95, 0, 0, 0)
    instructions, license = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    head = struct.pack("=IIQQ", kind, 2, ctypes.addressof(instructions), ctypes.addressof(license))
    descriptor = call(_LOAD, head + bytes(_ATTRIBUTE - len(head)))
    facts = ctypes.create_string_buffer(232)
    try:
        call(_INFO, struct.pack("=IIQ", descriptor, len(facts), ctypes.addressof(facts)))
    except OSError:
        return Program(descriptor, 0)
    return Program(descriptor, struct.unpack_from("=I", facts, _JITED_LENGTH)[0])


def run_nothing() -> str:
    """Say so where the kernel runs such a program on given bytes (BPF_PROG_TEST_RUN); OSError where it doesn't."""
    program = load_nothing(_TC)
    packet = ctypes.create_string_buffer(64)
    head = struct.pack("=IIIIQQII", program.descriptor, 0, 64, 0, ctypes.addressof(packet), 0, 1, 0)
    try:
        call(_TEST_RUN, head + bytes(_ATTRIBUTE - len(head)))
    finally:
        os.close(program.descriptor)
    return "programs run on given packets"


def try_hooks() -> dict[str, str]:
    """Attach such a program to each hook; why it failed, or "" where it worked. OSError without the right to try."""
    return elsewhere(lambda: {hook: _try_hook(hook) for hook in HOOKS})


def elsewhere(action: Callable[[], Answer]) -> Answer:
    """Call ``action`` in a network namespace of its own, where only ``lo`` is; OSError without the right to."""
    answers: list[Answer] = []
    faults: list[BaseException] = []

    def run() -> None:
        # A namespace belongs to a thread, and goes with it.
        try:
            if _library.unshare(_NEW_NETWORK):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
            answers.append(action())
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return answers[0]


def count_instructions() -> str:
    """Say so where the hardware counts instructions, as for ``perf stat``; OSError where it doesn't."""
    number = _PERF_OPEN.get(os.uname().machine)
    if number is None:
        raise Unsupported("not tried on this architecture")
    event = ctypes.create_string_buffer(struct.pack("=IIQ", 0, 128, _COUNT_INSTRUCTIONS) + bytes(112), 128)
    descriptor = _library.syscall(number, ctypes.byref(event), 0, -1, -1, ctypes.c_ulong(0))
    if descriptor < 0:
        code = ctypes.get_errno()
        if code in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
            raise Unsupported("the machine has no counter of instructions")
        raise OSError(code, os.strerror(code))
    os.close(descriptor)
    return "hardware counts instructions"


def _try_hook(hook: str) -> str:
    try:
        program = load_nothing(KINDS[hook])
    except OSError as error:
        return f"no program of its kind may be loaded: {error.strerror}"
    try:
        with attach(hook, program.descriptor, find_device("lo")):
            return ""
    except Unsupported as reason:
        return str(reason)
    finally:
        os.close(program.descriptor)
