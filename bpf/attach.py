"""Attach a loaded program to a device, and be sure that it goes again: on leaving the block, on an error, on SIGKILL.

xdp and tcx are kernel links, and a socket's program belongs to its socket: the kernel takes them away with the process.
tc (clsact) has no such thing, so that a keeper process holds the filters (bpf/clsact.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError, Unsupported, nearest
from bpf import clsact
from bpf.system_call import call

HOOKS = ("tc", "tcx", "xdp", "socket")
PROGRAMS = {"tc": "probe_tc", "tcx": "probe_tc", "xdp": "probe_xdp", "socket": "probe_socket"}
_LINK_CREATE = 28
_ATTACH_XDP, _ATTACH_TCX = 37, (46, 47)
_XDP_MODES = {"": 0, "generic": 1 << 1, "native": 1 << 2, "hardware": 1 << 3}
_BEFORE_OTHERS = 1 << 3
_SO_ATTACH_BPF = 50
_EVERY_PROTOCOL = 3
_ETHERNET = (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK: types of devices whose packets begin with an Ethernet header
_WHY = {
    errno.EPERM: "not permitted: it takes root, or CAP_BPF with CAP_NET_ADMIN (CAP_NET_RAW for a socket)",
    errno.EBUSY: "another program holds this hook of the device",
    errno.EEXIST: "another program holds this hook of the device",
    errno.EOPNOTSUPP: "the device's driver or the kernel hasn't got this hook",
    errno.EINVAL: "the kernel doesn't know this hook",
    errno.ENODEV: "no such device",
    errno.ENOENT: "the kernel hasn't got this kind of filter (sch_ingress, cls_bpf)",
}


@dataclass(frozen=True)
class Device:
    """A network device of this process's namespace."""

    name: str
    number: int
    ethernet: bool
    """Packets begin with an Ethernet header; else with IP's, as on PPP, tun and WireGuard devices."""


def find_device(name: str) -> Device:
    """Find a device by name; ConfigError with the nearest one's name where there is none."""
    devices = {each: number for number, each in socket.if_nameindex()}
    if name not in devices:
        raise ConfigError(f"no network device '{name}'{nearest(name, devices)}")
    return Device(name, devices[name], _hardware_type(name) in _ETHERNET)


@contextlib.contextmanager
def attach(hook: str, program: int, device: Device, mode: str = "") -> Iterator[None]:
    """Have ``device`` run the program of descriptor ``program`` at ``hook`` for as long as the block lasts.

    tc and tcx see both directions, and so does socket; xdp sees what comes in. mode, of xdp: native, generic, hardware,
    or "" for what the driver can. Raises Unsupported with the reason where this can't be.
    """
    if hook not in HOOKS:
        raise ConfigError(f"no hook '{hook}'{nearest(hook, HOOKS)}")
    with contextlib.ExitStack() as stack:
        try:
            if hook == "tc":
                stack.enter_context(_kept(program, device))
            elif hook == "socket":
                stack.enter_context(_socket(program, device))
            else:
                types = _ATTACH_TCX if hook == "tcx" else (_ATTACH_XDP,)
                flags = _BEFORE_OTHERS if hook == "tcx" else _XDP_MODES[mode]
                for descriptor in _link(program, device, types, flags):
                    stack.callback(os.close, descriptor)
        except OSError as error:
            reason = _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
            raise Unsupported(f"{hook} on {device.name}: {reason}") from error
        yield


def _link(program: int, device: Device, types: Sequence[int], flags: int) -> list[int]:
    links: list[int] = []
    try:
        for kind in types:
            links.append(call(_LINK_CREATE, struct.pack("=IIII", program, device.number, kind, flags) + bytes(48)))
    except OSError:
        for descriptor in links:
            os.close(descriptor)
        raise
    return links


@contextlib.contextmanager
def _socket(program: int, device: Device) -> Iterator[None]:
    # Protocol 0 and no device: nothing arrives before the program is there.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        tap.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, program)
        tap.bind((device.name, _EVERY_PROTOCOL))
        yield


@contextlib.contextmanager
def _kept(program: int, device: Device) -> Iterator[None]:
    command = [
        sys.executable,
        "-I",
        "-S",
        str(Path(clsact.__file__)),
        str(device.number),
        str(program),
        str(os.getpid()),
    ]
    keeper = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(program,), start_new_session=True
    )
    with keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        answer = keeper.stdout.readline()
        code = int(answer) if answer.strip() else errno.ESRCH
        if code:
            raise OSError(code, os.strerror(code))
        try:
            yield
        finally:
            keeper.stdin.close()
            keeper.wait()


def _hardware_type(name: str) -> int:
    # SIOCGIFHWADDR answers for the namespace of this process; /sys may be another's.
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, 0x8927, struct.pack("16s16x", name.encode()))
    return int.from_bytes(answer[16:18], sys.byteorder)
