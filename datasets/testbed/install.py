"""Install what capturing takes; what is there already stays as it is.

    python datasets/testbed/install.py          all: programs, Python packages, shaka-player
    python datasets/testbed/install.py smoke    what plan=smoke takes: no browser, no films, no HTTP/3

Programs come by apt-get, as root on Debian and its kin; Python packages go into the environment that runs this, and
shaka-player, checked against its digest, into that environment's share/. What can't be installed is said, with the
reason; the exit status is 1 then.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from versions import SHAKA, find_program, shaka_path

# Programs, by the Debian package that has each.
SMOKE = {"ip": "iproute2", "nginx": "nginx-light", "sysctl": "procps", "tcpdump": "tcpdump"}
REST = {"caddy": "caddy", "chromium": "chromium", "ethtool": "ethtool", "ffmpeg": "ffmpeg", "npm": "npm"}
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
# As the registry lists it (npm view shaka-player@5.2.12 dist.integrity).
SHAKA_SHA512 = "vEsuVDI3+oLh+yqpjXexQZlg2XMUBI0VrqatDuKWacPaxAud6Uph5uCowUPLhUgNG5XKWCpoM4l1r8qYzWH+zg=="
SHAKA_FILE = "package/dist/shaka-player.compiled.js"


def main(arguments: Sequence[str] | None = None) -> int:
    """Install; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given not in ([], ["smoke"]):
        print((__doc__ or "").strip())
        return 0 if {"-h", "--help"} & set(given) else 2
    failures = [install_programs(SMOKE if given else {**SMOKE, **REST}), install_packages()]
    if not given:
        failures.append(install_shaka())
    failures = [failure for failure in failures if failure]
    for failure in failures:
        print(f"testbed: {failure}", file=sys.stderr)
    print("testbed: not all of it could be installed" if failures else "testbed: all of it is installed")
    return int(bool(failures))


def install_programs(programs: Mapping[str, str]) -> str:
    """Install the programs that are missing; return why that failed, empty where it didn't."""
    missing = [package for program, package in programs.items() if find_program(program) is None]
    if not missing:
        return ""
    if find_program("apt-get") is None:
        return f"{', '.join(missing)}: missing, and there is no apt-get to install them with"
    if os.geteuid() != 0:
        return f"{', '.join(missing)}: missing, and only root can install them"
    # Under run level 1 the packages' scripts start no server.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            return f"apt-get {' '.join(command)} failed with status {done.returncode}"
    return ""


def install_packages() -> str:
    """Install the Python packages; return why that failed, empty where it didn't."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", str(REQUIREMENTS)]
    done = subprocess.run(command, check=False)
    return f"pip failed with status {done.returncode}" if done.returncode else ""


def install_shaka() -> str:
    """Fetch shaka-player from npm's registry; return why that failed, empty where it didn't."""
    place = shaka_path()
    if place.is_file():
        return ""
    npm = find_program("npm")
    if npm is None:
        return "shaka-player: npm is missing, so Chromium can't stream"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", "--silent", f"shaka-player@{SHAKA}"], cwd=folder, capture_output=True, text=True, check=False
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            return f"shaka-player: npm pack failed with status {done.returncode}: {done.stderr.strip()[-300:]}"
        if not is_shaka(archives[0]):
            return "shaka-player: what npm fetched isn't the package that is known here (its SHA-512 differs)"
        with tarfile.open(archives[0]) as archive:
            script = archive.extractfile(SHAKA_FILE)
            if script is None:
                return f"shaka-player: the package has no {SHAKA_FILE}"
            place.parent.mkdir(parents=True, exist_ok=True)
            aside = place.with_name(f".{place.name}.{os.getpid()}")
            with aside.open("wb") as sink:
                shutil.copyfileobj(script, sink)
            os.replace(aside, place)
    return ""


def is_shaka(archive: Path) -> bool:
    """Return whether an archive is the shaka-player package that is known here."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    return base64.b64encode(digest).decode() == SHAKA_SHA512


if __name__ == "__main__":
    sys.exit(main())
