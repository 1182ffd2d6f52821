"""Programs attached to a live device see its packets, and are gone afterwards, however their process went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmark.errors import ConfigError, Unsupported
from bpf import trial
from bpf.attach import HOOKS, attach, find_device
from tests.bpf.namespaces import Pair, pair

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from bpf import trial
from bpf.attach import attach, find_device
hook = sys.argv[1]
program = trial.load_nothing(trial.KINDS[hook])
with attach(hook, program.descriptor, find_device("lan")):
    print("attached", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def devices() -> Iterator[Pair]:
    try:
        os.close(trial.load_nothing().descriptor)
        trial.elsewhere(lambda: None)
    except (OSError, Unsupported) as reason:
        pytest.skip(f"bpf(2) or namespaces: {reason}")
    with pair() as made:
        yield made


def attached(devices: Pair) -> list[str]:
    """Every sign of a program on the device: its queue, its filters, its XDP program, and tcx links."""
    device = devices.device
    text = [devices.run("tc", "qdisc", "show", "dev", device), devices.run("ip", "-details", "link", "show", device)]
    text += [devices.run("tc", "filter", "show", "dev", device, side) for side in ("ingress", "egress")]
    signs = [word for word in ("clsact", "xdp", "direct-action") if any(word in part.split() for part in text)]
    signs += ["xdp"] if any("prog/xdp" in part for part in text) else []
    inside = [sys.executable, "-c", COUNT_TCX, device]
    return signs + ["tcx"] * int(devices.run("env", f"PYTHONPATH={ROOT}", *inside))


# BPF_PROG_QUERY (16) of BPF_TCX_INGRESS and BPF_TCX_EGRESS: how many programs there are.
COUNT_TCX = """
import ctypes, socket, struct, sys
from bpf.system_call import call
total = 0
for side in (46, 47):
    device = socket.if_nametoindex(sys.argv[1])
    query = ctypes.create_string_buffer(struct.pack("=IIIIQI", device, side, 0, 0, 0, 0), 64)
    try:
        call(16, query)
    except OSError:
        continue
    total += struct.unpack_from("=I", query.raw, 24)[0]
print(total)
"""


@contextmanager
def hold(devices: Pair, hook: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a program attached; killed at the end of the block at the latest."""
    command = devices.command("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", HOLD, hook)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "attached\n"
            yield process
        finally:
            process.kill()


def wait_until_bare(devices: Pair, seconds: float = 10.0) -> list[str]:
    end = time.monotonic() + seconds
    while (signs := attached(devices)) and time.monotonic() < end:
        time.sleep(0.05)
    return signs


@pytest.mark.parametrize("hook", ["tc", "tcx", "xdp"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_after_a_process_was_ended(devices: Pair, hook: str, end: signal.Signals) -> None:
    assert attached(devices) == []
    with hold(devices, hook) as process:
        assert attached(devices), "the control: the device does show it"
        process.send_signal(end)
        process.wait(10)
    assert wait_until_bare(devices) == []


def test_another_users_queue_and_filters_stay(devices: Pair) -> None:
    devices.run("tc", "qdisc", "add", "dev", devices.device, "clsact")
    classic = ["bpf", "bytecode", "1,6 0 0 4294967295,"]
    devices.run("tc", "filter", "add", "dev", devices.device, "ingress", "pref", "7", *classic)
    before = devices.run("tc", "filter", "show", "dev", devices.device, "ingress")
    with hold(devices, "tc"):
        assert "direct-action" in attached(devices)
    try:
        end = time.monotonic() + 10
        while (
            devices.run("tc", "filter", "show", "dev", devices.device, "ingress") != before and time.monotonic() < end
        ):
            time.sleep(0.05)
        assert devices.run("tc", "filter", "show", "dev", devices.device, "ingress") == before
        assert "clsact" in attached(devices)
    finally:
        devices.run("tc", "qdisc", "del", "dev", devices.device, "clsact")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_attaches_and_detaches(devices: Pair, hook: str) -> None:
    assert trial.try_hooks()[hook] == ""


def test_an_error_in_the_block_detaches() -> None:
    def fail_inside() -> list[str]:
        program = trial.load_nothing(trial.KINDS["tc"])
        try:
            with attach("tc", program.descriptor, find_device("lo")):
                raise KeyError
        except KeyError:
            shown = subprocess.run(["tc", "qdisc", "show", "dev", "lo"], capture_output=True, text=True, check=True)
            return ["clsact"] if "clsact" in shown.stdout else []
        finally:
            os.close(program.descriptor)

    try:
        assert trial.elsewhere(fail_inside) == []
    except (OSError, Unsupported) as reason:
        pytest.skip(str(reason))


def test_names_that_are_not_there_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lo'"):
        find_device("lo0")
    with pytest.raises(ConfigError, match="tc"), attach("tcc", 0, find_device("lo")):
        pass


def test_a_refusal_by_the_kernel_is_said(devices: Pair) -> None:
    def attach_the_wrong_kind() -> str:
        program = trial.load_nothing(trial.KINDS["socket"])
        try:
            with pytest.raises(Unsupported) as caught, attach("tc", program.descriptor, find_device("lo")):
                pass
            return str(caught.value)
        finally:
            os.close(program.descriptor)

    assert trial.elsewhere(attach_the_wrong_kind).startswith("tc on lo: ")


def test_devices_without_ethernet_are_told() -> None:
    def look() -> bool:
        subprocess.run(["ip", "tuntap", "add", "dev", "t0", "mode", "tun"], check=True, capture_output=True)
        return find_device("t0").ethernet

    try:
        assert trial.elsewhere(look) is False
    except (OSError, Unsupported, subprocess.CalledProcessError) as reason:
        pytest.skip(str(reason))
    assert find_device("lo").ethernet
