"""The guards around the user's nPrint binary, against stand-ins that fail as the real one does."""

from __future__ import annotations

import os
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.capture.pcap import read_frames
from benchmark.commands.encode import encode_file
from benchmark.errors import TraceError, Unsupported
from benchmark.nprint.binary import find_nprint, run_nprint
from benchmark.nprint.encoding import Representation, column_names, encode_frames, parse_options
from tests.benchmark.nprint_captures import ethernet_frames, packet

MAC = bytes(range(12))


def write_capture(path: Path, frames: list[bytes], wire: list[int] | None = None) -> Path:
    """Write Ethernet frames as a pcap."""
    sizes = wire or [len(frame) for frame in frames]
    records = [
        struct.pack("<IIII", 1, number, len(frame), size) + frame
        for number, (frame, size) in enumerate(zip(frames, sizes, strict=True))
    ]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    return path


def lines(matrix: np.ndarray, options: Representation) -> list[str]:
    """A matrix as the tool prints it."""
    rows = [",".join(["10.0.0.1", *map(str, row)]) for row in matrix.tolist()]
    return [",".join(["src_ip", *column_names(options)]), *rows]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Put a shell script in the binary's place: it prints the lines, then does as told."""

    def install(printed: list[str], then: str = "exit 0") -> None:
        (tmp_path / "printed").write_text("".join(line + "\n" for line in printed))
        script = tmp_path / "nprint"
        script.write_text(f'#!/bin/sh\ncat "{tmp_path / "printed"}"\n{then}\n')
        script.chmod(0o755)
        monkeypatch.setenv("NPRINT_BIN", str(script))

    return install


@pytest.fixture
def capture(tmp_path):
    return write_capture(tmp_path / "a.pcap", [MAC + b"\x08\x00" + packet(kind) for kind in (6, 17, 1, 6)])


def native(path, options=None):
    frames = next(read_frames(path))
    return encode_frames(frames, options)


def test_what_it_prints_is_what_we_get(stand_in, capture):
    matrix, index = native(capture)
    stand_in(lines(matrix, Representation()))
    printed, rows = run_nprint(capture)
    assert np.array_equal(printed, matrix)
    assert rows.tolist() == index.tolist() == [0, 1, 2, 3]


