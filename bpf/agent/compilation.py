"""The agent, compiled for a guest or for this machine, once for each state of its source and compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmark.errors import Unsupported
from bpf.cache import cache_folder

FOLDER = Path(__file__).resolve().parent
OPTIONS = ("-static", "-O2", "-Wall", "-Wextra", "-s")


def compile_agent(compiler: str) -> Path:
    """Return the static agent that ``compiler`` makes, from the cache where it is there.

    Raises Unsupported where the compiler is missing or can't, with its first complaint.
    """
    program = shutil.which(compiler)
    if program is None:
        raise Unsupported(f"{compiler} is missing, and the agent is compiled with it")
    version = subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False).stdout
    sources = sorted(FOLDER.glob("*.[ch]"))
    parts = [version, " ".join(OPTIONS).encode(), *(path.read_bytes() for path in sources)]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    place = cache_folder("agents") / f"{compiler}-{key}"
    if place.is_file():
        return place
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = Path(folder) / "agent"
        command = [program, *OPTIONS, "-o", str(made), *(str(path) for path in sources if path.suffix == ".c")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            complaint = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[0]
            raise Unsupported(f"{compiler} can't make the agent: {complaint}")
        os.replace(made, place)
    return place
