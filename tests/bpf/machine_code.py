"""Programs of a few instructions, assembled by hand, that need no compiler (Documentation/bpf/standardization)."""

from __future__ import annotations

import struct

from bpf.agent.script import Relocation, Script

ARRAY, HASH, PERCPU_ARRAY, QUEUE = 2, 1, 6, 22
SCHED_CLS = 3


def instruction(
    code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0, byte_order: str = "<"
) -> bytes:
    """One instruction of 64 bits."""
    registers = to | source << 4 if byte_order == "<" else to << 4 | source
    return struct.pack(byte_order + "BBhi", code, registers, offset, value)


PASS = instruction(0xB7) + instruction(0x95)
"""return 0"""

COUNT = b"".join(
    [
        instruction(0x62, 10, offset=-4),  # key = 0
        instruction(0xBF, 2, 10),
        instruction(0x07, 2, value=-4),
        instruction(0x18, 1) + instruction(0),  # the map's descriptor goes here
        instruction(0x85, value=1),  # bpf_map_lookup_elem
        instruction(0x15, 0, offset=3),
        instruction(0x79, 1, 0),
        instruction(0x07, 1, value=1),
        instruction(0x7B, 0, 1),
        PASS,
    ]
)
"""Count a packet in entry 0 of a map."""
COUNT_MAP = 3
"""Where COUNT loads its map."""

STAMP = b"".join(
    [
        instruction(0x62, 10, offset=-4),
        instruction(0xBF, 2, 10),
        instruction(0x07, 2, value=-4),
        instruction(0x18, 1) + instruction(0),  # the clock
        instruction(0x85, value=1),
        instruction(0x15, 0, offset=6),
        instruction(0xBF, 2, 0),
        instruction(0x18, 1) + instruction(0),  # the queue
        instruction(0xB7, 3),
        instruction(0x85, value=87),  # bpf_map_push_elem(queue, clock, 0)
        PASS,
    ]
)
"""Push entry 0 of a map, the clock, onto a queue."""
STAMP_CLOCK, STAMP_QUEUE = 3, 8

READ_OUT_OF_BOUNDS = instruction(0x61, 0, 10, offset=8) + instruction(0x95)
"""Read above the stack, which the verifier rejects."""


def count_and_stamp(packets: int, byte_order: str = "<") -> Script:
    """A script whose answers are known: 2 ``packets`` counted, then ``packets`` stamps of 0, 10, 20, ... ns."""
    script = Script(byte_order)
    counts = script.create_map("counts", PERCPU_ARRAY, 4, 8, 1)
    clock = script.create_map("clock", ARRAY, 4, 16, 1)
    queue = script.create_map("stamps", QUEUE, 0, 16, 256)
    flows = script.create_map("flows", HASH, 4, 8, 16)
    count = script.load("count", SCHED_CLS, COUNT, [Relocation(COUNT_MAP, counts)])
    stamp = script.load("stamp", SCHED_CLS, STAMP, [Relocation(STAMP_CLOCK, clock), Relocation(STAMP_QUEUE, queue)])
    trace = [(10 * number, bytes([number % 251]) * 60) for number in range(packets)]
    for _ in range(2):
        script.replay(count, clock, bytes(16), 8, trace)
    script.replay(stamp, clock, b"lastingly" + bytes(7), 8, trace, queue)
    script.dump(counts)
    for key in (b"aaaa", b"bbbb", b"cccc"):
        script.update(flows, key, b"12345678")
    script.dump(flows)
    script.clear(flows)
    script.dump(flows)
    return script
