"""Get what an emulated router takes: an emulator and a cross compiler from this system, a kernel from Debian 12.

The kernel's package comes through apt with a state of its own, so that the system's list of architectures and packages
stays as it is and no root is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import Unsupported
from bpf.cache import cache_folder
from bpf.routers.machine import Machine

MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LONGEST = 600
"""Seconds that one command of apt may take."""


@dataclass(frozen=True)
class Kernel:
    """A guest's kernel: where it is, the package that it came from, and SHA-256 of its bytes."""

    path: Path
    package: str
    version: str
    sha256: str

    def facts(self) -> dict[str, str]:
        """What a record says of it."""
        return {"package": self.package, "version": self.version, "sha256": self.sha256}


def set_up(machine: Machine) -> Kernel:
    """Install or fetch what is missing for ``machine``; Unsupported, with the command to run, where that can't be."""
    missing = missing_packages(machine)
    if missing:
        install(missing)
    if missing_packages(machine):
        raise Unsupported(f"{', '.join(missing)}: installed, yet its programs aren't in PATH")
    try:
        return find_kernel(machine)
    except Unsupported:
        return fetch_kernel(machine)


def missing_packages(machine: Machine) -> list[str]:
    """Debian packages of the programs that aren't here."""
    missing = [] if shutil.which(machine.emulator) else list(machine.emulator_packages)
    return missing if can_compile(machine) else missing + list(machine.compiler_packages)


def can_compile(machine: Machine) -> bool:
    """Tell whether the cross compiler is here together with its C library and its kernel's headers."""
    if shutil.which(machine.compiler) is None:
        return False
    source = '#include <stdio.h>\n#include <linux/bpf.h>\nint main(void) { return puts("") < 0; }\n'
    with tempfile.TemporaryDirectory() as folder:
        command = [machine.compiler, "-static", "-x", "c", "-o", f"{folder}/a", "-"]
        done = subprocess.run(command, input=source, text=True, capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def install(packages: Sequence[str]) -> None:
    """Install packages through apt, as root."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None:
        raise Unsupported(f"{', '.join(packages)}: missing, and there is no apt-get to install them with")
    if os.geteuid() != 0:
        raise Unsupported(f"{', '.join(packages)}: missing; as root run: {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    _run(["apt-get", *wait, "-qq", "update"], environment)
    _run([*command, "-qq", *wait], environment)


def find_kernel(machine: Machine) -> Kernel:
    """The kernel in the cache, or Unsupported with the command that fetches it."""
    folder = cache_folder("kernels")
    place, note = folder / f"{machine.architecture}.vmlinuz", folder / f"{machine.architecture}.json"
    advice = f"run: python -m bpf router setup {machine.name}"
    if not place.is_file() or not note.is_file():
        raise Unsupported(f"no kernel for {machine.name} in {folder}; {advice}")
    facts = json.loads(note.read_text())
    kernel = Kernel(place, facts["package"], facts["version"], facts["sha256"])
    if _digest(place) != kernel.sha256:
        raise Unsupported(f"{place} isn't the kernel that was fetched; remove it and {advice}")
    return kernel


def fetch_kernel(machine: Machine) -> Kernel:
    """Fetch the kernel that Debian's metapackage names today, checked by apt against the archive's signature."""
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Unsupported(f"{program} is missing, and the kernel for {machine.name} comes through it")
    if not KEYRING.is_file():
        raise Unsupported(f"{KEYRING} is missing; as root run: apt-get install debian-archive-keyring")
    folder = cache_folder("kernels")
    with tempfile.TemporaryDirectory(dir=folder, prefix="apt-") as state:
        environment = {**os.environ, "APT_CONFIG": str(_write_apt_state(Path(state), machine)), "LC_ALL": "C"}
        _run(["apt-get", "-qq", "update"], environment)
        package = _named_by(machine, environment)
        _run(["apt-get", "-qq", "download", package], environment, Path(state))
        archive = next(Path(state).glob(f"{package}_*.deb"))
        _run(["dpkg-deb", "-x", archive.name, "root"], environment, Path(state))
        found = next((Path(state) / "root" / "boot").glob("vmlinuz-*"))
        version = _run(["dpkg-deb", "-f", archive.name, "Version"], environment, Path(state)).strip()
        place = folder / f"{machine.architecture}.vmlinuz"
        kernel = Kernel(place, package, version, _digest(found))
        note = Path(state) / "note.json"
        note.write_text(json.dumps({**kernel.facts(), "archive_sha256": _digest(archive)}, indent=1))
        os.replace(found, place)
        os.replace(note, folder / f"{machine.architecture}.json")
    return kernel


def _write_apt_state(folder: Path, machine: Machine) -> Path:
    """Write settings of apt that know one architecture, one source and no installed package; return their path."""
    for part in ("lists/partial", "cache/archives/partial", "sources.d", "preferences.d"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    mirror = os.environ.get("TRACEARENA_DEBIAN_MIRROR", MIRROR)
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {SUITE} main\n")
    settings = {
        "APT::Architecture": machine.architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": f"{folder}/cache",
        "Dir::Etc::sourcelist": f"{folder}/sources.list",
        "Dir::Etc::sourceparts": f"{folder}/sources.d",
        "Dir::Etc::preferences": f"{folder}/preferences",
        "Dir::Etc::preferencesparts": f"{folder}/preferences.d",
        "Dir::State": str(folder),
        "Dir::State::lists": f"{folder}/lists",
        "Dir::State::status": f"{folder}/status",
    }
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    path = folder / "apt.conf"
    path.write_text("\n".join([*lines, f'APT::Architectures {{ "{machine.architecture}"; }};']) + "\n")
    return path


def _named_by(machine: Machine, environment: dict[str, str]) -> str:
    """The package that the metapackage depends on: its name has the kernel's version and moves with updates."""
    for line in _run(["apt-cache", "depends", machine.kernel_package], environment).splitlines():
        word, _, package = line.strip().partition(" ")
        if word == "Depends:" and package.startswith("linux-image-"):
            return package
    raise Unsupported(f"{machine.kernel_package} names no kernel in {SUITE}")


def _run(command: Sequence[str], environment: dict[str, str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise Unsupported(f"{' '.join(command)} took more than {LONGEST} s") from late
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise Unsupported(f"{' '.join(command)}: {reason}")
    return done.stdout


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
