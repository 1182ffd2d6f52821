"""The few kernel headers that bcc's compiler asks for, made up from the C library's, where a kernel's own are missing.

bcc wants the headers that its kernel was built with (12 MB of packages, 76 MB unpacked). The probe names no type of the
kernel, so that user space's headers do (linux-libc-dev), with 20 small files and links in front of them: bcc's own
includes find those under the kernel's names.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sysconfig
import tempfile
from pathlib import Path

from benchmark.errors import Unsupported
from bpf.cache import cache_folder

INCLUDE = Path("/usr/include")
_LINKED = ("if_ether", "if_packet", "in", "in6", "ip", "ipv6", "pkt_cls", "tcp", "udp")
_ARCHITECTURES = {
    "x86_64": "x86", "aarch64": "arm64", "armv7l": "arm", "mips": "mips", "mips64": "mips", "riscv64": "riscv",
    "ppc64le": "powerpc", "s390x": "s390",
}  # fmt: skip
_TYPES = """#pragma once
#include_next <linux/types.h>
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef _Bool bool; typedef __SIZE_TYPE__ size_t; typedef unsigned long uintptr_t;
#define true 1
#define false 0
"""
_VERSION = """#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 1, 0)
"""
_FILES = {
    "include/linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
    "include/linux/types.h": _TYPES,
    "include/linux/version.h": _VERSION,
    "include/linux/bpf.h": "",
    "include/linux/log2.h": "",
    "include/uapi/linux/bpf.h": "",
}


def find_headers() -> str:
    """Where headers for bcc come from; Unsupported where there are none."""
    missing = [name for name in _LINKED if not (INCLUDE / "linux" / f"{name}.h").exists()]
    if missing:
        raise Unsupported(f"{INCLUDE}/linux/{missing[0]}.h is missing")
    return f"{INCLUDE}/linux"


def prepare_headers() -> Path:
    """Write the headers into the cache, unless they are there; return their folder."""
    find_headers()
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise Unsupported(f"headers for bcc aren't known on {platform.machine()}")
    files = {**_FILES, f"arch/{architecture}/include/asm/page.h": ""}
    digest = hashlib.sha256(repr((sorted(files.items()), _LINKED)).encode()).hexdigest()[:16]
    place = cache_folder("bcc") / digest
    if place.is_dir():
        return place
    made = Path(tempfile.mkdtemp(dir=place.parent))
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in _LINKED:
        (made / "include/uapi/linux" / f"{name}.h").symlink_to(INCLUDE / "linux" / f"{name}.h")
    try:
        os.replace(made, place)
    except OSError:  # another process was faster
        shutil.rmtree(made)
    return place


def flags() -> list[str]:
    """What the compiler is told so that the shim's headers find the C library's."""
    # Tables of constants would be global variables.
    return ["-fno-jump-tables", f"-I{INCLUDE}/{sysconfig.get_config_var('MULTIARCH')}", "-idirafter", str(INCLUDE)]
