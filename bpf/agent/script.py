"""What the agent is told: a script of bpf(2) calls in the byte order of the machine that runs it (agent.c, agent.h)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MAGIC = 0x54414731
NONE = 0xFFFFFFFF
"""In place of a map's number, where there is no queue of results."""


class Command(enum.IntEnum):
    """script.c's ``enum command``."""

    END = 0
    MAP = 1
    UPDATE = 2
    FREEZE = 3
    PROGRAM = 4
    REPLAY = 5
    CLOSE = 6
    MEASURE = 7
    DUMP = 8
    CLEAR = 9


@dataclass(frozen=True)
class Relocation:
    """Instruction ``instruction`` (of 64 bits, so a wide one counts twice) loads map number ``map``.

    ``source`` is BPF_PSEUDO_MAP_FD (1), or BPF_PSEUDO_MAP_VALUE (2) for byte ``offset`` of its value.
    """

    instruction: int
    map: int
    source: int = 1
    offset: int = 0


@dataclass
class Script:
    """Commands in order. ``byte_order`` is struct's; every method returns the number of its answer.

    Maps and programs are named by their place among the maps, or programs, of the script.
    """

    byte_order: str
    commands: list[Command] = field(default_factory=list)
    maps: int = 0
    programs: int = 0
    _parts: list[bytes] = field(default_factory=list)
    size: int = 8

    def create_map(self, name: str, kind: int, key_size: int, value_size: int, max_entries: int, flags: int = 0) -> int:
        """Create a map; return its place. ``kind`` is the kernel's BPF_MAP_TYPE_ number."""
        self._add(Command.MAP, self._pack("6I16s", kind, key_size, value_size, max_entries, flags, 0, _name(name)))
        self.maps += 1
        return self.maps - 1

    def update(self, place: int, key: bytes, value: bytes) -> int:
        """Set a map's entry; a per-CPU map's value is that of every CPU, in a row."""
        return self._add(Command.UPDATE, self._pack("2I", place, 0) + _pad(key) + _pad(value))

    def freeze(self, place: int) -> int:
        """Make a map read-only for user space, so that the verifier takes its values as constants."""
        return self._add(Command.FREEZE, self._pack("2I", place, 0))

    def load(
        self,
        name: str,
        kind: int,
        instructions: bytes,
        relocations: Sequence[Relocation] = (),
        attach_type: int = 0,
        log_level: int = 4,
    ) -> int:
        """Load a program; return its place. ``kind`` is BPF_PROG_TYPE_, and log level 4 asks for statistics."""
        head = self._pack(
            "6I16s", kind, attach_type, len(instructions) // 8, len(relocations), log_level, 0, _name(name)
        )
        places = [self._pack("4I", at.instruction, at.map, at.source, at.offset) for at in relocations]
        self._add(Command.PROGRAM, b"".join([head, *places, instructions]))
        self.programs += 1
        return self.programs - 1

    def replay(
        self, program: int, clock: int, value: bytes, now: int, packets: Iterable[tuple[int, bytes]], queue: int = NONE
    ) -> int:
        """Run packets (time in ns, bytes), each at its time.

        Ahead of each, entry 0 of the map ``clock`` becomes ``value`` with the time, 64 bits, at byte ``now``. The
        answer is the ns that all runs took, 64 bits, and what came into ``queue``.
        """
        parts = [self._pack("QII", time, len(data), 0) + _pad(data) for time, data in packets]
        head = self._pack("6I", program, clock, now, queue, len(parts), 0)
        return self._add(Command.REPLAY, b"".join([head, _pad(value), *parts]))

    def close(self, program: int, flows: int, queue: int) -> int:
        """Run the program on every key of ``flows``, behind 14 zeros. The answer is what came into ``queue``."""
        return self._add(Command.CLOSE, self._pack("4I", program, flows, queue, 0))

    def measure(self, program: int, data: bytes, repeat: int, rounds: int) -> int:
        """Run one packet ``repeat`` times, ``rounds`` times over. The answer is each round's mean ns, 32 bits."""
        return self._add(Command.MEASURE, self._pack("4I", program, repeat, rounds, len(data)) + _pad(data))

    def dump(self, place: int) -> int:
        """List a map. The answer is each key with its value; a queue's values, which leave it."""
        return self._add(Command.DUMP, self._pack("2I", place, 0))

    def clear(self, place: int) -> int:
        """Remove every entry of a hash map."""
        return self._add(Command.CLEAR, self._pack("2I", place, 0))

    def encode(self) -> bytes:
        """The script as the agent reads it."""
        return b"".join([self._pack("2I", MAGIC, 0), *self._parts, self._pack("2I", Command.END, 0)])

    def _add(self, command: Command, payload: bytes) -> int:
        payload = _pad(payload)
        self._parts += [self._pack("2I", command, len(payload)), payload]
        self.size += 8 + len(payload)
        self.commands.append(command)
        return len(self.commands) - 1

    def _pack(self, layout: str, *values: int | bytes) -> bytes:
        return struct.pack(self.byte_order + layout, *values)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _name(name: str) -> bytes:
    return name.encode("ascii")[:15]
