"""A run of the nPrint binary: its output line by line, and an end of it whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.errors import TraceError
from benchmark.nprint.columns import Representation, column_names

_KEPT_STDERR = 2000


class Rows:
    """The lines of the tool's output, each read once, none longer than its columns allow."""

    def __init__(self, process: subprocess.Popen[bytes], path: str | Path, timeout: float) -> None:
        self.process = process
        self.path = path
        self.timeout = timeout
        self.expired = threading.Event()
        self.stderr = b""
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.done = 0

    def listen(self) -> None:
        """Read what it says until it ends, and keep the last of it."""
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            while part := os.read(stderr.fileno(), 1 << 16):
                self.stderr = (self.stderr + part)[-_KEPT_STDERR:]

    def line(self, limit: int) -> bytes:
        """Read one line, without its end. Raises TraceError for one of ``limit`` bytes or more."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline(limit)
        if len(line) == limit and not line.endswith(b"\n"):
            raise self.fault(f"row {self.done} is longer than its columns allow")
        return line.rstrip(b"\r\n")

    def read_header(self, options: Representation) -> None:
        """Read the first line. Raises TraceError unless it names the columns asked for."""
        names = column_names(options)
        header = self.line(64 + sum(len(name) + 1 for name in names))
        # The first column is an index of addresses or ports, whose name is the tool's business.
        if header.decode("ascii", "replace").split(",")[1:] != names:
            self.check_end()
            raise self.fault("its first line doesn't name the columns asked for; is it nprint 1.2.1?")

    def read(self, count: int, options: Representation) -> NDArray[np.int8]:
        """Read so many rows, int8 [count, columns]. Raises TraceError for fewer, or for one that isn't of bits."""
        matrix = np.empty((count, options.columns), np.int8)
        for row in matrix:
            line = self.line(3 * options.columns + 128)
            cells = line.partition(b",")[2]
            if not cells:
                self.check_end()
                raise self.fault(f"its output ends after {self.done} rows, where the capture has more")
            if not _parse(np.frombuffer(cells, np.uint8), row):
                raise self.fault(f"row {self.done} isn't {options.columns} cells of -1, 0 or 1")
            self.done += 1
        return matrix

    def read_end(self) -> None:
        """Raise TraceError if there are more rows, or if the tool ended by anything but success."""
        if self.line(64):
            raise self.fault(f"it prints more rows than the {self.done} that the capture has")
        self.check_end()

    def check_end(self) -> None:
        """Raise if the tool was stopped or ended by anything but success."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return
        self.listener.join(timeout=5)
        if self.expired.is_set():
            raise self.fault(f"it was stopped after {self.timeout:g} s")
        if code < 0:
            raise self.fault(f"it crashed ({signal.Signals(-code).name})")
        if code:
            raise self.fault(f"it ended with code {code}")

    def fault(self, reason: str) -> TraceError:
        """Say what is wrong with the run, and what the tool said of it."""
        if self.expired.is_set():
            reason = f"it was stopped after {self.timeout:g} s"
        said = self.stderr.decode("utf-8", "replace").strip()
        return TraceError(f"the nprint binary failed: {reason}{'; it said: ' + said if said else ''}", self.path)


@contextmanager
def running(command: list[str], path: str | Path, timeout: float) -> Iterator[Rows]:
    """Run the tool in an empty folder and its own process group, and leave none of it behind."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        rows = Rows(process, path, timeout)

        def expire() -> None:
            rows.expired.set()
            _kill(process)

        timer = threading.Timer(timeout, expire)
        timer.start()
        rows.listener.start()
        try:
            yield rows
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            rows.listener.join(timeout=5)
            assert process.stdout is not None
            process.stdout.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    # Until it is waited for, its number can't belong to another process; afterwards there is nothing to kill.
    if process.returncode is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _parse(text: Any, row: Any) -> bool:
    """Read a line of cells -1, 0 and 1 between commas; False unless it has exactly the row's columns."""
    at = 0
    for column in range(len(row)):
        if column:
            if at >= len(text) or text[at] != 44:
                return False
            at += 1
        sign = 1
        if at < len(text) and text[at] == 45:
            sign = -1
            at += 1
        if at >= len(text) or not (text[at] == 49 or (text[at] == 48 and sign == 1)):
            return False
        row[column] = sign * (text[at] - 48)
        at += 1
    return at == len(text)
