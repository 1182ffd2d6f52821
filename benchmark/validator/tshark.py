"""Level 3: does tshark, where installed, find a packet malformed, or data acknowledged that never came?"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmark.capture.writer import write_pcap
from benchmark.trace import Packets
from benchmark.validator.findings import TSHARK, Marks, mark

DEADLINE = 120.0  # seconds for one trace
_ERROR = 0x00800000  # PI_ERROR of epan/proto.h
_FILTER = f"_ws.malformed || _ws.expert.severity == {_ERROR} || tcp.analysis.ack_lost_segment"
# What stands in payloads is level 4's affair, and of most packets they were cut away.
_HEADERS_ONLY = [word for name in ("tls", "quic", "http") for word in ("--disable-protocol", name)]


def judge_with_tshark(packets: Packets, marks: Marks) -> str:
    """Write the findings of level 3; return why it couldn't be judged, empty where it could.

    Sequence analysis is tshark's own, with its defaults; checksums are not asked of it, since it can't verify
    those of packets that were cut.
    """
    program = shutil.which("tshark")
    if program is None:
        return "tshark isn't installed"
    if len(packets) == 0:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "trace.pcap"
        write_pcap(capture, packets)
        # Nobody's own profile may change the verdict.
        environment = {**os.environ, "HOME": folder, "WIRESHARK_CONFIG_DIR": folder}
        command = [program, "-n", *_HEADERS_ONLY, "-r", str(capture), "-Y", _FILTER]
        command += ["-T", "fields", "-e", "frame.number"]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, timeout=DEADLINE, env=environment, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"tshark gave no answer: {error}"
    if answer.returncode != 0:
        return f"tshark failed: {(answer.stderr.strip().splitlines() or ['no message'])[-1]}"
    for line in answer.stdout.split():
        number = int(line) - 1
        if 0 <= number < len(packets):
            mark(marks, number, TSHARK, 0, 0)
    return ""
