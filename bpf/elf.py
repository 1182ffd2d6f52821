"""A BPF object file, read without libbpf: its maps, its programs, and where their instructions name maps.

What is read here is all that raw bpf(2) calls need, on this machine or inside a guest of either byte order. Programs
have no subprograms and need no relocation against a kernel's types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from bpf.btf import Types

RODATA = ".rodata"
"""The section of constants that the loader may set, and how the names begin of those that the compiler made."""
ARRAY = 2  # BPF_MAP_TYPE_ARRAY
READ_ONLY_PROGRAM = 128  # BPF_F_RDONLY_PROG
BY_DESCRIPTOR, BY_VALUE = 1, 2  # BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE
# Sections to BPF_PROG_TYPE_.
KINDS = {"socket": 1, "tc": 3, "xdp": 6}
_WIDE_LOAD = 0x18


@dataclass(frozen=True)
class MapSpec:
    """A map to create: BPF_MAP_TYPE_, sizes in bytes, BPF_F_; ``contents`` is its only entry's first value, if any."""

    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    contents: bytes = b""


@dataclass(frozen=True)
class Reference:
    """Instruction ``instruction`` (8 bytes each; a wide one is two) loads a map, or byte ``offset`` of its value."""

    instruction: int
    map: str
    source: int
    offset: int


@dataclass(frozen=True)
class ProgramSpec:
    """A program to load: BPF_PROG_TYPE_, its instructions, and which of them name maps."""

    name: str
    kind: int
    instructions: bytes
    references: tuple[Reference, ...]


@dataclass(frozen=True)
class Bundle:
    """An object's maps, by name and in their order, its programs, and its types. ``byte_order`` is struct's.

    constants: where in the contents of ``RODATA`` a constant stands, by its name.
    """

    maps: Mapping[str, MapSpec]
    programs: Mapping[str, ProgramSpec]
    constants: Mapping[str, int]
    types: Types
    byte_order: str


def read_object(path: Path) -> Bundle:
    """Read an object file. Raises ValueError, with the reason, for one that isn't BPF, lacks BTF or has subprograms."""
    with path.open("rb") as file:
        try:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_BPF":
                raise ValueError(f"{path} isn't a BPF object")
            order = "<" if elf.little_endian else ">"
            types = Types(_bytes_of(elf, ".BTF"), order)
            maps = {name: _map(name, found) for name, found in types.parameters(".maps")}
            for section in elf.iter_sections():
                if section.name.startswith(RODATA) and section["sh_size"]:
                    data = section.data()
                    maps[section.name] = MapSpec(section.name, ARRAY, 4, len(data), 1, READ_ONLY_PROGRAM, data)
            programs = {program.name: program for program in _programs(elf)}
            constants = dict(_constants(elf))
        except ELFError as error:
            raise ValueError(f"{path} isn't an object file: {error}") from error
    return Bundle(maps, programs, constants, types, order)


def _bytes_of(elf: Any, section: str) -> bytes:
    found = elf.get_section_by_name(section)
    return found.data() if found else b""


def _constants(elf: Any) -> Iterator[tuple[str, int]]:
    for symbol in elf.get_section_by_name(".symtab").iter_symbols():
        if symbol["st_info"]["type"] == "STT_OBJECT" and symbol["st_shndx"] == elf.get_section_index(RODATA):
            yield symbol.name, symbol["st_value"]


def _map(name: str, found: Mapping[str, int]) -> MapSpec:
    key, value = found.get("key", found.get("key_size", 0)), found.get("value", found.get("value_size", 0))
    return MapSpec(name, found["type"], key, value, found.get("max_entries", 0), found.get("map_flags", 0))


def _programs(elf: Any) -> Iterator[ProgramSpec]:
    symbols = elf.get_section_by_name(".symtab")
    for section, kind in KINDS.items():
        found = elf.get_section_by_name(section)
        if found is None:
            continue
        place = elf.get_section_index(section)
        relocations = elf.get_section_by_name(f".rel{section}")
        entries = list(relocations.iter_relocations()) if relocations else []
        for symbol in symbols.iter_symbols():
            if symbol["st_shndx"] == place and symbol["st_info"]["type"] == "STT_FUNC":
                yield _program(elf, kind, found.data(), symbol, symbols, entries)


def _program(elf: Any, kind: int, code: bytes, symbol: Any, symbols: Any, entries: list[Any]) -> ProgramSpec:
    start, size = symbol["st_value"], symbol["st_size"]
    references = []
    for entry in entries:
        at = entry["r_offset"] - start
        if not 0 <= at < size:
            continue
        if code[start + at] != _WIDE_LOAD:
            raise ValueError(f"{symbol.name} calls a subprogram or a kernel's function, which isn't supported")
        target = symbols.get_symbol(entry["r_info_sym"])
        addend = int.from_bytes(code[start + at + 4 : start + at + 8], "little" if elf.little_endian else "big")
        section = elf.get_section(target["st_shndx"]).name
        if section == ".maps":
            references.append(Reference(at // 8, target.name, BY_DESCRIPTOR, 0))
        elif section.startswith(RODATA):
            references.append(Reference(at // 8, section, BY_VALUE, target["st_value"] + addend))
        else:
            raise ValueError(f"{symbol.name} refers to {section}, which isn't supported")
    return ProgramSpec(symbol.name, kind, code[start : start + size], tuple(references))
