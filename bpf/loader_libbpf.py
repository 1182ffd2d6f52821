"""Loads an object by libbpf, the measured path; what is changed of its maps comes from a bundle."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.errors import Unsupported
from bpf.elf import RODATA, Bundle
from bpf.kernel import Loaded, Map, Program, last_words, require

_LIBRARY = "libbpf.so.1"
_LOG_STATISTICS = 4  # BPF_LOG_STATS
_LOG_BYTES = 1 << 16
_POINTER, _TEXT, _NUMBER, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_size_t
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "libbpf_set_print": (_POINTER, (_POINTER,)),
    "bpf_object__open_file": (_POINTER, (_TEXT, _POINTER)),
    "bpf_object__close": (None, (_POINTER,)),
    "bpf_object__load": (ctypes.c_int, (_POINTER,)),
    "bpf_object__next_program": (_POINTER, (_POINTER, _POINTER)),
    "bpf_object__next_map": (_POINTER, (_POINTER, _POINTER)),
    "bpf_program__name": (_TEXT, (_POINTER,)),
    "bpf_program__set_autoload": (ctypes.c_int, (_POINTER, ctypes.c_bool)),
    "bpf_program__set_log_level": (ctypes.c_int, (_POINTER, _NUMBER)),
    "bpf_program__set_log_buf": (ctypes.c_int, (_POINTER, _POINTER, _SIZE)),
    "bpf_program__fd": (ctypes.c_int, (_POINTER,)),
    "bpf_map__name": (_TEXT, (_POINTER,)),
    "bpf_map__set_value_size": (ctypes.c_int, (_POINTER, _NUMBER)),
    "bpf_map__set_max_entries": (ctypes.c_int, (_POINTER, _NUMBER)),
    "bpf_map__set_map_flags": (ctypes.c_int, (_POINTER, _NUMBER)),
    "bpf_map__set_initial_value": (ctypes.c_int, (_POINTER, _POINTER, _SIZE)),
    "bpf_map__fd": (ctypes.c_int, (_POINTER,)),
}


def load(path: Path, bundle: Bundle, programs: Iterable[str]) -> Loaded:
    """Load the object at ``path`` as its ``bundle`` has been tailored, with the named programs alone.

    Raises Unsupported without libbpf or the right to load, OSError with the verifier's last words.
    """
    require()
    library = _open_library()
    begin = time.perf_counter()
    opened = library.bpf_object__open_file(os.fsencode(path), None)
    if not opened:
        raise OSError(ctypes.get_errno(), f"libbpf can't open {path}")
    try:
        handles = {library.bpf_map__name(one).decode(): one for one in _each(library.bpf_object__next_map, opened)}
        # libbpf puts the object's name ahead of the section's.
        handles = {RODATA if name.endswith(RODATA) else name: one for name, one in handles.items()}
        _tailor(library, handles, bundle)
        wanted, logs = set(programs), {}
        found = {
            library.bpf_program__name(one).decode(): one for one in _each(library.bpf_object__next_program, opened)
        }
        for name, one in found.items():
            library.bpf_program__set_autoload(one, name in wanted)
            logs[name] = ctypes.create_string_buffer(_LOG_BYTES)
            library.bpf_program__set_log_level(one, _LOG_STATISTICS)
            library.bpf_program__set_log_buf(one, logs[name], _LOG_BYTES)
        code = library.bpf_object__load(opened)
        if code:
            words = [words for log in logs.values() if (words := last_words(log.value))]
            raise OSError(-code, f"{path.name}: {os.strerror(-code)}; {' '.join(words)}")
        # Descriptors of our own outlive the object.
        maps = {
            name: Map(
                os.dup(library.bpf_map__fd(one)), name, spec.kind, spec.key_size, spec.value_size, spec.max_entries
            )
            for name, one in handles.items()
            if (spec := bundle.maps.get(name))
        }
        loaded = {
            name: Program(os.dup(library.bpf_program__fd(found[name])), name, logs[name].value.decode(errors="replace"))
            for name in wanted
        }
    finally:
        library.bpf_object__close(opened)
    done = Loaded(maps, loaded, time.perf_counter() - begin)
    for name, spec in bundle.maps.items():
        if spec.contents and name != RODATA:
            done.maps[name].update(bytes(spec.key_size), spec.contents.ljust(spec.value_size, b"\0"))
    return done


def _open_library() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as error:
        raise Unsupported(f"{_LIBRARY} isn't installed (apt-get install libbpf1)") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    # Errors come back as codes and logs; nothing is printed.
    library.libbpf_set_print(None)
    return library


def _each(following: Any, opened: int) -> Iterable[int]:
    one = following(opened, None)
    while one:
        yield one
        one = following(opened, one)


def _tailor(library: Any, handles: dict[str, int], bundle: Bundle) -> None:
    for name, spec in bundle.maps.items():
        one = handles[name]
        if name == RODATA:
            contents = ctypes.create_string_buffer(spec.contents, len(spec.contents))
            if library.bpf_map__set_initial_value(one, contents, len(spec.contents)):
                raise OSError(0, f"libbpf doesn't take {len(spec.contents)} bytes of {RODATA}")
            continue
        library.bpf_map__set_value_size(one, spec.value_size)
        library.bpf_map__set_max_entries(one, spec.max_entries)
        library.bpf_map__set_map_flags(one, spec.flags)
