"""The probe's C as bcc takes it: one text, maps as bcc's tables, the configuration as constants.

Names of maps and programs stay. bcc's compiler knows neither libbpf's definitions of maps nor global variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bpf.elf import MapSpec

PROGRAMS = Path(__file__).parent / "programs"
_MAP = re.compile(r'^struct \{\n((?:\t__(?:uint|type)\(.*\);\n)+)\} (\w+) SEC\("\.maps"\);', re.MULTILINE)
_PARAMETER = re.compile(r"__(?:uint|type)\((\w+), (.*)\);")
_CALLS = (
    (r"\bbpf_map_lookup_elem\(&(\w+), ", r"\1.lookup("),
    (r"\bbpf_map_update_elem\(&(\w+), ([^;]*?), BPF_NOEXIST\)", r"\1.insert(\2)"),
    (r"\bbpf_map_delete_elem\(&(\w+), ", r"\1.delete("),
    (r"\bbpf_map_push_elem\(&(\w+), ", r"\1.push("),
)
_SIZED = ("models", "results")  # maps whose values are as large as the loader says
_CONFIG = "const volatile struct config config = {};"


def translate(config: np.void | None = None, maps: Mapping[str, MapSpec] | None = None, folder: Path = PROGRAMS) -> str:
    """Return the text. ``config``: a record as ``struct config``. ``maps``: as they shall be, else as the source says.

    Raises ValueError where the source isn't as this expects it.
    """
    wanted = maps or {}
    text = _MAP.sub(lambda found: _table(found, wanted), _gather(folder, "probe.bpf.c", set()))
    if _CONFIG not in text or ".maps" in text:
        raise ValueError("the program's configuration or a map isn't written as it was")
    constants = "{}" if config is None else initializer(config)
    text = text.replace(_CONFIG, f"static const struct config config = {constants};")
    for pattern, replacement in _CALLS:
        text = re.sub(pattern, replacement, text)
    text = re.sub(r'^SEC\("[^"]*"\)\n', "", text, flags=re.MULTILINE)
    return re.sub(r"^char _license\[\].*$", "", text, flags=re.MULTILINE)


def initializer(value: Any) -> str:
    """Return a C initializer of a numpy record, an array or a number."""
    if isinstance(value, np.void) and value.dtype.names:
        members = (f".{name} = {initializer(value[name])}" for name in value.dtype.names)
        return f"{{ {', '.join(members)} }}"
    if isinstance(value, np.ndarray):
        return f"{{ {', '.join(initializer(each) for each in value)} }}"
    return str(int(value))


def _gather(folder: Path, name: str, seen: set[str]) -> str:
    """One text of a file and, where they are named first, its own headers; others come from bcc."""
    if name in seen:
        return ""
    seen.add(name)
    lines = []
    for line in (folder / name).read_text().splitlines():
        own = re.match(r'#include "([^"]+)"', line)
        if own:
            lines.append(_gather(folder, own[1], seen))
        elif not line.startswith("#include <"):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _table(found: re.Match[str], wanted: Mapping[str, MapSpec]) -> str:
    given, name = dict(_PARAMETER.findall(found[1])), found[2]
    kind = given["type"].removeprefix("BPF_MAP_TYPE_").lower()
    value, entries, flags, declared = given["value"], given["max_entries"], 0, ""
    if name in wanted:
        entries, flags = wanted[name].max_entries, wanted[name].flags
    if name in wanted and name in _SIZED:
        # The size alone counts: what the program reads there has its own type.
        declared = f"struct {name}_value {{ __u8 bytes[{wanted[name].value_size}]; }} __attribute__((aligned(4)));\n"
        value = f"struct {name}_value"
    if kind == "queue":
        return f"{declared}BPF_QUEUE({name}, {value}, {entries});"
    return f'{declared}BPF_F_TABLE("{kind}", {given["key"]}, {value}, {name}, {entries}, {flags});'
