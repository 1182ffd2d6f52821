"""bpf(2) itself: a command and its attribute in, a descriptor or zero out."""

from __future__ import annotations

import ctypes
import os
import platform

from benchmark.errors import Unsupported

_NUMBERS = {
    "x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "armv7l": 386, "armv6l": 386, "i686": 357,
    "ppc64le": 361, "s390x": 351, "mips": 4355, "mips64": 5315,
}  # fmt: skip
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def number() -> int:
    """Return the number of bpf(2) on this machine. Raises Unsupported where it isn't known."""
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise Unsupported(f"bpf(2) isn't known on {machine}")
    return _NUMBERS[machine]


def call(command: int, attribute: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """Call bpf(2); raise OSError with the kernel's errno. An array attribute is written over with the answer."""
    block = ctypes.create_string_buffer(attribute, len(attribute)) if isinstance(attribute, bytes) else attribute
    answer = _syscall(ctypes.c_long(number()), ctypes.c_long(command), ctypes.byref(block), ctypes.c_ulong(len(block)))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(answer)
