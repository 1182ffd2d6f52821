"""What this machine has of all that the kernel side can use: one finding each, with how to get what is missing."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import Unsupported
from bpf import offload, trial

CAPABILITIES = {12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW", 21: "CAP_SYS_ADMIN", 38: "CAP_PERFMON", 39: "CAP_BPF"}
_AS_ROOT = "run as root (sudo)"


@dataclass(frozen=True)
class Finding:
    """One thing: whether it is here (None: can't be told), what was found, and how to get it."""

    name: str
    there: bool | None
    detail: str
    remedy: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def find_all() -> list[Finding]:
    """Look at everything; takes a second or so, changes nothing."""
    return [*kernel(), *hooks(), *tools(), *bcc(), *guests(), *hidden()]


def kernel() -> Iterator[Finding]:
    """Privilege, bpf(2), JIT, test runs, BTF, bpffs and performance counters."""
    yield _privilege()
    yield _tried("bpf", _load, _AS_ROOT)
    yield _jit()
    yield _tried("test_run", trial.run_nothing, _AS_ROOT)
    btf = Path("/sys/kernel/btf/vmlinux")
    yield Finding(
        "btf", btf.exists(), f"{btf}" if btf.exists() else "the kernel doesn't tell its types",
        "no part needs it; a kernel with CONFIG_DEBUG_INFO_BTF has it",
    )  # fmt: skip
    mounted = [line.split()[1] for line in _lines("/proc/mounts") if line.split()[2:3] == ["bpf"]]
    yield Finding(
        "bpffs", bool(mounted), ", ".join(mounted) or "not mounted",
        "no part needs it, as nothing is pinned; mount -t bpf none /sys/fs/bpf",
    )  # fmt: skip
    yield _tried(
        "perf", trial.count_instructions,
        "no part needs it; hardware counters, which many virtual machines lack, and kernel.perf_event_paranoid below 2",
    )  # fmt: skip


def hooks() -> Iterator[Finding]:
    """Each hook, tried on the loopback device of a network namespace that is gone afterwards."""
    needs = {
        "tc": "a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF (OpenWrt: opkg install kmod-sched-bpf)",
        "tcx": "a kernel from 6.6 on",
        "xdp": "a kernel from 5.9 on with CONFIG_BPF_SYSCALL",
        "socket": "a kernel with CONFIG_PACKET",
    }
    try:
        reasons = trial.try_hooks()
    except (OSError, Unsupported) as fault:
        for hook in needs:
            yield Finding(f"hook {hook}", None, f"not tried: {fault}", _AS_ROOT)
        return
    for hook, reason in reasons.items():
        yield Finding(f"hook {hook}", not reason, reason or "attached and detached", needs[hook])


def tools() -> Iterator[Finding]:
    """Libraries and programs."""
    yield _libbpf()
    yield _clang()
    for name, package, purpose in (
        ("ip", "iproute2", "network namespaces of live measurements"),
        ("tc", "iproute2", "finds filters in hardware"),
        ("iperf3", "iperf3", "throughput beside routing"),
        ("ethtool", "ethtool", "offloads of devices"),
        ("nft", "nftables", "finds flow tables in hardware"),
        ("bpftool", "bpftool", "for your own looks at programs and maps; no part needs it"),
    ):
        path = shutil.which(name)
        yield Finding(name, path is not None, path or f"missing ({purpose})", f"apt-get install {package}")


def bcc() -> Iterator[Finding]:
    """The run-time compiler, and the headers that it takes."""
    from bpf.headers import find_headers
    from bpf.loader_bcc import find_bcc

    yield _tried("bcc", lambda: find_bcc().describe(), "apt-get install python3-bpfcc")
    yield _tried("bcc headers", find_headers, "apt-get install linux-libc-dev")


def guests() -> Iterator[Finding]:
    """Emulated routers: emulator, cross compiler, kernel."""
    from bpf.routers import qemu_arm64
    from bpf.routers.setup import find_kernel, missing_packages

    machine = qemu_arm64.MACHINE
    remedy = f"python -m bpf router setup {machine.name}"
    missing = missing_packages(machine)
    yield Finding(
        f"{machine.name} programs", not missing, f"missing: {', '.join(missing)}" if missing else "found", remedy
    )

    def kernel_found() -> str:
        found = find_kernel(machine)
        return f"{found.package} {found.version}"

    yield _tried(f"{machine.name} kernel", kernel_found, remedy)


def hidden() -> Iterator[Finding]:
    """Hardware flow offload on each device: there where no packet is hidden by it."""
    for _, device in socket.if_nameindex():
        signs = offload.find_signs(device)
        reasons = [sign.text for sign in signs if sign.hides]
        doubts = [sign.text for sign in signs if not sign.hides]
        yield Finding(
            f"sees all of {device}", not reasons, "; ".join(reasons or doubts) or "no flow is offloaded",
            "turn hardware flow offload off, or measure in front of this machine",
        )  # fmt: skip


def held_capabilities() -> list[str]:
    """Names of the effective capabilities that matter here; CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON."""
    held = next((int(line.split()[1], 16) for line in _lines("/proc/self/status") if line.startswith("CapEff")), 0)
    return [name for bit, name in CAPABILITIES.items() if held >> bit & 1]


def _privilege() -> Finding:
    held = held_capabilities()
    enough = "CAP_NET_ADMIN" in held and ("CAP_BPF" in held or "CAP_SYS_ADMIN" in held)
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    return Finding("privilege", enough, f"{who}, {', '.join(held) or 'no capability that matters'}", _AS_ROOT)


def _load() -> str:
    program = trial.load_nothing()
    os.close(program.descriptor)
    return f"programs load (kernel {os.uname().release})"


def _jit() -> Finding:
    setting = (_lines("/proc/sys/net/core/bpf_jit_enable") or ["unknown"])[0]
    remedy = "sysctl -w net.core.bpf_jit_enable=1"
    try:
        program = trial.load_nothing()
    except (OSError, Unsupported):
        return Finding("jit", None if setting == "unknown" else setting != "0", f"bpf_jit_enable={setting}", remedy)
    os.close(program.descriptor)
    state = f"bpf_jit_enable={setting}, {program.jited} bytes of machine code for two instructions"
    return Finding("jit", program.jited > 0, state, remedy)


def _libbpf() -> Finding:
    remedy = "apt-get install libbpf1"
    try:
        library = ctypes.CDLL("libbpf.so.1")
    except OSError:
        return Finding("libbpf", False, "libbpf.so.1 isn't found", remedy)
    library.libbpf_version_string.restype = ctypes.c_char_p
    return Finding("libbpf", True, f"libbpf.so.1 {library.libbpf_version_string().decode()}", remedy)


def _clang() -> Finding:
    remedy = "only for make bpf, as built objects come with the code; apt-get install clang libbpf-dev"
    path = shutil.which("clang")
    if path is None:
        return Finding("clang", False, "missing", remedy)
    targets = subprocess.run([path, "--print-targets"], capture_output=True, text=True, timeout=30, check=False).stdout
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    able = re.search(r"\bbpfeb\b", targets) is not None
    headers = Path("/usr/include/bpf/bpf_helpers.h").exists()
    lacking = [] if able else ["no BPF target"]
    lacking += [] if headers else ["no libbpf headers"]
    return Finding(
        "clang", able and headers, ", ".join([version.splitlines()[0] if version else path, *lacking]), remedy
    )


def _tried(name: str, attempt: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name, True, attempt(), remedy)
    except Unsupported as reason:
        return Finding(name, False, str(reason), remedy)
    except OSError as error:
        return Finding(name, False, f"{errno.errorcode.get(error.errno or 0, '')}: {error.strerror}", remedy)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
