"""Packets to a program one test run each, as fast as one process can: everything is laid out before the first."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Packets
from bpf.abi import CLOCK
from bpf.kernel import Map
from bpf.system_call import number

ETHERNET = 14
_TEST_RUN = 10
_CONTEXT_BYTES = 192  # struct __sk_buff
_RUN = np.dtype(
    [
        *(
            ("program", "u4"),
            ("returned", "u4"),
            ("size", "u4"),
            ("size_out", "u4"),
            ("data", "u8"),
            ("data_out", "u8"),
        ),
        *(("repeat", "u4"), ("duration", "u4"), ("context_size", "u4"), ("context_out_size", "u4")),
        *(("context", "u8"), ("context_out", "u8"), ("rest", "u4", (8,))),
    ]
)
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)
_syscall.restype = ctypes.c_long


@dataclass(frozen=True, eq=False)
class Frames:
    """Packets as a device has them: frame i is ``data[offsets[i]:offsets[i + 1]]``, at ``times[i]`` ns (uint64).

    merged: int64 [n, 2], (gso_segs, gso_size) of each, or None where no packet merges several.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    times: NDArray[np.uint64]
    merged: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.times)


def frames_of(packets: Packets) -> Frames:
    """Put Ethernet headers before packets; no time is negative."""
    sizes = np.diff(packets.offsets)
    count = len(sizes)
    ahead = ETHERNET * np.arange(count + 1, dtype=np.int64)
    offsets = packets.offsets - packets.offsets[0] + ahead
    data = np.zeros(int(offsets[-1]), np.uint8)
    captured = packets.data[packets.offsets[0] : packets.offsets[-1]]
    data[np.arange(len(captured)) + np.repeat(ahead[1:], sizes)] = captured
    # A packet cut to nothing could be either.
    six = np.zeros(count, np.bool_)
    six[sizes > 0] = packets.data[packets.offsets[:-1][sizes > 0]] >> 4 == 6
    data[offsets[:-1] + 12] = np.where(six, 0x86, 0x08)
    data[offsets[:-1] + 13] = np.where(six, 0xDD, 0x00)
    times = packets.ts - min(0, int(packets.ts.min(initial=0)))
    return Frames(data, offsets, times.astype(np.uint64))


class SharedClock:
    """The clock map, written through memory: no system call for a packet's time."""

    def __init__(self, clock: Map) -> None:
        self._memory = mmap.mmap(clock.descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.record = np.frombuffer(self._memory, CLOCK, 1)
        at = CLOCK.fields["now"][1] if CLOCK.fields else 0
        self.now = memoryview(self._memory)[at : at + 8].cast("Q")

    def set(self, clock: NDArray[Any]) -> None:
        """Hand a clock over; the time of packets stays."""
        for name in ("epoch", "window", "index", "shift", "units"):
            self.record[name] = clock[name]


def run_all(program: int, frames: Frames, chosen: slice, clock: SharedClock, lead: int = 0) -> None:
    """Run a program once on each of the chosen frames, at its time. Raises OSError as the kernel says.

    lead: bytes of nothing that the hook's test run takes away ahead of each frame.
    """
    first, last, _ = chosen.indices(len(frames))
    if first >= last:
        return
    data, offsets = frames.data, frames.offsets
    if lead:
        data, offsets = _lead(data, offsets[first : last + 1], lead)
    else:
        offsets = offsets[first : last + 1]
    runs = np.zeros(last - first, _RUN)
    runs["program"], runs["repeat"] = program, 1
    runs["size"] = np.diff(offsets)
    runs["data"] = np.uint64(data.ctypes.data) + offsets[:-1].astype(np.uint64)
    contexts = None
    if frames.merged is not None:
        contexts = np.zeros((last - first, _CONTEXT_BYTES // 4), np.uint32)
        # gso_segs and gso_size of struct __sk_buff.
        contexts[:, 41], contexts[:, 44] = frames.merged[first:last, 0], frames.merged[first:last, 1]
        runs["context_size"] = _CONTEXT_BYTES
        runs["context"] = np.uint64(contexts.ctypes.data) + np.arange(last - first, dtype=np.uint64) * _CONTEXT_BYTES
    call, bpf, size, now = _syscall, number(), _RUN.itemsize, clock.now
    at = runs.ctypes.data
    for ns in frames.times[first:last].tolist():
        now[0] = ns
        if call(bpf, _TEST_RUN, at, size) < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"test run of a packet: {os.strerror(code)}")
        at += size


def _lead(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], lead: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Put ``lead`` zero bytes before each frame."""
    ahead = lead * np.arange(len(offsets), dtype=np.int64)
    moved = offsets - offsets[0] + ahead
    out = np.zeros(int(moved[-1]), np.uint8)
    kept = data[offsets[0] : offsets[-1]]
    out[np.arange(len(kept)) + np.repeat(ahead[1:], np.diff(offsets))] = kept
    return out, moved
