"""Matrices on disk, block by block: .npy, .parquet and .csv, with memory bounded by a block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

_HEADER_BYTES = 128


class MatrixWriter(Protocol):
    """Takes the blocks of a matrix, int8 [rows, columns], with each row's packet number, int64 [rows]."""

    def write(self, matrix: NDArray[np.int8], packet: NDArray[np.int64]) -> None:
        """Append a block."""

    def close(self) -> None:
        """End the file; it is whole only then."""

    def abandon(self) -> None:
        """Release the file, whether whole or not; may be called after ``close``."""


class NpyWriter:
    """A .npy file (NEP 1) whose number of rows is written last: int8 [rows, columns], or int64 [rows]."""

    def __init__(self, path: Path, names: Sequence[str] | None, index: bool = False) -> None:
        """names: the columns of a matrix, or None for a vector of packet numbers, int64."""
        if index:
            raise ValueError("a .npy matrix is int8 throughout and has no room for packet numbers")
        self.columns = None if names is None else len(names)
        self.rows = 0
        self.file = path.open("wb")
        self.file.write(self._header())

    def write(self, matrix: NDArray[np.int8], packet: NDArray[np.int64]) -> None:
        """Append a block of the matrix; packet numbers go to a file of their own."""
        self.write_array(matrix)

    def write_array(self, values: NDArray[np.int8] | NDArray[np.int64]) -> None:
        """Append rows."""
        self.file.write(np.ascontiguousarray(values).tobytes())
        self.rows += len(values)

    def close(self) -> None:
        """Write the number of rows and end the file."""
        self.file.seek(0)
        self.file.write(self._header())
        self.file.close()

    def abandon(self) -> None:
        """Release the file."""
        self.file.close()

    def _header(self) -> bytes:
        shape = (self.rows,) if self.columns is None else (self.rows, self.columns)
        kind = "<i8" if self.columns is None else "|i1"
        text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode("ascii")
        room = _HEADER_BYTES - 10
        return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"


class _ColumnWriter(ABC):
    """Writes blocks as Arrow record batches, with a first column ``packet`` if asked for."""

    def __init__(self, path: Path, names: Sequence[str], index: bool) -> None:
        fields = [pa.field(name, pa.int8()) for name in names]
        self.index = index
        self.schema = pa.schema([pa.field("packet", pa.int64()), *fields] if index else fields)
        self.sink = self._open(path)

    @abstractmethod
    def _open(self, path: Path) -> pq.ParquetWriter | pa_csv.CSVWriter:
        """Open the file for batches of this schema."""

    def write(self, matrix: NDArray[np.int8], packet: NDArray[np.int64]) -> None:
        """Append a block."""
        columns = [pa.array(column) for column in np.ascontiguousarray(matrix.T)]
        arrays = [pa.array(packet), *columns] if self.index else columns
        self.sink.write_batch(pa.record_batch(arrays, schema=self.schema))

    def close(self) -> None:
        """End the file."""
        self.sink.close()

    def abandon(self) -> None:
        """Release the file."""
        self.sink.close()


class ParquetWriter(_ColumnWriter):
    """A Parquet file: a column a bit, int8."""

    def _open(self, path: Path) -> pq.ParquetWriter:
        return pq.ParquetWriter(path, self.schema, compression="zstd")


class CsvWriter(_ColumnWriter):
    """A CSV file: a line of names, then a line a row."""

    def _open(self, path: Path) -> pa_csv.CSVWriter:
        # Arrow would put the names between quotes, which the real tool doesn't.
        self.file = path.open("wb")
        self.file.write(",".join(self.schema.names).encode("ascii") + b"\n")
        return pa_csv.CSVWriter(self.file, self.schema, write_options=pa_csv.WriteOptions(include_header=False))

    def close(self) -> None:
        """End the file."""
        self.sink.close()
        self.file.close()

    def abandon(self) -> None:
        """Release the file."""
        self.close()


MATRIX_WRITERS: dict[str, Callable[[Path, Sequence[str], bool], MatrixWriter]] = {
    ".npy": NpyWriter,
    ".parquet": ParquetWriter,
    ".csv": CsvWriter,
}
