"""Live flows over a pair of devices: what ``watch`` says of some hundred packets, and that nothing of it stays."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.errors import Unsupported
from bpf import trial
from bpf.abi import RESULT
from bpf.live import Account, Flow, device_packets, read_window
from bpf.models.blob import FOREST, NODE, join
from bpf.screen import Screen
from bpf.watch import check_seen
from tests.bpf.namespaces import Pair, pair
from tests.bpf.test_attach import attached

ROOT = Path(__file__).resolve().parents[2]
# The command with a model that always says HD, so that nothing has to be fitted.
WATCH = """
import sys
import bpf.watch
from bpf.__main__ import main
from bpf.fitted import Fitted
from bpf.models.compiled import Compiled
model = Compiled(bytes.fromhex(sys.argv[1]))
bpf.watch._fit = lambda chosen: Fitted(model, "F4", "rung", 1.0, (), "always HD")
sys.exit(main(["watch", "lan", "--window", "1", *sys.argv[2:]]))
"""
# A single vote for class 2 (bpf/models/blob.py).
ALWAYS_HD = join(
    {"kind": FOREST, "labels": 1 << 2, "nodes": 1, "steps": 1},
    [np.array([(1, 0, 2, 1)], NODE)],
)
SERVE = """
import socket
with socket.create_server(("10.78.0.1", 4433)) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    with connection:
        while connection.recv(100):
            connection.sendall(bytes(40_000))
"""
PLAY = """
import socket, sys, time
with socket.create_connection(("10.78.0.1", 4433)) as connection:
    for segment in range(12):
        connection.sendall(b"GET")
        left = 40_000
        while left:
            left -= len(connection.recv(left))
        time.sleep(0.2)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    for _ in range(50):
        datagrams.sendto(bytes(200), ("10.78.0.1", 9))
