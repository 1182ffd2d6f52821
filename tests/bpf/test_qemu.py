"""The ARM64 guest: what it answers, that every boot counts the same, and that no emulator outlives its boot.

Boots take seconds each, so these are slow tests; they skip where the guest isn't set up.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpora.embedded import load
from benchmark.errors import Unsupported
from benchmark.probe import Probe
from benchmark.quality.features import extract_flows
from benchmark.quality.names import feature_names
from benchmark.trace import Trace
from benchmark.verdicts import agreement, judge
from bpf.agent.answer import AgentError, read_facts
from bpf.agent.script import Relocation, Script
from bpf.build import object_path
from bpf.elf import read_object
from bpf.models import trees
from bpf.replay import tailor
from bpf.routers.guest import Guest, open_guest
from bpf.routers.qemu_arm64 import MACHINE, build
from bpf.routers.replay_script import ReplayScript
from tests.bpf.large_model import make_largest
from tests.bpf.machine_code import ARRAY, COUNT, COUNT_MAP, PASS, SCHED_CLS, count_and_stamp

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PACKETS = 300


@pytest.fixture(scope="module")
def guest() -> Guest:
    try:
        return open_guest(MACHINE)
    except Unsupported as reason:
        pytest.skip(str(reason))


def emulators() -> set[int]:
    """Processes of this user's that run the emulator."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().startswith(MACHINE.emulator[:15]) and path.stat().st_uid == os.getuid():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def test_guest_carries_out_a_script(guest: Guest) -> None:
    before = emulators()
    boot = guest.run(count_and_stamp(PACKETS))
    _, _, stamps, counts, *_, filled, _, emptied = boot.answers[-10:]
    assert struct.unpack("<IQ", counts) == (0, 2 * PACKETS)
    assert [struct.unpack_from("<Q", stamps, at + 8)[0] for at in range(8, len(stamps), 16)] == [
        10 * number for number in range(PACKETS)
    ]
    assert {filled[at : at + 4] for at in range(0, len(filled), 12)} == {b"aaaa", b"bbbb", b"cccc"}
    assert emptied == b""
    assert emulators() <= before


def test_three_boots_count_the_same_instructions(guest: Guest) -> None:
    script = Script(MACHINE.byte_order)
    counts, clock = (script.create_map(name, ARRAY, 4, 16, 1) for name in ("counts", "clock"))
    programs = [
        script.load("pass", SCHED_CLS, PASS),
        script.load("count", SCHED_CLS, COUNT, [Relocation(COUNT_MAP, counts)]),
    ]
    trace = [(number, bytes(100)) for number in range(PACKETS)]
    places = [script.replay(program, clock, bytes(16), 8, trace) for program in programs]
    places += [script.measure(program, bytes(100), repeat=10_000, rounds=3) for program in programs]
    boots = [[guest.run(script).answers[place] for place in places] for _ in range(3)]
    assert boots[0] == boots[1] == boots[2]
    passing, counting = (struct.unpack("<3I", boots[0][place]) for place in (2, 3))
    # The lookup is inlined by the kernel: some twenty instructions, not none and not hundreds.
    assert 5 < min(counting) - min(passing) < 100


def test_three_boots_of_the_probe_count_the_same_instructions(guest: Guest) -> None:
    """The probe of record, F4 with ten trees at tc, on real traffic: within its bounds, and equal to the reference."""
    trace = load({"name": "streaming", "limit": 1}, ROOT).test[0]
    rows = extract_flows(trace, "F4").values.astype(np.int64)
    classes = np.digitize(rows[:, 3], np.quantile(rows[:, 3], [0.3, 0.6])).astype(float)
    model = trees.build({"trees": 10}).fit(rows, classes, feature_names("F4"), True, 0)
    result = build({"boots": 3}).run(Probe("forest", "F4", "tc", "libbpf", "rung", model), [trace])
    replayed = result.notes["added_insns_replayed"]
    assert len(replayed) == 3
    assert len(set(replayed)) == 1
    assert 0 < result.figures["added_insns"] <= 600
    assert result.figures["map_bytes"] <= 2 * 1024 * 1024
    assert result.figures["unaccounted"] == 0
    assert agreement(judge(model, [trace], "F4"), result.verdicts) == 1


def test_only_the_first_traces_are_booted_again(guest: Guest) -> None:
    traces = [shortened(trace, 400) for trace in load({"name": "streaming", "limit": 2}, ROOT).test[:2]]
    rows = np.concatenate([extract_flows(trace, "F0").values for trace in traces]).astype(np.int64)
    model = trees.build({"model": "tree"}).fit(rows, (rows[:, 3] > 1e5).astype(float), feature_names("F0"), True, 0)
    result = build({"boots": 2, "packets": 400}).run(Probe("tree", "F0", "tc", "libbpf", "rung", model), traces)
    assert [len(boots) for boots in result.notes["boot_seconds"]] == [2, 1]
    assert result.notes["repeated_packets"] == 400
    assert result.figures["seen"] == result.figures["accounted"] == 800
    assert result.figures["added_insns"] == pytest.approx(np.mean(result.notes["added_insns_replayed"]), abs=0.01)
    assert agreement(judge(model, traces, "F0"), result.verdicts) == 1


def shortened(trace: Trace, packets: int) -> Trace:
    """The trace's first packets."""
    return replace(trace, packets=trace.packets.take(slice(0, packets)))


@pytest.mark.parametrize("hooks", [("tc", "xdp"), ("socket", "socket")])
def test_the_largest_feature_set_and_model_load_at_every_hook(guest: Guest, hooks: tuple[str, str]) -> None:
    script = ReplayScript(tailor(read_object(object_path("F5", "bpfel")), make_largest(), ""), *hooks)
    sizes = script.sizes(guest.run(script.script).answers)
    assert sizes["jited_bytes"] > 0
    assert sizes["verified_insns"] < 500_000


def test_programs_are_translated_to_machine_code(guest: Guest) -> None:
    script = Script(MACHINE.byte_order)
    script.load("pass", SCHED_CLS, PASS)
    assert read_facts(guest.run(script).answers[0], MACHINE.byte_order).jited_bytes > 0


def test_a_late_guest_is_ended(guest: Guest) -> None:
    before = emulators()
    with pytest.raises(AgentError, match="took more than"):
        guest.run(count_and_stamp(PACKETS), longest=0.3)
    assert emulators() <= before


def test_a_guest_without_a_kernel_that_boots_is_reported(guest: Guest, tmp_path: Path) -> None:
    broken = tmp_path / "vmlinuz"
    broken.write_bytes(b"MZ" + bytes(4096))
    bad = Guest(guest.machine, type(guest.kernel)(broken, "", "", ""), guest.agent)
    with pytest.raises(AgentError):
        bad.run(count_and_stamp(1), longest=3)


def test_the_emulator_dies_with_its_parent(guest: Guest) -> None:
    before = emulators()
    code = textwrap.dedent(
        """
        from bpf.routers.guest import open_guest
        from bpf.routers.qemu_arm64 import MACHINE
        from tests.bpf.machine_code import count_and_stamp
        open_guest(MACHINE).run(count_and_stamp(100_000))
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        assert wait_for(lambda: bool(emulators() - before))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_for(lambda: emulators() <= before)


def wait_for(condition, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
