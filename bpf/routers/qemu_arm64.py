"""An ARM64 router, emulated: Debian's kernel on QEMU's virt board with a Cortex-A53."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpf.routers.emulated import EmulatedRouter
from bpf.routers.machine import Machine

MACHINE = Machine(
    name="qemu_arm64",
    architecture="arm64",
    kernel_package="linux-image-cloud-arm64",
    emulator="qemu-system-aarch64",
    emulator_packages=("qemu-system-arm",),
    compiler="aarch64-linux-gnu-gcc",
    compiler_packages=("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    emulator_arguments=(
        "-M",
        "virt,dtb-randomness=off",
        "-cpu",
        "cortex-a53",
        "-icount",
        "shift=0,sleep=off",
        "-rtc",
        "base=2026-01-01T00:00:00,clock=vm",
    ),
    console="ttyAMA0",
    byte_order="<",
)


def build(options: Mapping[str, Any]) -> EmulatedRouter:
    """Return the router; options are those of ``bpf.routers.emulated.OPTIONS``."""
    return EmulatedRouter(MACHINE, options)
