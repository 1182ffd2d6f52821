"""The versions of all the software that a capture rests on, and where each program is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SHAKA = "5.2.12"
PROGRAMS: Mapping[str, Sequence[str]] = {
    "nginx": ("nginx", "-v"),
    "caddy": ("caddy", "version"),
    "tcpdump": ("tcpdump", "--version"),
    "iproute2": ("ip", "-V"),
    "ffmpeg": ("ffmpeg", "-version"),
    "chromium": ("chromium", "--version"),
}
PACKAGES = ("aioquic", "aiortc", "av", "h2", "playwright")
# Debian keeps servers out of the path of those who aren't root.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"])
_VERSION = re.compile(r"\d+(?:\.\d+)+")


def find_program(name: str) -> str | None:
    """Return the path of a program, or None where it isn't installed."""
    return shutil.which(name, path=PATH)


def shaka_path() -> Path:
    """Return where ``make testbed`` puts shaka-player: inside the Python environment that runs this."""
    return Path(sys.prefix) / "share" / f"shaka-player-{SHAKA}" / "shaka-player.compiled.js"


def find_versions() -> dict[str, str]:
    """Return the version of each program and package that is here."""
    found = {
        "system": _system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    for name, command in PROGRAMS.items():
        program = find_program(command[0])
        version = _ask([program, *command[1:]]) if program else ""
        if version:
            found[name] = version
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if shaka_path().is_file():
        found["shaka-player"] = SHAKA
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _ask(command: Sequence[str]) -> str:
    """Return the first version number that a program tells of itself; empty where it doesn't answer."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search(told.stdout + told.stderr)
    return match[0] if match else ""
