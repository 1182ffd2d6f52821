"""What a guest is made of, without a boot: the initramfs, the emulator's bounds, and what is said where it lacks."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ConfigError, Unsupported
from bpf.agent.answer import AgentError
from bpf.routers import guest, setup
from bpf.routers.archive import pack_initramfs
from bpf.routers.kinds import find_kinds
from bpf.routers.qemu_arm64 import MACHINE, build
from tests.baselines.made_traces import make_trace


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of each entry of a newc archive, read by the format's own rules."""
    data, at, found = gzip.decompress(archive), 0, {}
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * k : at + 14 + 8 * k], 16) for k in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        start = -(-(at + 110 + fields[11]) // 4) * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data[start : start + fields[6]])
        at = -(-(start + fields[6]) // 4) * 4


def test_initramfs_holds_its_files_and_a_console() -> None:
    files = {"init": b"agent", "script": bytes(range(256)) * 5, "empty": b""}
    found = unpack(pack_initramfs(files))
    assert {name: found[name][1] for name in files} == files
    assert found["init"][0] == 0o100755
    assert found["dev/console"][0] == 0o020600
    assert found["proc"][0] == 0o040755
    assert pack_initramfs(files) == pack_initramfs(files)


def test_missing_programs_come_with_the_command_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert setup.missing_packages(MACHINE) == [*MACHINE.emulator_packages, *MACHINE.compiler_packages]
    with pytest.raises(Unsupported, match="python -m bpf router setup qemu_arm64"):
        guest.open_guest(MACHINE)


def test_packages_are_installed_by_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup.shutil, "which", lambda program: f"/usr/bin/{program}")
    with pytest.raises(Unsupported, match="as root run: apt-get install -y --no-install-recommends qemu-system-arm"):
        setup.install(["qemu-system-arm"])


def test_a_kernel_that_was_changed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACEARENA_CACHE", str(tmp_path))
    with pytest.raises(Unsupported, match="no kernel for qemu_arm64"):
        setup.find_kernel(MACHINE)
    folder = tmp_path / "kernels"
    (folder / "arm64.vmlinuz").write_bytes(b"kernel")
    digest = "ff3ccae0e8cb7d4c2e4cf4ddd4de3be7c8a3b8cdcd0e8f3cb9a7ad0c8f5c1d6e"
    (folder / "arm64.json").write_text(f'{{"package": "p", "version": "1", "sha256": "{digest}"}}')
    with pytest.raises(Unsupported, match="isn't the kernel that was fetched"):
        setup.find_kernel(MACHINE)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import time; print('last', flush=True); time.sleep(60)", r"took more than 1 s.*last"),
        ("import sys\nwhile True: sys.stdout.write('x' * 4096)", "printed more than"),
    ],
    ids=["silent", "talkative"],
)
def test_a_wild_emulator_is_ended(code: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "MOST_OUTPUT", 1 << 20)
    started: list[int] = []
    popen = guest.subprocess.Popen

    def remember(*words, **settings):
        process = popen(*words, **settings)
        started.append(process.pid)
        return process

    monkeypatch.setattr(guest.subprocess, "Popen", remember)
    longest = 1.0 if "took" in reason else 60.0
    with pytest.raises(AgentError, match=reason):
        guest._run_bounded([sys.executable, "-c", code], longest)
    assert not Path(f"/proc/{started[0]}").exists()


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'boots'"):
        build({"boot": 3})


def test_kinds_cover_every_packet_with_a_flow() -> None:
    traces = [make_trace("player", [1, 3], 0), make_trace("browser", [2, 2], 1)]
    kinds = find_kinds(traces)
    assert sum(kind.share for kind in kinds) == pytest.approx(1)
    assert len({kind.name for kind in kinds}) == len(kinds)
    for kind in kinds:
        trace = traces[kind.trace]
        assert kind.name.startswith("up") == bool(trace.flows.up[kind.packet])
        assert ("with payload" in kind.name) == bool(trace.packets.fields.payload[kind.packet] > 0)
    assert find_kinds([]) == []


def test_kinds_weigh_by_packets() -> None:
    trace = make_trace("player", [1, 3], 0)
    up = np.mean(trace.flows.up[trace.flows.index >= 0])
    kinds = find_kinds([trace])
    assert sum(kind.share for kind in kinds if kind.name.startswith("up")) == pytest.approx(float(up))
