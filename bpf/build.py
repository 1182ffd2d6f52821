"""Compile the probe: every feature set for both byte orders, with digests that tell objects from stale ones.

``python -m bpf.build`` writes ``bpf/objects``; ``--check`` only says whether they were made of the sources at hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, Unsupported, nearest
from benchmark.quality.names import FEATURE_SETS

PROGRAMS = Path(__file__).parent / "programs"
OBJECTS = Path(__file__).parent / "objects"
ORDERS = ("bpfel", "bpfeb")
_DIGESTS = "digests.json"
_FLAGS = ("-ffile-compilation-dir=.", "-O2", "-g", "-mcpu=v3", "-Wall", "-Werror", "-iquote", str(PROGRAMS.name))
# Big-endian routers are MIPS, which traps on unaligned loads.
_ORDER_FLAGS = {"bpfel": (), "bpfeb": ("-DSTRICT_ALIGNMENT",)}


def object_path(feature_set: str, order: str | None = None) -> Path:
    """Return where the object of F0 to F5 is, by default that for this machine's byte order."""
    if feature_set not in FEATURE_SETS:
        raise ConfigError(f"unknown feature set '{feature_set}'{nearest(feature_set, FEATURE_SETS)}")
    order = order or ("bpfel" if sys.byteorder == "little" else "bpfeb")
    return OBJECTS / f"probe-{feature_set}.{order}.o"


def compile_object(feature_set: str, order: str, target: Path, more: tuple[str, ...] = ()) -> None:
    """Compile one object, with ``more`` flags. Raises Unsupported where clang or the kernel's headers are missing."""
    for tool in ("clang", "llvm-objcopy"):
        if shutil.which(tool) is None:
            raise Unsupported(f"{tool} isn't installed (apt-get install clang llvm libbpf-dev)")
    multiarch = subprocess.run(
        ["clang", "-print-multiarch"], capture_output=True, text=True, check=False
    ).stdout.strip()
    command = [
        *("clang", "-target", order, *_FLAGS, *_ORDER_FLAGS[order], *more),
        *(
            f"-DLEVEL={FEATURE_SETS.index(feature_set)}",
            "-idirafter",
            f"/usr/include/{multiarch or 'x86_64-linux-gnu'}",
        ),
        *("-c", f"{PROGRAMS.name}/probe.bpf.c", "-o", str(target)),
    ]
    _run(command)
    # Line numbers would be most of the object, and maps' types are all that a loader reads.
    _run(["llvm-objcopy", "-g", "--remove-section=.BTF.ext", "--remove-section=.rel.BTF.ext", str(target)])


def source_digest() -> str:
    """Return the SHA-256 of all sources and flags."""
    digest = hashlib.sha256(json.dumps([_FLAGS, _ORDER_FLAGS]).encode())
    for path in sorted(PROGRAMS.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def stale() -> list[str]:
    """Say what disagrees between sources, objects and digests; nothing where all is well."""
    try:
        known: dict[str, Any] = json.loads((OBJECTS / _DIGESTS).read_text())
    except (OSError, ValueError) as error:
        return [f"{_DIGESTS}: {error}"]
    faults = []
    if known.get("sources") != source_digest():
        faults.append("bpf/programs has changed since the objects were compiled: make bpf")
    for name, digest in known.get("objects", {}).items():
        path = OBJECTS / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            faults.append(f"{name} isn't the object that was compiled: make bpf")
    return faults


def build() -> None:
    """Compile all objects, and replace those that are there once all are made."""
    OBJECTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OBJECTS) as folder:
        digests = {}
        for feature_set in FEATURE_SETS:
            for order in ORDERS:
                target = Path(folder) / object_path(feature_set, order).name
                compile_object(feature_set, order, target)
                digests[target.name] = hashlib.sha256(target.read_bytes()).hexdigest()
        compiler = subprocess.run(
            ["clang", "--version"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[0]
        facts = {"compiler": compiler, "sources": source_digest(), "objects": digests}
        (Path(folder) / _DIGESTS).write_text(json.dumps(facts, indent=2) + "\n")
        for name in (*digests, _DIGESTS):
            os.replace(Path(folder) / name, OBJECTS / name)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=PROGRAMS.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsupported(f"{command[0]} failed: {done.stderr.strip()}")


def main() -> int:
    """Build, or check."""
    parser = argparse.ArgumentParser(prog="python -m bpf.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    if parser.parse_args().check:
        faults = stale()
        print("\n".join(faults) or "objects and sources agree")
        return 1 if faults else 0
    build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
