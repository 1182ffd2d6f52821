"""Types of a BPF object, from its BTF section (Documentation/bpf/btf.rst): maps' parameters and structs' layouts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAGIC = 0xEB9F
_INT, _ARRAY, _STRUCT, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _DATASEC = 1, 3, 4, 8, 9, 10, 11, 15
# Bytes behind the head of a kind: a fixed part, and a part for each of its members.
_TAILS = {
    1: (4, 0),
    2: (0, 0),
    3: (12, 0),
    4: (0, 12),
    5: (0, 12),
    6: (0, 8),
    7: (0, 0),
    8: (0, 0),
    9: (0, 0),
    10: (0, 0),
    11: (0, 0),
    12: (0, 0),
    13: (0, 8),
    14: (4, 0),
    15: (0, 12),
    16: (0, 0),
    17: (4, 0),
    18: (0, 0),
    19: (0, 12),
}
_TRANSPARENT = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT)
_SIGNED = 1


@dataclass(frozen=True)
class _Type:
    kind: int
    name: str
    size_or_type: int
    members: int
    tail: bytes


class Types:
    """All types of an object. ``byte_order`` is struct's, "<" or ">".

    Raises ValueError for bytes that aren't BTF.
    """

    def __init__(self, section: bytes, byte_order: str) -> None:
        self._order = byte_order
        if len(section) < 24 or struct.unpack_from(byte_order + "H", section)[0] != _MAGIC:
            raise ValueError("the object has no BTF; clang writes it with -g")
        head, type_at, type_size, name_at, name_size = struct.unpack_from(byte_order + "5I", section, 4)
        self._names = section[head + name_at : head + name_at + name_size]
        self._types = list(self._read(section[head + type_at : head + type_at + type_size]))
        self._structs = {one.name: one for one in self._types if one.kind == _STRUCT and one.name}

    def record(self, name: str) -> np.dtype[Any]:
        """The layout of ``struct name`` as a numpy record type, in the object's byte order."""
        if name not in self._structs:
            raise ValueError(f"the object has no struct {name}")
        return self._record(self._structs[name])

    def parameters(self, section: str) -> Iterator[tuple[str, dict[str, int]]]:
        """The variables of a section whose members are parameters as in libbpf's map definitions.

        An ``__uint`` (a pointer to an array) gives its number, a ``__type`` (a pointer) the size of its type.
        """
        for one in self._types:
            if one.kind != _DATASEC or one.name != section:
                continue
            for number, _, _ in struct.iter_unpack(self._order + "3I", one.tail):
                variable = self._types[number]
                yield variable.name, dict(self._parameters(self._resolve(variable.size_or_type)))

    def _parameters(self, definition: _Type) -> Iterator[tuple[str, int]]:
        for name, number, _ in self._members(definition):
            target = self._resolve(self._resolve(number).size_or_type)
            sized = name in ("key", "value")
            yield name, self._size(target) if sized else self._length(target)

    def _read(self, section: bytes) -> Iterator[_Type]:
        yield _Type(0, "void", 0, 0, b"")
        at = 0
        while at < len(section):
            name, info, size_or_type = struct.unpack_from(self._order + "3I", section, at)
            kind, members = info >> 24 & 31, info & 0xFFFF
            if kind not in _TAILS:
                raise ValueError(f"BTF of kind {kind} isn't known")
            fixed, each = _TAILS[kind]
            size = fixed + each * members
            yield _Type(kind, self._name(name), size_or_type, members, section[at + 12 : at + 12 + size])
            at += 12 + size

    def _name(self, at: int) -> str:
        return self._names[at : self._names.index(b"\0", at)].decode()

    def _resolve(self, number: int) -> _Type:
        found = self._types[number]
        while found.kind in _TRANSPARENT:
            found = self._types[found.size_or_type]
        return found

    def _members(self, one: _Type) -> Iterator[tuple[str, int, int]]:
        """Name, type and byte offset of each member."""
        for name, number, offset in struct.iter_unpack(self._order + "3I", one.tail):
            yield self._name(name), number, (offset & 0xFFFFFF) // 8

    def _length(self, array: _Type) -> int:
        return int(struct.unpack(self._order + "3I", array.tail)[2])

    def _size(self, one: _Type) -> int:
        return 0 if one.kind == 0 else self._element(one).itemsize

    def _record(self, one: _Type) -> np.dtype[Any]:
        members = list(self._members(one))
        return np.dtype(
            {
                "names": [name for name, _, _ in members],
                "formats": [self._element(self._resolve(number)) for _, number, _ in members],
                "offsets": [offset for _, _, offset in members],
                "itemsize": one.size_or_type,
            }
        )

    def _element(self, one: _Type) -> np.dtype[Any]:
        if one.kind == _INT:
            signed = one.tail and struct.unpack(self._order + "I", one.tail)[0] >> 24 & _SIGNED
            return np.dtype(f"{self._order}{'i' if signed else 'u'}{one.size_or_type}")
        if one.kind == _ARRAY:
            number, _, length = struct.unpack(self._order + "3I", one.tail)
            return np.dtype((self._element(self._resolve(number)), (length,)))
        if one.kind == _STRUCT:
            return self._record(one)
        raise ValueError(f"BTF of kind {one.kind} has no fixed layout")
