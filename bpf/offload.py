"""Flows that hardware forwards by itself: no hook sees their packets, so that what a probe reports of them is wrong.

Short flows look complete and long ones, videos, vanish after their first packets. Whoever reports on a device asks
``refuse_hidden`` first. Software flow tables are no such thing: packets pass traffic control and XDP ahead of them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmark.errors import Unsupported

MODULES = {
    "ecm": "Qualcomm's connection manager for NSS and PPE",
    "qca_nss_ecm": "Qualcomm's connection manager for NSS and PPE",
    "qca_nss_sfe": "Qualcomm's fast path",
    "shortcut_fe": "Qualcomm's fast path",
    "mtkhnat": "MediaTek's hardware NAT",
    "hw_nat": "Ralink's and MediaTek's hardware NAT",
    "ctf": "Broadcom's cut-through forwarding",
    "pktflow": "Broadcom's flow cache",
    "cdx": "NXP's data path acceleration",
}
"""Kernel modules that take flows away from the kernel's path, and what they are."""
_CONNECTIONS = Path("/proc/net/nf_conntrack")
_MOST_ENTRIES = 100_000
_LONGEST = 10
"""Seconds that a tool may take to answer."""


@dataclass(frozen=True)
class Flowtable:
    """A flow table of nftables: its name, its devices, and whether hardware holds its flows."""

    name: str
    devices: frozenset[str]
    hardware: bool


@dataclass(frozen=True)
class Sign:
    """Something that was found. ``hides``: packets are hidden by it; else they could be, or the sign can't be read."""

    text: str
    hides: bool


def parse_flowtables(text: str) -> list[Flowtable]:
    """Read ``nft list flowtables``, also as fw4 prints it: with quotes and semicolons."""
    found = []
    for name, body in re.findall(r"flowtable\s+(\S+)\s*\{((?:[^{}]|\{[^{}]*\})*)\}", text):
        devices = re.search(r"devices\s*=\s*\{([^}]*)\}", body)
        names = re.findall(r"[^\s,\";]+", devices[1]) if devices else []
        hardware = re.search(r"^\s*flags\b[^\n;]*\boffload\b", body, re.MULTILINE) is not None
        found.append(Flowtable(name, frozenset(names), hardware))
    return found


def parse_connections(lines: Iterable[str]) -> tuple[int, int]:
    """Count the connections that hardware forwards, and those that software's fast path does.

    Lines of /proc/net/nf_conntrack or of ``conntrack -L``.
    """
    hardware = software = 0
    for line in lines:
        hardware += "[HW_OFFLOAD]" in line
        software += "[OFFLOAD]" in line
    return hardware, software


def parse_tc_offload(text: str) -> bool | None:
    """Tell from ``ethtool -k`` whether the device takes filters into hardware; None where it doesn't say."""
    state = re.search(r"^\s*hw-tc-offload:\s*(on|off)\b", text, re.MULTILINE)
    return None if state is None else state[1] == "on"


def parse_filters(text: str) -> int:
    """Count the filters in ``tc filter show`` that hardware executes."""
    return sum("in_hw" in line.split() for line in text.splitlines())


def parse_modules(text: str) -> list[str]:
    """Return the names of MODULES among those in /proc/modules."""
    return sorted(MODULES.keys() & {line.split(maxsplit=1)[0] for line in text.splitlines() if line.strip()})


def parse_bound(text: str) -> int:
    """Count the flows that a MediaTek packet engine forwards, in its file ``entries`` or ``bind`` under debugfs."""
    return sum("BND" in line.split() for line in text.splitlines())


def parse_firewall(text: str) -> bool:
    """Tell whether OpenWrt's /etc/config/firewall asks for hardware flow offload."""
    return re.search(r"^\s*option\s+flow_offloading_hw\s+['\"]?(1|on|true|yes)\b", text, re.MULTILINE) is not None


def find_signs(device: str) -> list[Sign]:
    """Look for hardware offload of what passes ``device``, in this process's network namespace."""
    return [
        *_flowtable_signs(device),
        *_connection_signs(),
        *_filter_signs(device),
        *_engine_signs(),
    ]


def refuse_hidden(device: str) -> list[Sign]:
    """Raise Unsupported where hardware hides packets of ``device``; else return the signs that leave room for doubt."""
    signs = find_signs(device)
    reasons = [sign.text for sign in signs if sign.hides]
    if reasons:
        raise Unsupported(
            f"{device}: hardware forwards flows that no hook sees, so that there is nothing true to report: "
            f"{'; '.join(reasons)}. Turn flow offload off (OpenWrt: option flow_offloading_hw '0' in "
            "/etc/config/firewall, then service firewall restart), or measure in front of this machine"
        )
    return signs


def members(device: str) -> frozenset[str]:
    """The device and those that its packets come through: a bridge's ports, a VLAN's parent."""
    below = Path("/sys/class/net", device).glob("lower_*")
    return frozenset({device, *(path.name.removeprefix("lower_") for path in below)})


def _flowtable_signs(device: str) -> list[Sign]:
    text = _ask("nft", "list", "flowtables")
    if text is None:
        return [Sign("flow tables unknown: nft is missing or not permitted (apt-get install nftables)", False)]
    tables = [table for table in parse_flowtables(text) if table.hardware]
    ours = [table for table in tables if table.devices & members(device)]
    signs = [
        Sign(f"flowtable {table.name} has flags offload on {', '.join(sorted(table.devices))}", True) for table in ours
    ]
    signs += [Sign(f"flowtable {table.name} offloads other devices", False) for table in tables if table not in ours]
    return signs


def _connection_signs() -> list[Sign]:
    try:
        with _CONNECTIONS.open() as lines:
            hardware, software = parse_connections(islice(lines, _MOST_ENTRIES))
    except OSError:
        hardware, software = parse_connections((_ask("conntrack", "-L") or "").splitlines())
    signs = [Sign(f"{hardware} connections are marked [HW_OFFLOAD]", True)] if hardware else []
    return (
        [*signs, Sign(f"{software} connections take software's fast path, which hides nothing", False)]
        if software
        else signs
    )


def _filter_signs(device: str) -> list[Sign]:
    signs = []
    for side in ("ingress", "egress"):
        count = parse_filters(_ask("tc", "filter", "show", "dev", device, side) or "")
        if count:
            signs.append(Sign(f"{count} {side} filters of {device} are executed by hardware (in_hw)", True))
    able = [name for name in sorted(members(device)) if parse_tc_offload(_ask("ethtool", "-k", name) or "")]
    return [*signs, Sign(f"hw-tc-offload is on: {', '.join(able)}", False)] if able else signs


def _engine_signs() -> list[Sign]:
    loaded = parse_modules(_read("/proc/modules"))
    signs = [Sign(f"module {name} is loaded: {MODULES[name]}", True) for name in loaded]
    bound = sum(parse_bound(_read(path)) for path in Path("/sys/kernel/debug").glob("ppe*/bind"))
    if bound:
        signs.append(Sign(f"the packet engine forwards {bound} flows (BND)", True))
    if parse_firewall(_read("/etc/config/firewall")):
        signs.append(Sign("/etc/config/firewall asks for hardware flow offload", False))
    return signs


def _ask(*command: str) -> str | None:
    """What a tool prints; None where it's missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, errors="replace", check=False)
        return done.stdout if done.returncode == 0 else None
    return None


def _read(path: str | Path) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""
