"""What bpf(2) gives: maps, programs, test runs and facts about them, without libbpf (include/uapi/linux/bpf.h)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import Unsupported
from bpf.elf import READ_ONLY_PROGRAM, MapSpec, ProgramSpec
from bpf.system_call import call

(_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY, _PROG_LOAD) = range(6)
_TEST_RUN, _INFO, _LOOKUP_AND_DELETE, _FREEZE = 10, 15, 21, 22
_ATTRIBUTE = 128
_LOG_STATISTICS = 4  # BPF_LOG_STATS
_STATISTICS = ("verification time", "stack depth", "processed ")
PERCPU_KINDS = (5, 6, 10)  # BPF_MAP_TYPE_PERCPU_HASH, _PERCPU_ARRAY, _LRU_PERCPU_HASH
MEMORY_MAPPED = 1 << 10  # BPF_F_MMAPABLE
STRICT_ALIGNMENT = 1  # BPF_F_STRICT_ALIGNMENT


@dataclass(frozen=True)
class Map:
    """A map of the kernel: its descriptor and the sizes in bytes that it was made with."""

    descriptor: int
    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None; where each CPU has its own, all of them, each rounded up to 8 B."""
        size = self.value_size
        if self.kind in PERCPU_KINDS:
            size = (size + 7) // 8 * 8 * possible_cpus()
        value = ctypes.create_string_buffer(size)
        keys = ctypes.create_string_buffer(key, max(1, len(key)))
        try:
            _element(_MAP_LOOKUP, self.descriptor, keys, value)
        except FileNotFoundError:
            return None
        return value.raw

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Write a value."""
        keys = ctypes.create_string_buffer(key, max(1, len(key)))
        _element(_MAP_UPDATE, self.descriptor, keys, ctypes.create_string_buffer(value, len(value)), flags)

    def delete(self, key: bytes) -> None:
        """Delete a key; FileNotFoundError where it isn't there."""
        _element(_MAP_DELETE, self.descriptor, ctypes.create_string_buffer(key, len(key)), None)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys; those that come or go meanwhile may be missed."""
        last: ctypes.Array[ctypes.c_char] | None = None
        while True:
            following = ctypes.create_string_buffer(self.key_size)
            try:
                _element(_MAP_NEXT_KEY, self.descriptor, last, following)
            except FileNotFoundError:
                return
            yield following.raw
            last = following

    def pop(self) -> bytes | None:
        """Take the oldest value of a queue, or None where it is empty."""
        value = ctypes.create_string_buffer(self.value_size)
        try:
            _element(_LOOKUP_AND_DELETE, self.descriptor, None, value)
        except FileNotFoundError:
            return None
        return value.raw

    def freeze(self) -> None:
        """Have user space write no more: the verifier then knows what a read-only map holds."""
        call(_FREEZE, struct.pack("=I", self.descriptor) + bytes(_ATTRIBUTE - 4))

    def memory(self) -> int:
        """Bytes of memory, by the kernel's own account."""
        for line in Path(f"/proc/self/fdinfo/{self.descriptor}").read_text().splitlines():
            if line.startswith("memlock:"):
                return int(line.split()[1])
        return 0


@dataclass(frozen=True)
class ProgramFacts:
    """What the kernel says of a program; verified and states are 0 where it doesn't tell."""

    verified_insns: int
    verified_states: int
    stack_bytes: int
    jited_bytes: int
    translated_bytes: int


@dataclass(frozen=True)
class Program:
    """A loaded program, and what the verifier had to say of it (its statistics)."""

    descriptor: int
    name: str
    log: str = ""

    def run(self, packet: bytes, repeat: int = 1, context: bytes = b"") -> tuple[int, int]:
        """Have the kernel run the program on a packet; return (what it returned, ns of one run on average)."""
        data = ctypes.create_string_buffer(packet, len(packet))
        attribute = ctypes.create_string_buffer(
            trial_run(self.descriptor, data, len(packet), repeat, context), _ATTRIBUTE
        )
        call(_TEST_RUN, attribute)
        result, duration = struct.unpack_from("=I", attribute, 4)[0], struct.unpack_from("=I", attribute, 36)[0]
        return int(result), int(duration)

    def facts(self) -> ProgramFacts:
        """Ask the kernel."""
        info = ctypes.create_string_buffer(256)
        call(_INFO, struct.pack("=IIQ", self.descriptor, len(info), ctypes.addressof(info)) + bytes(_ATTRIBUTE - 16))
        jited, translated = struct.unpack_from("=II", info, 16)
        verified = struct.unpack_from("=I", info, 216)[0]
        words = self.log.split()
        states = int(words[words.index("total_states") + 1]) if "total_states" in words else 0
        stack = sum(int(part) for part in words[words.index("depth") + 1].split("+")) if "depth" in words else 0
        return ProgramFacts(verified, states, stack, jited, translated)