def test_without_a_binary_it_is_unsupported_and_says_how_to_get_one(monkeypatch, capture, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("NPRINT_BIN", raising=False)
    with pytest.raises(Unsupported, match=r"NPRINT_BIN.*native"):
        run_nprint(capture)
    monkeypatch.setenv("NPRINT_BIN", str(tmp_path / "none"))
    with pytest.raises(Unsupported, match="isn't an executable"):
        run_nprint(capture)


def test_empty_and_missing_files_never_reach_it(stand_in, tmp_path):
    ran = tmp_path / "ran"
    stand_in([], f'touch "{ran}"; kill -SEGV $$')
    (tmp_path / "empty.pcap").write_bytes(b"")
    for name in ("empty.pcap", "missing.pcap"):
        with pytest.raises((TraceError, OSError)):
            run_nprint(tmp_path / name)
    assert len(run_nprint(write_capture(tmp_path / "no_packets.pcap", []))[0]) == 0
    assert not ran.exists()


@pytest.mark.parametrize(
    ("kept", "then", "reason"),
    [
        (0, "kill -SEGV $$", "SIGSEGV"),
        (3, "kill -SEGV $$", "SIGSEGV"),
        (5, "kill -SEGV $$", "SIGSEGV"),
        (3, "exit 0", "ends after 2 rows"),
        (5, "exit 3", "code 3"),
        (2, "echo trouble >&2; exit 4", "trouble"),
        (5, "echo 10.0.0.1,1,0", "more rows than the 4"),
        (1, "echo 10.0.0.1,1,0", "row 0 isn't 1088 cells"),
        (1, "yes 1, | tr -d '\\n'", "longer than its columns"),
        (0, "echo nested printing", "name the columns"),
    ],
)
def test_every_failure_is_one_error_with_its_reason(stand_in, capture, kept, then, reason):
    matrix, _ = native(capture)
    stand_in(lines(matrix, Representation())[:kept], then)
    with pytest.raises(TraceError, match=reason) as caught:
        run_nprint(capture)
    assert str(capture) in str(caught.value)


@pytest.mark.parametrize("cell", ["2", "-0", "", "x", "1 ", "01"])
def test_cells_are_minus_one_nought_or_one(stand_in, capture, cell):
    matrix, _ = native(capture)
    printed = lines(matrix, Representation())
    first, _, rest = printed[2].partition(",")
    printed[2] = f"{first},{cell},{rest.partition(',')[2]}"
    stand_in(printed)
    with pytest.raises(TraceError, match="row 1"):
        run_nprint(capture)


def test_one_that_hangs_is_stopped_with_its_children(stand_in, capture, tmp_path):
    matrix, _ = native(capture)
    child = tmp_path / "child"
    stand_in(lines(matrix, Representation())[:3], f'sleep 300 & echo $! > "{child}"; wait')
    with pytest.raises(TraceError, match=r"stopped after 0\.5 s"):
        run_nprint(capture, timeout=0.5)
    number = child.read_text().strip()
    # A killed child may stay a zombie for a moment, until it is reaped.
    for _ in range(100):
        status = Path(f"/proc/{number}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.05)
    pytest.fail("its child outlived it")


def test_a_flood_of_messages_neither_blocks_nor_fills_memory(stand_in, capture):
    matrix, _ = native(capture)
    stand_in(lines(matrix, Representation()), "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 9")
    with pytest.raises(TraceError, match="code 9") as caught:
        run_nprint(capture)
    assert len(str(caught.value)) < 3000


def test_stale_bytes_of_cut_packets_become_absent(stand_in, tmp_path):
    whole = MAC + b"\x08\x00" + packet(6, tcp_options=b"\x01" * 12)
    path = write_capture(tmp_path / "cut.pcap", [whole[:50], whole], [len(whole), len(whole)])
    stale, _ = native(write_capture(tmp_path / "whole.pcap", [whole, whole]))
    stand_in(lines(stale, Representation()))
    matrix, index = run_nprint(path)
    wanted, _ = native(path)
    assert index.tolist() == [0, 1]
    assert np.array_equal(matrix, wanted)
    assert not np.array_equal(matrix, stale)


def test_rows_are_joined_by_what_it_prints_not_by_number(stand_in, tmp_path):
    arp = bytes([0x46]) + bytes(22) + b"\x06" + bytes(36)  # taken for IPv4 by its first byte
    tagged = MAC + b"\x81\x00\x00\x05\x08\x00" + packet(6)
    plain = MAC + b"\x08\x00" + packet(17)
    arp = arp[:9] + b"\x06" + arp[10:12] + b"\x08\x06" + arp[14:]
    path = write_capture(tmp_path / "mixed.pcap", [tagged, arp, plain])
    matrix, index = native(path)
    assert index.tolist() == [0, 2]
    options = Representation()
    stand_in(lines(np.stack([np.zeros(options.columns, np.int8), matrix[1]]), options))
    printed, rows = run_nprint(path)
    assert rows.tolist() == [2]
    assert np.array_equal(printed, matrix[1:])


def test_payload_faults_are_refused(stand_in, tmp_path):
    options = parse_options("-4 -6 -t -p 4")
    offloaded = bytearray(packet(6))
    offloaded[2:4] = b"\0\0"
    path = write_capture(tmp_path / "offload.pcap", [MAC + b"\x08\x00" + bytes(offloaded)])
    stand_in([])
    with pytest.raises(TraceError, match="IP length of 0"):
        run_nprint(path, options)
    frames = [MAC + b"\x86\xdd" + packet(6, 6)]
    path = write_capture(tmp_path / "six.pcap", frames)
    matrix, _ = native(path, options)
    stand_in(lines(matrix, options))
    assert np.array_equal(run_nprint(path, options)[0], matrix)
    matrix[0, -5] ^= 1
    stand_in(lines(matrix, options))
    with pytest.raises(TraceError, match="frame 0 is IPv6"):
        run_nprint(path, options)


def test_foreign_link_types_are_refused(stand_in, capture):
    written = bytearray(capture.read_bytes())
    written[20:24] = struct.pack("<I", 0)
    null = [b"\x02\0\0\0" + packet(6)]
    capture.write_bytes(bytes(written[:24]) + struct.pack("<IIII", 1, 0, len(null[0]), len(null[0])) + null[0])
    stand_in([])
    with pytest.raises(TraceError, match="link type 0"):
        run_nprint(capture)


def test_encode_uses_it_when_asked(stand_in, capture, tmp_path):
    matrix, _ = native(capture)
    stand_in(lines(matrix, Representation()))
    assert encode_file(capture, "nprint", tmp_path / "out.npy", backend="nprint") == 4
    assert np.array_equal(np.load(tmp_path / "out.npy"), matrix)


def test_the_real_binary_agrees_with_our_encoder(tmp_path):
    if not (os.environ.get("NPRINT_BIN") or shutil.which("nprint")):
        pytest.skip("no nprint binary: name yours in NPRINT_BIN")
    find_nprint()
    parts = [packet(kind, 4, bytes(range(size))) for kind in (6, 17, 1) for size in (0, 3, 40)]
    frames = [MAC + b"\x08\x00" + part for part in parts]
    path = write_capture(tmp_path / "real.pcap", frames)
    for text in ("-4 -t -u -i", "-e -4 -6 -t -u -i -p 16"):
        options = parse_options(text)
        ours, index = encode_frames(ethernet_frames(parts), options)
        theirs, rows = run_nprint(path, options)
        assert np.array_equal(theirs, ours)
        assert rows.tolist() == index.tolist()
