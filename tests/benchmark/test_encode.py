"""The encode command: three file forms of one matrix, whole or not there at all."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmark.capture.pcap import write_pcap
from benchmark.commands import encode
from benchmark.errors import ConfigError, TraceError
from benchmark.nprint.encoding import column_names, encode_packets, parse_options
from tests.benchmark.nprint_captures import packet, packets_from


@pytest.fixture
def packets():
    return packets_from([packet(kind) for kind in (6, 2, 17, 6, 1, 17, 17)])


@pytest.fixture
def capture(packets, tmp_path):
    write_pcap(tmp_path / "a.pcap", packets)
    return tmp_path / "a.pcap"


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    encode.add_arguments(parser)
    return encode.run(parser.parse_args([str(word) for word in words]))


def test_all_forms_hold_the_same_matrix_and_index(packets, capture, tmp_path, monkeypatch):
    # Blocks of two rows, so that the files are written in parts.
    monkeypatch.setattr(encode, "_BLOCK_CELLS", 2 * 1088)
    matrix, index = encode_packets(packets)
    for suffix in ("npy", "parquet", "csv"):
        assert command(capture, tmp_path / f"out.{suffix}", "--index") == 0
    stored = np.load(tmp_path / "out.npy")
    assert stored.dtype == np.int8
    assert np.array_equal(stored, matrix)
    assert np.array_equal(np.load(tmp_path / "out.npy.index.npy"), index)
    table = pq.read_table(tmp_path / "out.parquet")
    names = ["packet", *column_names(parse_options("-4 -t -u -i"))]
    assert table.column_names == names
    wanted = np.column_stack([index, matrix])
    assert np.array_equal(np.column_stack([column.to_numpy() for column in table.columns]), wanted)
    text = (tmp_path / "out.csv").read_text().splitlines()
    assert text[0] == ",".join(names)
    assert [[int(cell) for cell in line.split(",")] for line in text[1:]] == wanted.tolist()
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.pcap",
        "out.npy",
        "out.npy.index.npy",
        "out.parquet",
        "out.csv",
    }


@pytest.mark.parametrize("suffix", ["npy", "parquet", "csv"])
def test_without_rows_there_is_still_a_matrix(tmp_path, suffix):
    write_pcap(tmp_path / "a.pcap", packets_from([packet(2)]))
    out = tmp_path / f"out.{suffix}"
    assert command(tmp_path / "a.pcap", out, "--options=-4 -p 2") == 0
    if suffix == "npy":
        assert np.load(out).shape == (0, 496)
    elif suffix == "parquet":
        assert pq.read_table(out).shape == (0, 496)
    else:
        assert len(out.read_text().splitlines()) == 1


@pytest.mark.parametrize("suffix", ["npy", "parquet", "csv"])
def test_a_broken_capture_leaves_nothing_unless_the_readable_part_is_kept(capture, tmp_path, suffix):
    capture.write_bytes(capture.read_bytes()[:-5])
    out = tmp_path / f"out.{suffix}"
    out.write_bytes(b"before")
    with pytest.raises(TraceError, match=str(capture)):
        command(capture, out, "--index")
    assert out.read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"a.pcap", out.name}
    assert command(capture, out, "--keep-readable") == 0
    assert out.read_bytes() != b"before"


def test_wrong_names_are_answered_with_the_nearest(capture, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'nprint'"):
        encode.encode_file(capture, "nprnt", tmp_path / "out.npy")
    with pytest.raises(ConfigError, match="did you mean 'native'"):
        encode.encode_file(capture, "nprint", tmp_path / "out.npy", backend="nativ")
    with pytest.raises(ConfigError, match=r"\.csv, \.npy, \.parquet"):
        encode.encode_file(capture, "nprint", Path("out.txt"))
