"""The system calls that make a sandbox, by ctypes: mount(2), pivot_root(2), unshare(2), prctl(2), capset(2)."""

from __future__ import annotations

import ctypes
import os
import platform

LIBRARY = ctypes.CDLL(None, use_errno=True)

# sched.h
NEW_NAMESPACES = {
    "mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
# sys/mount.h
READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS, REMOUNT, BIND, RECURSIVE, PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18
)  # fmt: skip
DETACH = 2
_AT_RECURSIVE, _AT_FDCWD = 0x8000, -100
_ATTRIBUTES = 0x1 | 0x2 | 0x4  # MOUNT_ATTR_RDONLY, NOSUID, NODEV
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
# linux/prctl.h
_PDEATHSIG, _SET_DUMPABLE, _BOUNDING_DROP, _NO_NEW_PRIVILEGES, _AMBIENT, _AMBIENT_CLEAR = 1, 4, 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "spread", "user"))


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(names: tuple[str, ...]) -> None:
    """Leave these of the namespaces that the process is in. Raises OSError where that isn't allowed."""
    flags = sum(NEW_NAMESPACES[name] for name in names)
    _check(LIBRARY.unshare(ctypes.c_int(flags)), f"unshare of {', '.join(names)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system. Raises OSError."""
    result = LIBRARY.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount of {source} on {target}")


def bind_read_only(source: str, target: str) -> None:
    """Show a file or folder, and all mounted below it, at ``target``, read-only, without devices or set-user-ids."""
    mount(source, target, "", BIND | RECURSIVE)
    attributes = _MountAttributes(_ATTRIBUTES, 0, 0, 0)
    result = LIBRARY.syscall(
        ctypes.c_long(_MOUNT_SETATTR), ctypes.c_int(_AT_FDCWD), ctypes.c_char_p(target.encode()),
        ctypes.c_uint(_AT_RECURSIVE), ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)),
    )  # fmt: skip
    _check(result, f"mount_setattr of {target}")


def change_root(folder: str) -> None:
    """Make ``folder`` the root and take the old one out of sight."""
    os.chdir(folder)
    number = _PIVOT_ROOT[platform.machine()]
    # pivot_root(".", "."): the old root ends up on top of the new one (pivot_root(2), notes).
    _check(LIBRARY.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _check(LIBRARY.umount2(b".", DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent ends."""
    _check(LIBRARY.prctl(_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl")


def become_opaque() -> None:
    """Keep processes of the same user from tracing this one or reading its files under /proc."""
    _check(LIBRARY.prctl(_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0), "prctl")


def drop_capabilities() -> None:
    """Give up all capabilities, for this process and whatever it starts, for good."""
    for capability in range(64):  # numbers beyond the kernel's last one are refused, which changes nothing
        LIBRARY.prctl(_BOUNDING_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    LIBRARY.prctl(_AMBIENT, ctypes.c_ulong(_AMBIENT_CLEAR), 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(LIBRARY.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _check(LIBRARY.prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), 0, 0, 0), "prctl")
