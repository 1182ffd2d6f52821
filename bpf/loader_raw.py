"""Loads a bundle by bpf(2) alone, as a guest's agent does."""

from __future__ import annotations

import time
from collections.abc import Iterable

from bpf.elf import Bundle
from bpf.kernel import Loaded, create_map, load_program, require


def load(bundle: Bundle, programs: Iterable[str]) -> Loaded:
    """Create all maps and load the named programs. Raises Unsupported without the right to, else OSError."""
    require()
    begin = time.perf_counter()
    maps = {name: create_map(spec) for name, spec in bundle.maps.items()}
    loaded = Loaded(maps, {}, 0.0)
    try:
        found = {name: load_program(bundle.programs[name], maps) for name in programs}
    except OSError:
        loaded.close()
        raise
    return Loaded(maps, found, time.perf_counter() - begin)