"""


@pytest.fixture(scope="module")
def devices() -> Iterator[Pair]:
    try:
        os.close(trial.load_nothing().descriptor)
    except (OSError, Unsupported) as reason:
        pytest.skip(f"bpf(2): {reason}")
    with pair() as made:
        yield made


@contextmanager
def watching(devices: Pair, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command at work on the router's device."""
    command = devices.command("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", WATCH, ALWAYS_HD.hex(), *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("watching lan at ")
            yield process
        finally:
            process.kill()


def play(devices: Pair) -> None:
    """Twelve segments of 40,000 bytes by TCP, then 50 datagrams that nobody wants."""
    serve = devices.command(sys.executable, "-c", SERVE)
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            devices.run(sys.executable, "-c", PLAY, inside=devices.client)
        finally:
            server.kill()


def watch_a_play(devices: Pair, *options: str) -> list[dict[str, Any]]:
    with watching(devices, "--json", "--client", "10.78.0.2/32", *options) as process:
        play(devices)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("hook", ["tc", "tcx"])
def test_windows_of_a_live_flow_are_told(devices: Pair, hook: str) -> None:
    lines = watch_a_play(devices, "--hook", hook, "--least", "20000")
    video = [line for line in lines if line.get("protocol") == "tcp"]
    assert {line["server"] for line in video} == {"10.78.0.1:4433"}
    assert all(line["client"].startswith("10.78.0.2:") for line in video)
    assert len({line["window"] for line in video}) == len(video) >= 2
    down = sum(line["down_bytes"] for line in video)
    # 480,000 bytes of payload, and IP and TCP headers of at least 52 bytes for each 1,448 of them.
    assert 480_000 + 52 * 331 <= down < 1.1 * 480_000
    told = {line["quality"] for line in video if line["down_bytes"] >= 20_000}
    assert told == {"HD"}
    datagrams = [line for line in lines if line.get("protocol") == "udp" and line["server"] == "10.78.0.1:9"]
    assert [line["quality"] for line in datagrams] == [None] * len(datagrams)
    end = lines[-1]
    assert end["kind"] == "end"
    assert end["unaccounted"] == 0
    assert end["lost"] == 0
    assert end["accounted"] >= 331 + 50
    assert attached(devices) == []


def test_a_socket_sees_both_directions_too(devices: Pair) -> None:
    lines = watch_a_play(devices, "--hook", "socket")
    assert sum(line["down_bytes"] for line in lines if line.get("protocol") == "tcp") >= 480_000 + 52 * 331
    assert lines[-1]["unaccounted"] == 0


def test_xdp_sees_what_comes_in(devices: Pair) -> None:
    lines = watch_a_play(devices, "--hook", "xdp")
    video = [line for line in lines if line.get("protocol") == "tcp"]
    assert video
    assert sum(line["down_bytes"] for line in video) == 0
    assert lines[-1]["accounted"] >= 12 + 50


def test_a_killed_watch_leaves_nothing(devices: Pair) -> None:
    with watching(devices, "--json") as process:
        assert "direct-action" in attached(devices)
        process.kill()
        process.wait(10)
    end = time.monotonic() + 10
    while attached(devices) and time.monotonic() < end:
        time.sleep(0.05)
    assert attached(devices) == []


def test_a_closed_pipe_ends_it(devices: Pair) -> None:
    with watching(devices, "--json", "--least", "0") as process:
        assert process.stdout is not None
        process.stdout.close()
        play(devices)
        process.wait(30)
        assert process.returncode == 1
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert attached(devices) == []


def test_an_unknown_device_is_refused(devices: Pair) -> None:
    command = devices.command("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "bpf", "watch", "lann")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: no network device 'lann'; did you mean 'lan'?\n"


def test_packets_that_go_past_the_hook_are_refused() -> None:
    check_seen("eth0", 999, 0)
    check_seen("eth0", 2000, 1000)
    check_seen("eth0", 2000, 44_000)  # merged segments count as the packets that they were
    with pytest.raises(Unsupported, match="eth0 counted 2000 packets while its hook saw 999"):
        check_seen("eth0", 2000, 999)


def test_device_counters_are_read() -> None:
    zeros = " 0" * 6
    text = f"Inter-|  Receive\n face |bytes\n  lan: 1 2{zeros} 3 4{zeros}\n lan0:5 6{zeros} 7 8{zeros}\n"
    assert device_packets("lan", text) == (2, 4)
    assert device_packets("lan0", text) == (6, 8)
    with pytest.raises(OSError, match="eth9"):
        device_packets("eth9", text)


def test_results_are_read() -> None:
    result = np.zeros((), RESULT)
    result["key"]["client"][0] = 0x0A4E0002
    result["key"]["server"][0] = 0x0A4E0001
    result["key"]["ports"] = (50000, 443)
    result["key"]["protocol"], result["key"]["version"] = 17, 4
    result["window"], result["down_bytes"], result["label"], result["score"], result["kind"] = 7, 900, 2, -5, 1
    window = read_window(result.tobytes())
    assert window.flow == Flow("10.78.0.2:50000", "10.78.0.1:443", "udp")
    assert (window.index, window.down_bytes, window.label, window.score, window.judged) == (7, 900, 2, -5, True)
    result["key"]["version"] = 6
    assert read_window(result.tobytes()).flow.client == "[a4e:2::]:50000"


def test_the_table_shows_the_busiest_flows_and_their_last_windows() -> None:
    out = io.StringIO()
    screen = Screen("lan", 10.0, out)
    account = Account(12, 10, {"not_ip": 2, "fragment": 0}, 0)
    big, small, gone = (Flow(f"10.0.0.{n}:1", "1.1.1.1:443", "tcp") for n in (1, 2, 3))
    screen.add(gone, 0, 10**9, "HD")
    for index in range(4, 9):
        screen.add(big, index, 12_500_000, "480p")
    screen.add(small, 8, 100, "·")
    screen.draw(account)
    assert out.getvalue() == "", "not a terminal: nothing before the end"
    screen.draw(account, last=True)
    lines = out.getvalue().splitlines()
    assert lines[1] == "packets 12, on flows 10, skipped: 2 not_ip, unaccounted 0"
    assert lines[4].split() == ["10.0.0.1:1", "1.1.1.1:443", "tcp", "10.00", *["480p"] * 5]
    assert lines[5].split() == ["10.0.0.2:1", "1.1.1.1:443", "tcp", "0.00", "·"]
    assert len(lines) == 6