_contexts: dict[bytes, ctypes.Array[ctypes.c_char]] = {}


def trial_run(
    program: int, data: ctypes.Array[ctypes.c_char], size: int, repeat: int = 1, context: bytes = b""
) -> bytes:
    """The attribute of a test run on ``size`` bytes of ``data``, which must outlive it."""
    given = _contexts.setdefault(context, ctypes.create_string_buffer(context, max(1, len(context))))
    return struct.pack(
        "=IIIIQQIIIIQQIII", program, 0, size, 0, ctypes.addressof(data), 0, repeat, 0,
        len(context), 0, ctypes.addressof(given) if context else 0, 0, 0, 0, 0,
    ).ljust(_ATTRIBUTE, b"\0")  # fmt: skip


def create_map(spec: MapSpec) -> Map:
    """Create a map, with its contents; one that programs can only read is frozen."""
    name = spec.name.lstrip(".").encode()[:15]
    head = struct.pack(
        "=IIIIIII16s", spec.kind, spec.key_size, spec.value_size, spec.max_entries, spec.flags, 0, 0, name
    )
    descriptor = call(_MAP_CREATE, head + bytes(_ATTRIBUTE - len(head)))
    made = Map(descriptor, spec.name, spec.kind, spec.key_size, spec.value_size, spec.max_entries)
    if spec.contents:
        made.update(bytes(spec.key_size), spec.contents.ljust(spec.value_size, b"\0"))
    if spec.flags & READ_ONLY_PROGRAM:
        made.freeze()
    return made


def load_program(spec: ProgramSpec, maps: Mapping[str, Map], flags: int = 0) -> Program:
    """Load a program that finds its maps among ``maps``. Raises OSError with the verifier's last words."""
    code = bytearray(spec.instructions)
    for reference in spec.references:
        at = 8 * reference.instruction
        # Registers are bit fields: the source stands in the upper half of the byte where the lower bits come first.
        if sys.byteorder == "little":
            code[at + 1] = code[at + 1] & 0x0F | reference.source << 4
        else:
            code[at + 1] = code[at + 1] & 0xF0 | reference.source
        struct.pack_into("=i", code, at + 4, maps[reference.map].descriptor)
        struct.pack_into("=i", code, at + 12, reference.offset)
    instructions = ctypes.create_string_buffer(bytes(code), len(code))
    terms, log = ctypes.create_string_buffer(b"Dual BSD/GPL"), ctypes.create_string_buffer(1 << 16)
    head = struct.pack(
        "=IIQQIIQII16s", spec.kind, len(code) // 8, ctypes.addressof(instructions), ctypes.addressof(terms),
        _LOG_STATISTICS, len(log), ctypes.addressof(log), 0, flags, spec.name.encode()[:15],
    )  # fmt: skip
    try:
        descriptor = call(_PROG_LOAD, head + bytes(_ATTRIBUTE - len(head)))
    except OSError as error:
        raise OSError(error.errno, f"{spec.name}: {error.strerror}; {last_words(log.value)}") from error
    return Program(descriptor, spec.name, log.value.decode(errors="replace"))


def last_words(log: bytes) -> str:
    """What the verifier said at the end of its log, behind which its statistics stand."""
    lines = [line for line in log.decode(errors="replace").splitlines() if not line.startswith(_STATISTICS)]
    return " ".join(lines[-3:]).strip()


@dataclass(frozen=True)
class Loaded:
    """Maps and programs in the kernel, gone when it is closed; ``seconds`` is what loading took."""

    maps: Mapping[str, Map]
    programs: Mapping[str, Program]
    seconds: float

    def close(self) -> None:
        """Give all descriptors back."""
        descriptors = [one.descriptor for one in self.programs.values()] + [
            one.descriptor for one in self.maps.values()
        ]
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def require() -> None:
    """Raise Unsupported, with the reason, where bpf(2) isn't for this process."""
    try:
        os.close(create_map(MapSpec("trial", 2, 4, 4, 1)).descriptor)
    except OSError as error:
        reason = "needs root (CAP_BPF and CAP_NET_ADMIN)" if error.errno == errno.EPERM else error.strerror
        raise Unsupported(f"bpf(2) {reason}") from error


def possible_cpus() -> int:
    """Number of values that a map has where every CPU has its own."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")[2].rpartition(",")[2]
    return int(last) + 1


def _element(
    command: int,
    descriptor: int,
    key: ctypes.Array[ctypes.c_char] | None,
    value: ctypes.Array[ctypes.c_char] | None,
    flags: int = 0,
) -> None:
    key_at, value_at = (ctypes.addressof(block) if block is not None else 0 for block in (key, value))
    call(command, struct.pack("=IIQQQ", descriptor, 0, key_at, value_at, flags) + bytes(_ATTRIBUTE - 32))
