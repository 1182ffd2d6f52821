"""``python -m benchmark encode``: a capture as a matrix on disk, written block by block in bounded memory."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.capture.pcap import read_frames
from benchmark.errors import ConfigError, nearest
from benchmark.nprint.binary import stream_nprint
from benchmark.nprint.columns import Representation
from benchmark.nprint.encoding import column_names, eligible_frames, encode_frames, parse_options
from benchmark.nprint.matrix_writer import MATRIX_WRITERS, NpyWriter

REPRESENTATIONS = ("nprint",)
BACKENDS = ("native", "nprint")
DEFAULT_OPTIONS = "-4 -t -u -i"
# Cells of a block: 16 MiB.
_BLOCK_CELLS = 1 << 24

Block = tuple[NDArray[np.int8], NDArray[np.int64]]


def encode_file(
    path: str | Path,
    representation: str,
    out: str | Path,
    index: bool = False,
    backend: str = "native",
    options: str = DEFAULT_OPTIONS,
    keep_readable: bool = False,
) -> int:
    """Write the matrix of a capture to ``out`` (.npy, .parquet or .csv) and return its rows.

    The file appears whole or not at all. index: also write each row's packet number, counted from 0 in the
    order of the file: a first column ``packet`` of .parquet and .csv; for .npy, whose matrix stays int8, an
    int64 vector beside it in ``OUT.index.npy``.
    """
    if representation not in REPRESENTATIONS:
        raise ConfigError(f"no representation {representation!r}{nearest(representation, REPRESENTATIONS)}")
    if backend not in BACKENDS:
        raise ConfigError(f"no backend {backend!r}{nearest(backend, BACKENDS)}")
    target = Path(out)
    if target.suffix not in MATRIX_WRITERS:
        raise ConfigError(f"{target}: a matrix is written as {', '.join(sorted(MATRIX_WRITERS))}")
    chosen = parse_options(options)
    blocks = (
        stream_nprint(path, chosen, keep_readable=keep_readable)
        if backend == "nprint"
        else _native_blocks(path, chosen, keep_readable)
    )
    return _write(_gathered(blocks, _block_rows(chosen)), target, column_names(chosen), index)


def _block_rows(options: Representation) -> int:
    return max(1, _BLOCK_CELLS // options.columns)


def _native_blocks(path: str | Path, options: Representation, keep_readable: bool) -> Iterator[Block]:
    ahead = 0
    step = _block_rows(options)
    for frames in read_frames(path, keep_readable):
        rows = eligible_frames(frames)
        for first in range(0, len(rows), step):
            matrix, numbers = encode_frames(frames, options, rows[first : first + step])
            yield matrix, ahead + numbers
        ahead += len(frames.ip)


def _gathered(blocks: Iterator[Block], rows: int) -> Iterator[Block]:
    """Join small blocks into ones of at least ``rows``: Parquet keeps facts of every column for each."""
    held: list[Block] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block[1])
        if count >= rows:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(blocks: list[Block]) -> Block:
    return np.concatenate([rows for rows, _ in blocks]), np.concatenate([index for _, index in blocks])


def _write(blocks: Iterator[Block], target: Path, names: list[str], index: bool) -> int:
    aside = target.with_name(f".{target.name}.{os.getpid()}{target.suffix}")
    beside = target.with_name(f"{target.name}.index.npy")
    aside_index = beside.with_name(f".{beside.name}.{os.getpid()}.npy")
    separate = index and target.suffix == ".npy"
    writer = MATRIX_WRITERS[target.suffix](aside, names, index and not separate)
    numbers = NpyWriter(aside_index, None) if separate else None
    rows = 0
    try:
        for matrix, packet in blocks:
            writer.write(matrix, packet)
            if numbers:
                numbers.write_array(packet)
            rows += len(matrix)
        writer.close()
        if numbers:
            numbers.close()
            os.replace(aside_index, beside)
        os.replace(aside, target)
    finally:
        writer.abandon()
        aside.unlink(missing_ok=True)
        if numbers:
            numbers.abandon()
            aside_index.unlink(missing_ok=True)
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("capture", metavar="IN", help="a pcap or pcapng file")
    parser.add_argument("out", metavar="OUT", help="the matrix to write: OUT.npy, OUT.parquet or OUT.csv")
    parser.add_argument("--representation", default="nprint", help="how packets become rows (nprint)")
    parser.add_argument(
        "--index",
        action="store_true",
        help="add packet numbers, from 0: a first column `packet` of .parquet and .csv; "
        "beside a .npy, which stays int8, the int64 vector OUT.npy.index.npy",
    )
    parser.add_argument(
        "--backend",
        default="native",
        help="native (the default), or nprint: your own binary, named by NPRINT_BIN or found on the PATH",
    )
    parser.add_argument(
        "--options",
        default=DEFAULT_OPTIONS,
        help='the real tool\'s switches, as --options="-4 -t -u -i" (the default); also -e, -6 and -p BYTES',
    )
    parser.add_argument(
        "--keep-readable", action="store_true", help="of a broken capture, keep what came before the fault"
    )


def run(args: argparse.Namespace) -> int:
    """Encode one capture and say how many rows it has; returns the exit status."""
    rows = encode_file(
        args.capture,
        args.representation,
        args.out,
        args.index,
        args.backend,
        args.options,
        args.keep_readable,
    )
    print(f"{args.out}: {rows} rows", file=sys.stderr)
    return 0
