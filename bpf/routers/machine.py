"""What tells one emulated router from another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """An architecture: its names in Debian 12, its emulator and how that boots a kernel.

    ``byte_order`` is struct's, "<" or ">". ``emulator_arguments`` give the board, its processor and its clock, which
    counts one nanosecond an instruction: a duration that the guest's kernel measures is a number of instructions.
    """

    name: str
    architecture: str
    kernel_package: str
    emulator: str
    emulator_packages: tuple[str, ...]
    compiler: str
    compiler_packages: tuple[str, ...]
    emulator_arguments: tuple[str, ...]
    console: str
    byte_order: str
    memory_mb: int = 256
