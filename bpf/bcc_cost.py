"""What bcc costs a router beside libbpf: time to start, memory and disk, measured in fresh processes.

``python -m bpf.bcc_cost`` prints it as JSON.
"""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import Unsupported
from benchmark.probe import Probe
from benchmark.trace import Trace

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"libbpf": ("libbpf1",), "bcc": ("python3-bpfcc", "linux-libc-dev")}
"""Debian packages that each loader takes beside Python."""
OPTIONS: Mapping[str, Any] = {"rounds": 3}
"""rounds: processes of each loader, of which the least counts."""
_BASE = ("python3", "libc6", "libelf1", "zlib1g")
_LONGEST = 600
_FORGET_PEAK = "5"  # proc_pid_clear_refs(5)


def run(probe: Probe, _traces: Sequence[Trace], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the loaders on a probe's feature set and hook, without its model: a part of the host's options."""
    return {"found": compare(probe.features, probe.hook, int(settings["rounds"]))}


def compare(features: str = "F4", hook: str = "tc", rounds: int = 3) -> dict[str, dict[str, Any]]:
    """Return by loader what it takes to have the probe in the kernel.

    start_s: a whole process, from its start to the loaded probe, with Python's own share in it. load_s: the loading.
    load_cpu_s: its processor time, which a busy machine stretches least. peak_rss_mb, added_rss_mb: of the process, and
    what loading added. disk_mb: installed size of the packages and what they depend on, less what Python takes anyway;
    absent where dpkg is not. verified_insns, jited_bytes: of the program. Each is the least of ``rounds``.
    Raises Unsupported where a loader can't run here.
    """
    found = {}
    for loader in ("libbpf", "bcc"):
        runs = [_run(loader, features, hook) for _ in range(rounds)]
        best = min(runs, key=lambda run: run["start_s"])
        for name in ("load_s", "load_cpu_s", "peak_rss_mb", "added_rss_mb"):
            best[name] = min(run[name] for run in runs)
        disk = installed_mb(PACKAGES[loader])
        found[loader] = best | ({"disk_mb": disk} if disk is not None else {})
    return found


def load_once(loader: str, features: str, hook: str) -> dict[str, Any]:
    """Load the probe in this process and measure it; what a fresh process calls."""
    from bpf.probe import LoadedProbe, ProbeOptions

    # The kernel's own figure of a process goes on from what started it, and so does the peak of its imports.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    before, held = resource.getrusage(resource.RUSAGE_SELF), _memory_mb("VmRSS")
    with LoadedProbe(ProbeOptions(features=features, hook=hook, replay=False, loader=loader)) as probe:
        figures = probe.figures()
    after, peak = resource.getrusage(resource.RUSAGE_SELF), _memory_mb("VmHWM")
    return {
        "load_s": figures["load_ms"] / 1e3,
        "load_cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_rss_mb": peak,
        "added_rss_mb": peak - held,
        "verified_insns": figures["verified_insns"],
        "jited_bytes": figures["jited_bytes"],
    }


def _memory_mb(name: str) -> float:
    """A figure of this process's memory, as /proc/self/status names it (proc_pid_status(5)), in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def installed_mb(packages: Sequence[str]) -> float | None:
    """Installed size of packages with all that they depend on, less that of Python and its C library.

    None without dpkg, or where a package isn't installed.
    """
    if shutil.which("dpkg-query") is None:
        return None
    command = ["dpkg-query", "-W", "-f", "${Package}\\t${Installed-Size}\\t${Provides}\\t${Pre-Depends}, ${Depends}\\n"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=True).stdout
    sizes, needs = read_packages(text)
    if any(package not in sizes for package in packages):
        return None
    wanted = closure(packages, needs) - closure([name for name in _BASE if name in sizes], needs)
    return sum(sizes[name] for name in wanted) / 1024


def read_packages(text: str) -> tuple[dict[str, int], dict[str, set[str]]]:
    """Read dpkg-query's lines: KiB of each package, and the installed packages that each depends on."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 3]
    sizes = {name: int(size or 0) for name, size, _, _ in rows}
    providers = {name: name for name in sizes}
    for name, _, provides, _ in rows:
        providers |= {each: name for each in _names(provides) if each not in sizes}
    needs = {name: {providers[each] for each in _names(depends) if each in providers} for name, _, _, depends in rows}
    return sizes, needs


def closure(packages: Iterable[str], needs: Mapping[str, set[str]]) -> set[str]:
    """The packages and all that they need, directly or not."""
    found: set[str] = set()
    left = list(packages)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += needs.get(name, set())
    return found


def _names(field: str) -> list[str]:
    """Package names in a field of dpkg; of alternatives all that are there count."""
    words = field.replace("|", ",").split(",")
    return [word.split()[0].split(":")[0] for word in words if word.strip()]


def _run(loader: str, features: str, hook: str) -> dict[str, Any]:
    code = "import json, sys; from bpf.bcc_cost import load_once; print(json.dumps(load_once(*sys.argv[1:])))"
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, loader, features, hook],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode:
        raise Unsupported(f"loader {loader}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return {"start_s": time.perf_counter() - begin, **json.loads(done.stdout)}


if __name__ == "__main__":
    print(json.dumps(compare(), indent=1))
