"""A window of bounded size that moves over a file, for records that are read where they lie."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.errors import TraceError


class ByteStream:
    """The unread bytes of a file: ``buffer[begin:end]``, of which ``begin`` lies at ``offset`` in the file.

    Never seeks, so a pipe will do. Holds ``block_bytes``, and more only where one record asks for it.
    Raises TraceError where the file can't be opened or read.
    """

    def __init__(self, path: str | Path, block_bytes: int) -> None:
        self.path = Path(path)
        self.buffer: NDArray[np.uint8] = np.empty(max(64, block_bytes), np.uint8)
        self.begin = 0
        self.end = 0
        self._base = 0  # file offset of buffer[0]
        try:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise TraceError(f"can't be opened: {error.strerror}", path) from error

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def offset(self) -> int:
        """File offset of the first unread byte."""
        return self._base + self.begin

    def fill(self, wanted: int = 0) -> bool:
        """Read more, making room for ``wanted`` unread bytes in all; tell whether anything came.

        Moves the unread bytes to the front: views of the buffer taken earlier no longer hold.
        """
        if self.begin:
            kept = len(self)
            self.buffer[:kept] = self.buffer[self.begin : self.end].copy()
            self._base += self.begin
            self.begin, self.end = 0, kept
        if wanted > len(self.buffer):
            larger = np.empty(wanted, np.uint8)
            larger[: self.end] = self.buffer[: self.end]
            self.buffer = larger
        if self.end == len(self.buffer):
            return False
        try:
            count = self._file.readinto(self.buffer[self.end :].data)
        except OSError as error:
            raise TraceError(f"can't be read: {error.strerror}", self.path, self._base + self.end) from error
        self.end += count or 0
        return bool(count)

    def peek(self, count: int) -> bytes:
        """Return the next ``count`` bytes without passing them; fewer where the file ends."""
        while len(self) < count and self.fill(count):
            pass
        return self.buffer[self.begin : min(self.end, self.begin + count)].tobytes()

    def skip(self, count: int) -> bool:
        """Pass over ``count`` bytes in bounded memory; tell whether the file had that many."""
        while count > len(self):
            count -= len(self)
            self.begin = self.end
            if not self.fill():
                return False
        self.begin += count
        return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def number(buffer: Any, at: Any, big: bool) -> Any:
    """Read the 32-bit number at ``at``, in either byte order; compiled, for walks over the buffer."""
    a, b = np.int64(buffer[at]), np.int64(buffer[at + 1])
    c, d = np.int64(buffer[at + 2]), np.int64(buffer[at + 3])
    if big:
        return (a << 24) | (b << 16) | (c << 8) | d
    return (d << 24) | (c << 16) | (b << 8) | a
