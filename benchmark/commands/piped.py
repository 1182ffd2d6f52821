"""What every command does when the reader of its output goes, as ``head`` does."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def piped_output() -> Iterator[None]:
    """End with status 1 and no traceback once nobody reads standard output; any other broken pipe is a fault."""
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()  # here, since the flush as Python ends has nobody to tell
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _reader_has_gone() -> bool:
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except io.UnsupportedOperation:
        return False  # not a file at all
    return bool(poll.poll(0))
