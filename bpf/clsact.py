"""The older hook of traffic control: filters on a device's clsact queue, set over rtnetlink (rtnetlink(7), cls_bpf).

Nothing ties such a filter to the process that set it. So another process, the keeper, sets it and takes it away again
as soon as its parent closes the pipe between them or is gone, however it went. The keeper is this file, which needs
nothing beyond the standard library.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import sys

INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
_CLSACT = 0xFFFFFFF1
_NEW_QDISC, _DELETE_QDISC = 36, 37
_NEW_FILTER, _DELETE_FILTER, _GET_FILTER = 44, 45, 46
_REQUEST, _ACKNOWLEDGE, _DUMP, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_ERROR, _DONE = 2, 3
_KIND, _OPTIONS, _BPF_FD, _BPF_NAME, _BPF_FLAGS = 1, 2, 6, 7, 8
_DIRECT_ACTION = 1
_FIRST = 1
"""Priority. Filters of other kinds can't share it; among programs the newest comes first."""
_EVERY_PROTOCOL = socket.htons(3)


class Filters:
    """A program at a device's ingress and egress, before all other filters."""

    def __init__(self, device: int, program: int, handle: int) -> None:
        """Attach descriptor ``program`` to device number ``device``; raise OSError, with nothing left behind."""
        self._device, self._handle = device, handle
        self._owns_queue = self._make_queue()
        self._set: list[int] = []
        try:
            for side in (INGRESS, EGRESS):
                self._add(side, program)
                self._set.append(side)
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        """Take the filters away, and the queue if it was made for them and serves nobody else by now."""
        while self._set:
            with contextlib.suppress(OSError):
                self._ask(_DELETE_FILTER, 0, self._handle, self._set.pop(), _FIRST << 16 | _EVERY_PROTOCOL, b"")
        if self._owns_queue and not self._has_filters():
            self._owns_queue = False
            with contextlib.suppress(OSError):
                self._ask(_DELETE_QDISC, 0, _CLSACT & 0xFFFF0000, _CLSACT, 0, b"")

    def _make_queue(self) -> bool:
        try:
            kind = _attribute(_KIND, b"clsact\0")
            self._ask(_NEW_QDISC, _CREATE | _EXCLUSIVE, _CLSACT & 0xFFFF0000, _CLSACT, 0, kind)
        except OSError as error:
            if error.errno == errno.EEXIST:
                return False
            raise
        return True

    def _add(self, side: int, program: int) -> None:
        options = (
            _attribute(_BPF_FD, struct.pack("=I", program))
            + _attribute(_BPF_NAME, b"tracearena\0")
            + _attribute(_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
        )
        body = _attribute(_KIND, b"bpf\0") + _attribute(_OPTIONS, options)
        self._ask(_NEW_FILTER, _CREATE | _EXCLUSIVE, self._handle, side, _FIRST << 16 | _EVERY_PROTOCOL, body)

    def _has_filters(self) -> bool:
        return any(self._ask(_GET_FILTER, _DUMP, 0, side, 0, b"") for side in (INGRESS, EGRESS))

    def _ask(self, kind: int, flags: int, handle: int, parent: int, info: int, body: bytes) -> int:
        """Send one message and return how many messages answered it; raise OSError with the kernel's errno."""
        message = struct.pack("=BxxxiIII", 0, self._device, handle, parent, info) + body
        header = struct.pack("=IHHII", 16 + len(message), kind, _REQUEST | _ACKNOWLEDGE | flags, 1, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
            link.bind((0, 0))
            link.send(header + message)
            answers = 0
            while True:
                data = link.recv(1 << 16)
                while len(data) >= 16:
                    size, answer = struct.unpack_from("=IH", data)
                    if answer in (_ERROR, _DONE):
                        (code,) = struct.unpack_from("=i", data, 16)
                        if code < 0:
                            raise OSError(-code, os.strerror(-code))
                        return answers
                    answers += 1
                    data = data[(size + 3) & ~3 :]


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def keep(device: int, program: int, parent: int) -> None:
    """Hold the filters until the process ``parent`` closes this one's standard input or ends."""
    # A terminal's Ctrl-C and a service manager's stop are for the parent, whose end is what counts.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        alive = os.pidfd_open(parent)
    except ProcessLookupError:
        return
    if os.getppid() != parent:
        return
    try:
        filters = Filters(device, program, os.getpid())
    except OSError as error:
        print(error.errno, flush=True)
        return
    try:
        os.close(program)
        print(0, flush=True)
        select.select([0, alive], [], [])
    finally:
        filters.remove()


if __name__ == "__main__":
    keep(*map(int, sys.argv[1:4]))
