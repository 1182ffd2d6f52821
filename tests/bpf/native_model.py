"""model.h in user space: the kernel's own source, compiled for this machine and called from Python."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bpf.models.blob import CAPACITY, capacity_of, padded
from tests.houses import ROOT

NATIVE = Path(__file__).parent / "native"
PROGRAMS = ROOT / "bpf" / "programs"


class NativeModel:
    """Judges rows by ``infer`` of model.h, with the loader's part played here."""

    def __init__(self, library: Path) -> None:
        self.judge = ctypes.CDLL(str(library)).judge

    def predict(self, blob, rows, slot=0, capacity=None):
        """Return (label, score, kind), int64 [n] each."""
        capacity = capacity_of(blob) if capacity is None else capacity
        content = ctypes.create_string_buffer(padded(blob, capacity), int(capacity["bytes"]))
        head = np.array([capacity], CAPACITY)
        rows = np.ascontiguousarray(rows, np.uint32)
        found = np.zeros((len(rows), 3), np.int32)
        addresses = [array.ctypes.data_as(ctypes.c_void_p) for array in (head, rows, found)]
        self.judge(content, addresses[0], slot, addresses[1], len(rows), rows.shape[1], addresses[2])
        return found.astype(np.int64).T


def compile_native(folder: Path) -> NativeModel:
    """Compile for this machine; skips the test where there is no C compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = folder / "model.so"
    words = [compiler, "-O2", "-Wall", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-DLEVEL=5", f"-I{NATIVE}"]
    done = subprocess.run(
        [*words, "-iquote", str(PROGRAMS), "-o", str(library), str(NATIVE / "model.c")], capture_output=True, text=True
    )
    if "linux/types.h: No such file" in done.stderr or "linux/bpf.h: No such file" in done.stderr:
        pytest.skip("needs the kernel's headers for user space (linux-libc-dev)")
    assert done.returncode == 0, done.stderr
    return NativeModel(library)
