"""An initramfs: a cpio archive in the "newc" format, which the kernel unpacks as its first file system
(Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

_DIRECTORY, _FILE, _DEVICE = 0o040755, 0o100755, 0o020600
_CONSOLE = (5, 1)


def pack_initramfs(files: Mapping[str, bytes], folders: tuple[str, ...] = ("dev", "proc", "sys")) -> bytes:
    """Pack files, executable and owned by root, by their path without a leading slash; the same bytes every time."""
    entries = [_entry(number, name, _DIRECTORY, b"") for number, name in enumerate(folders, 1)]
    entries.append(_entry(len(folders) + 1, "dev/console", _DEVICE, b"", _CONSOLE))
    for number, (name, data) in enumerate(files.items(), len(entries) + 1):
        entries.append(_entry(number, name, _FILE, data))
    entries.append(_entry(0, "TRAILER!!!", 0, b""))
    return gzip.compress(b"".join(entries), compresslevel=1, mtime=0)


def _entry(number: int, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    path = name.encode("ascii") + b"\0"
    # Inode, mode, owner, group, links, time, size, the archive's device, the file's own, name's length, no checksum.
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return _pad(head) + _pad(data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
