"""What a plan's sessions need of the machine, and what of it is missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

from plan import Plan
from versions import find_program

INSTALL = "`make testbed` installs it"


def lacking(plan: Plan, shaka: Path) -> str:
    """Return the first thing that this machine lacks for a plan, in one line; empty where it lacks nothing."""
    if os.geteuid() != 0:
        return "network namespaces and TUN devices need root"
    for program in programs(plan):
        if find_program(program) is None:
            return f"{program} isn't installed; {INSTALL}"
    for module in modules(plan):
        if importlib.util.find_spec(module) is None:
            return f"Python's {module} isn't installed; {INSTALL}"
    browsers = any(session.client == "chromium" and session.kind == "streaming" for session in plan.sessions)
    if browsers and not shaka.is_file():
        return f"shaka-player isn't at {shaka}; {INSTALL}"
    return _no_tunnel() or _no_namespace()


def programs(plan: Plan) -> list[str]:
    """Return the programs that a plan's sessions run."""
    wanted = ["ip", "setpriv", "sysctl", "tcpdump"]
    for session in plan.sessions:
        if session.kind == "streaming":
            wanted.append("caddy" if session.protocol == "h3" else "nginx")
        if session.client == "chromium":
            wanted.append("chromium")
        if session.kind == "streaming" and session.cross != "none":
            wanted.append("nginx")
    if plan.media == "films":
        wanted.append("ffmpeg")
    return list(dict.fromkeys(wanted))


def modules(plan: Plan) -> list[str]:
    """Return the Python packages that a plan's sessions import."""
    wanted = ["cryptography"]
    for session in plan.sessions:
        if session.client == "light":
            wanted += ["h2"]
        if session.client == "chromium":
            wanted.append("playwright")
        if session.client == "aiortc":
            wanted.append("aiortc")
    return list(dict.fromkeys(wanted))


def _no_tunnel() -> str:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun can't be opened ({error.strerror})"
    return ""


def _no_namespace() -> str:
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no network namespace can be made ({done.stderr.strip()})"
