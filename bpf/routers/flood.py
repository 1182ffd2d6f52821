"""Packets as fast as one thread can send them: small UDP packets of many flows, in batches (sendmmsg(2))."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
import time

import numpy as np

from benchmark.checksum import internet_checksum

_BATCH = 64
_SEND_MANY = ctypes.CDLL(None, use_errno=True).sendmmsg


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_ = [
        *(("name", ctypes.c_void_p), ("name_size", ctypes.c_uint32), ("vectors", ctypes.POINTER(_Vector))),
        *(("vector_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t)),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):
    _fields_ = [("header", _Header), ("sent", ctypes.c_uint)]


class Flood(threading.Thread):
    """Sends frames of ``flows`` flows in turn through a packet socket until it is told to ``stop``."""

    def __init__(self, sender: socket.socket, flows: int) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.seconds = 0.0
        self._sender, self._over = sender, threading.Event()
        frames = b"".join(frame_of(number) for number in range(flows))
        size = len(frames) // flows
        self._block = ctypes.create_string_buffer(frames, len(frames))
        start = ctypes.addressof(self._block)
        self._vectors = (_Vector * flows)(*(_Vector(start + number * size, size) for number in range(flows)))
        self._messages = (_Message * flows)()
        for number in range(flows):
            self._messages[number].header.vectors = ctypes.pointer(self._vectors[number])
            self._messages[number].header.vector_count = 1
        self._flows = flows

    def run(self) -> None:
        """Send; the interpreter is free meanwhile."""
        at, begin, number = 0, time.perf_counter(), self._sender.fileno()
        while not self._over.is_set():
            count = min(_BATCH, self._flows - at)
            done = _SEND_MANY(number, ctypes.byref(self._messages, at * ctypes.sizeof(_Message)), count, 0)
            if done < 0:
                code = ctypes.get_errno()
                if code not in (errno.ENOBUFS, errno.EAGAIN, errno.EINTR):
                    raise OSError(code, os.strerror(code))
                continue
            self.sent += done
            at = (at + done) % self._flows
        self.seconds = time.perf_counter() - begin

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._over.set()
        self.join()


def frame_of(flow: int) -> bytes:
    """An Ethernet frame of 60 bytes from client 10.78.1.2, port by ``flow``, to a server address by the rest of it."""
    server = bytes([10, 78, 2, 1 + flow // 50_000])
    head = struct.pack("!BBHHHBBH", 0x45, 0, 46, 0, 0, 64, socket.IPPROTO_UDP, 0) + bytes([10, 78, 1, 2]) + server
    head = head[:10] + struct.pack("!H", internet_checksum(np.frombuffer(head, np.uint8))) + head[12:]
    datagram = struct.pack("!HHHH", 1024 + flow % 50_000, 443, 26, 0) + bytes(18)
    return bytes.fromhex("020000000001020000000002") + b"\x08\x00" + head + datagram
