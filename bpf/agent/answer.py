"""What the agent says: the answers to a script, found among whatever else is printed on a console."""

from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from bpf.agent.script import NONE, Command

_LINE = re.compile(rb"#ta ([0-9a-f]{8}) ([A-Za-z0-9+/]+={0,2}) ([0-9a-f]{8})\r?$", re.MULTILINE)
_HEAD = 16
_SIZES = 16


class AgentError(RuntimeError):
    """The agent's answers are missing or damaged, or a command of its script failed; the message says which."""


@dataclass(frozen=True)
class Facts:
    """What the kernel says of a program that it loaded, and the verifier's statistics of it."""

    jited_bytes: int
    instructions: int
    verified_instructions: int
    log: str


def read_answers(console: bytes, commands: Sequence[Command], byte_order: str) -> list[bytes]:
    """The answer to each command, checked to be whole.

    Raises AgentError where one is damaged or missing, or where a command failed; of a program that wasn't loaded, with
    the verifier's last words.
    """
    stream = _collect(console)
    answers: list[bytes] = []
    at = 0
    while at + _HEAD <= len(stream):
        number, error, length, _ = struct.unpack_from(byte_order + "4I", stream, at)
        payload = stream[at + _HEAD : at + _HEAD + length]
        at += _HEAD + length
        if len(payload) < length:
            break
        if error and number < len(commands):
            raise AgentError(_complaint(number, commands[number], error, payload))
        if number == NONE:
            if error or len(answers) != len(commands):
                raise AgentError(f"the agent did {len(answers)} of {len(commands)} commands: {_reason(error)}")
            return answers
        if number != len(answers) or number >= len(commands):
            break
        answers.append(payload)
    raise AgentError(f"the agent's answers end after {len(answers)} of {len(commands)}; {_last_words(console)}")


def read_facts(answer: bytes, byte_order: str) -> Facts:
    """The answer to a program's loading."""
    jited, translated, verified, _ = struct.unpack_from(byte_order + "4I", answer)
    return Facts(jited, translated // 8, verified, answer[_SIZES:].decode("ascii", "replace"))


def _collect(console: bytes) -> bytes:
    """The bytes of the sound lines, as far as none is missing."""
    parts: list[bytes] = []
    for line in _LINE.finditer(console):
        if int(line[1], 16) != len(parts):
            continue
        try:
            part = base64.b64decode(line[2], validate=True)
        except binascii.Error:
            continue
        if zlib.crc32(part) == int(line[3], 16):
            parts.append(part)
    return b"".join(parts)


def _complaint(number: int, command: Command, error: int, payload: bytes) -> str:
    text = f"command {number} ({command.name.lower()}) failed: {_reason(error)}"
    if command is Command.PROGRAM:
        words = payload[_SIZES:].decode("ascii", "replace").strip().splitlines()
        text += "; the verifier: " + " | ".join(words[-6:])
    return text


def _reason(error: int) -> str:
    return f"{errno.errorcode.get(error, error)}, {os.strerror(error)}" if error else "no error"


def _last_words(console: bytes) -> str:
    lines = [line.strip() for line in console.decode("ascii", "replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#ta ")]
    return f"the console's last words: {' | '.join(lines[-4:])}" if lines else "nothing else on the console"
