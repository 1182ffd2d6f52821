"""The agent, compiled for this machine and run on its kernel; and what is read out of a console's noise."""

from __future__ import annotations

import base64
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from benchmark.errors import Unsupported
from bpf.agent.answer import AgentError, read_answers, read_facts
from bpf.agent.compilation import compile_agent
from bpf.agent.script import Command, Relocation, Script
from tests.bpf.machine_code import COUNT, PASS, READ_OUT_OF_BOUNDS, SCHED_CLS, count_and_stamp

HOST = "<" if sys.byteorder == "little" else ">"
PACKETS = 300


@pytest.fixture(scope="session")
def agent() -> Path:
    try:
        return compile_agent("gcc")
    except Unsupported as reason:
        pytest.skip(str(reason))


def run_agent(agent: Path, script: Script, folder: Path) -> bytes:
    """The agent's console, on this machine's kernel."""
    if os.geteuid() != 0:
        pytest.skip("bpf(2) wants root")
    path = folder / "script"
    path.write_bytes(script.encode())
    return subprocess.run([agent, path], stdout=subprocess.PIPE, timeout=60, check=False).stdout


def answer(number: int, payload: bytes, error: int = 0) -> bytes:
    return struct.pack("<4I", number, error, len(payload), 0) + payload


def line(number: int, payload: bytes) -> bytes:
    return b"#ta %08x %s %08x\n" % (number, base64.b64encode(payload), zlib.crc32(payload))


END = answer(0xFFFFFFFF, bytes(4))


def test_agent_carries_out_a_script(agent: Path, tmp_path: Path) -> None:
    script = count_and_stamp(PACKETS, HOST)
    console = run_agent(agent, script, tmp_path)
    if b"#ta" in console and "EPERM" in _failure(console, script):
        pytest.skip("this machine's kernel refuses bpf(2)")
    answers = read_answers(console, script.commands, HOST)
    _, _, stamps, counts, *_, filled, _, emptied = answers[-10:]
    key, *per_cpu = struct.unpack(f"{HOST}I{(len(counts) - 4) // 8}Q", counts)
    assert (key, sum(per_cpu)) == (0, 2 * PACKETS)
    times = [struct.unpack_from(HOST + "Q", stamps, at + 8)[0] for at in range(8, len(stamps), 16)]
    assert times == [10 * number for number in range(PACKETS)]
    assert {filled[at : at + 4] for at in range(0, len(filled), 12)} == {b"aaaa", b"bbbb", b"cccc"}
    assert emptied == b""


def _failure(console: bytes, script: Script) -> str:
    try:
        read_answers(console, script.commands, HOST)
    except AgentError as error:
        return str(error)
    return ""


def test_agent_reports_sizes_and_durations(agent: Path, tmp_path: Path) -> None:
    script = Script(HOST)
    place = script.create_map("counts", 2, 4, 8, 1)
    script.load("pass", SCHED_CLS, PASS)
    program = script.load("count", SCHED_CLS, COUNT, [Relocation(3, place)])
    script.measure(program, bytes(60), repeat=50, rounds=3)
    charge, small, large, durations = read_answers(run_agent(agent, script, tmp_path), script.commands, HOST)
    assert struct.unpack(HOST + "Q", charge)[0] >= 8
    assert read_facts(small, HOST).instructions == 2
    assert read_facts(small, HOST).verified_instructions == 2
    assert "processed 2 insns" in read_facts(small, HOST).log
    assert read_facts(large, HOST).instructions > read_facts(small, HOST).instructions
    assert len(durations) == 3 * 4


def test_rejected_program_comes_with_the_verifiers_words(agent: Path, tmp_path: Path) -> None:
    script = Script(HOST)
    script.create_map("counts", 2, 4, 8, 1)
    script.load("bad", SCHED_CLS, READ_OUT_OF_BOUNDS, log_level=1)
    script.dump(0)
    with pytest.raises(AgentError, match=r"command 1 \(program\) failed: EACCES.*invalid"):
        read_answers(run_agent(agent, script, tmp_path), script.commands, HOST)


@pytest.mark.parametrize("cut", [4, 9, 40, 60])
def test_a_cut_script_ends_with_a_reason(agent: Path, tmp_path: Path, cut: int) -> None:
    script = Script(HOST)
    script.create_map("counts", 2, 4, 8, 1)
    whole = script.encode()
    script.encode = lambda: whole[:cut]  # type: ignore[method-assign]
    with pytest.raises(AgentError):
        read_answers(run_agent(agent, script, tmp_path), [*script.commands, Command.DUMP], HOST)


def test_answers_are_read_from_among_kernel_messages() -> None:
    stream = answer(0, b"first") + answer(1, b"second" * 200) + END
    cut = len(stream) // 2
    console = b"[ 0.1] Linux\r\n\n" + line(0, stream[:cut]) + b"[ 0.2] message\r\n" + line(1, stream[cut:]) + b"off\n"
    assert read_answers(console, [Command.DUMP, Command.DUMP], "<") == [b"first", b"second" * 200]


@pytest.mark.parametrize(
    "damage",
    [
        lambda console: console.replace(b"#ta 00000001", b"#ta 00000002"),
        lambda console: console[: len(console) * 2 // 3],
        lambda console: console[:40] + bytes([console[40] ^ 1]) + console[41:],
        lambda console: console.replace(b"\n#ta 00000001", b"[ 0.3] message #ta 00000001 "),
        lambda console: b"",
    ],
    ids=["line missing", "cut", "bit flipped", "interrupted", "silence"],
)
def test_damaged_answers_are_refused(damage) -> None:
    stream = answer(0, bytes(range(256))) + END
    console = b"boot\n" + line(0, stream[:100]) + line(1, stream[100:])
    assert read_answers(console, [Command.DUMP], "<")
    with pytest.raises(AgentError, match="answers end after 0 of 1"):
        read_answers(damage(console), [Command.DUMP], "<")


def test_a_failed_command_is_named() -> None:
    with pytest.raises(AgentError, match=r"command 0 \(dump\) failed: ENOMEM"):
        read_answers(line(0, answer(0, b"", 12) + END), [Command.DUMP], "<")


def test_scripts_are_in_the_byte_order_of_their_reader() -> None:
    little, big = (Script(order) for order in "<>")
    for script in (little, big):
        script.create_map("counts", 2, 4, 8, 1)
    words = len(little.encode()) // 4 - 4 - 2
    assert struct.unpack(f"<{words}I", little.encode()[: 4 * words]) == struct.unpack(
        f">{words}I", big.encode()[: 4 * words]
    )
