"""The probe by bcc: its C source is compiled on this machine when it is loaded, and there is no object file.

bcc is a distribution's package (python3-bpfcc), not PyPI's of that name; it is found wherever this Python runs from.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmark.errors import Unsupported
from benchmark.quality.names import FEATURE_SETS
from bpf.elf import RODATA, Bundle
from bpf.headers import flags, prepare_headers
from bpf.kernel import Loaded, Map, Program, require
from bpf.translation import translate

PLACES = ("/usr/lib/python3/dist-packages", "/usr/lib/python3/site-packages", "/usr/local/lib/python3/dist-packages")
"""Where distributions put Python packages that this interpreter may not look at."""
_LIBRARY = "libbcc.so.0"


@dataclass(frozen=True)
class Bcc:
    """The Python package and what it says of itself."""

    package: ModuleType
    path: Path

    def describe(self) -> str:
        """Version and place."""
        return f"{getattr(self.package, '__version__', 'unknown version')} in {self.path}"


class Compiled:
    """Programs and maps of one compilation, for as long as this object lives; descriptors belong to bcc."""

    def __init__(self, text: str, level: int) -> None:
        """Compile. Raises Unsupported where bcc isn't here, OSError with the compiler's words where it refuses."""
        bcc = find_bcc().package
        # bcc looks for the kernel's own headers first, which needn't be this kernel's.
        os.environ["BCC_KERNEL_SOURCE"] = str(prepare_headers())
        options = [f"-DLEVEL={level}", "-DNO_GLOBALS", "-Wno-everything", *flags()]
        self._library = bcc.lib
        with _words() as words:
            try:
                self._module = bcc.BPF(text=text.encode(), cflags=options)
            except Exception as fault:
                raise OSError(errno.EINVAL, f"bcc doesn't compile the probe: {words() or fault}") from fault

    def program(self, name: str, kind: int) -> int:
        """Load a program, of BPF_PROG_TYPE_ ``kind``; return its descriptor. OSError with the verifier's last words."""
        with _words() as words:
            try:
                return int(self._module.load_func(name.encode(), kind).fd)
            except Exception as fault:
                reason = words()[-400:] or str(fault)
                raise OSError(errno.EACCES, f"the kernel refuses {name} as bcc compiles it: {reason}") from fault

    def map(self, name: str) -> int:
        """Return a map's descriptor; KeyError where there is none."""
        descriptor = int(self._library.bpf_table_fd(self._module.module, name.encode()))
        if descriptor < 0:
            raise KeyError(name)
        return descriptor

    def close(self) -> None:
        """Let go of programs, maps and the compiler's memory."""
        atexit.unregister(self._module.cleanup)
        self._module.cleanup()


def load(feature_set: str, bundle: Bundle, programs: Iterable[str]) -> Loaded:
    """Compile the probe of F0 to F5 as its object's ``bundle`` has been tailored, and load the named programs alone.

    Raises Unsupported without bcc or the right to load, OSError with the compiler's or the verifier's words.
    """
    require()
    begin = time.perf_counter()
    config = np.frombuffer(bundle.maps[RODATA].contents, bundle.types.record("config"), 1)[0]
    specs = {name: spec for name, spec in bundle.maps.items() if name != RODATA}
    compiled = Compiled(translate(config, specs), FEATURE_SETS.index(feature_set))
    try:
        found = {name: compiled.program(name, bundle.programs[name].kind) for name in programs}
        # Descriptors of our own outlive the compiler.
        loaded = {name: Program(os.dup(descriptor), name) for name, descriptor in found.items()}
        maps = {
            name: Map(os.dup(compiled.map(name)), name, spec.kind, spec.key_size, spec.value_size, spec.max_entries)
            for name, spec in specs.items()
        }
    finally:
        compiled.close()
    done = Loaded(maps, loaded, time.perf_counter() - begin)
    for name, spec in specs.items():
        if spec.contents:
            maps[name].update(bytes(spec.key_size), spec.contents.ljust(spec.value_size, b"\0"))
    return done


def find_bcc(places: Sequence[str] = PLACES) -> Bcc:
    """Find and import bcc, from among this interpreter's packages or the system's; else Unsupported.

    Nothing else of the system's packages becomes importable by it.
    """
    for path in (None, list(places)):
        spec = importlib.machinery.PathFinder.find_spec("bcc", path)
        if spec is None or spec.origin is None or not (Path(spec.origin).parent / "libbcc.py").exists():
            continue
        try:
            ctypes.CDLL(_LIBRARY)
        except OSError:
            raise Unsupported(f"bcc is in {Path(spec.origin).parent}, but {_LIBRARY} isn't found") from None
        if "bcc" not in sys.modules:
            package = importlib.util.module_from_spec(spec)
            sys.modules["bcc"] = package
            assert spec.loader is not None
            spec.loader.exec_module(package)
        return Bcc(sys.modules["bcc"], Path(spec.origin).parent)
    raise Unsupported("the Python package bcc, with libbcc, isn't found")


@contextmanager
def _words() -> Iterator[Callable[[], str]]:
    """Catch what libbcc writes to standard error; yields a function that returns its end."""
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)

        def words() -> str:
            file.seek(0)
            return file.read()[-2000:].decode(errors="replace").strip()

        try:
            yield words
        finally:
            os.dup2(kept, 2)
            os.close(kept)
