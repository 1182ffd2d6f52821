"""The emulated link between real namespaces: what each backend gives of what was asked for, and the tap."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.capture.pcap import read_frames
from benchmark.errors import Unsupported
from lane import Lane
from link import DEVICE, LinkError, namespaces, open_link
from session import CLIENT_ADDRESS, SERVER_ADDRESS, Link
from tap import TapError, capture
from tests.datasets.lanes import needs_namespaces

# What a backend may miss of what was asked: a share of the rate, ms of the delay (a busy machine wakes late).
RATE_TOLERANCE = 0.05
DELAY_TOLERANCE = 3.0


@pytest.fixture
def lane():
    needs_namespaces()
    with Lane(91) as made:
        yield made


@contextlib.contextmanager
def opened(lane, link):
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(open_link(lane, link))
        except Unsupported as error:
            pytest.skip(str(error))
        yield running


backends = pytest.mark.parametrize("backend", ["relay", "netem"])
LINK = Link(down=((0.0, 4.0),), up=2.0, delay=25.0, queue=300.0, seed=5)

# Times are the kernel's where they can be, and the sender asks to run at once: a busy machine isn't what is measured.
RECEIVE = """
import socket, struct, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
receiver.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
receiver.bind((sys.argv[1], 9000))
receiver.settimeout(20)
print("ready", flush=True)
try:
    while True:
        data, ancillary, _, _ = receiver.recvmsg(2048, 64)
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        print(data[:20].decode(), seconds + nanoseconds / 1e9, flush=True)
        receiver.settimeout(float(sys.argv[2]))
except TimeoutError:
    pass
"""
SEND = """
import os, socket, sys, time
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
except OSError:
    pass
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address, begin, count, size, gap = sys.argv[1], *map(float, sys.argv[2:])
begin = max(begin, time.time())
for number in range(int(count)):
    time.sleep(max(0, begin + number * gap - time.time()))
    sender.sendto(f"{time.time():.7f}".ljust(20).encode().ljust(int(size) - 28, b"."), (address, 9000))
"""


def send(lane, count, size, gap=0.0, up=False, begin=0.0, patience=1.0):
    """Send UDP packets of ``size`` bytes; return (sent, received) unix seconds [packets that arrived, 2]."""
    source, target, address = lane.server, lane.client, CLIENT_ADDRESS
    if up:
        source, target, address = lane.client, lane.server, SERVER_ADDRESS
    receiver = lane.popen(target, [sys.executable, "-S", "-c", RECEIVE, address, str(patience)], stdout=subprocess.PIPE)
    assert receiver.stdout.readline() == b"ready\n"
    done = lane.run(source, [sys.executable, "-S", "-c", SEND, address, *map(str, (begin, count, size, gap))])
    assert done.returncode == 0, done.stderr
    lines = receiver.communicate(timeout=20)[0].decode().split("\n")
    return np.array([line.split() for line in lines if line], float).reshape(-1, 2)


@backends
@pytest.mark.parametrize(("up", "rate"), [(False, 4.0), (True, 2.0)])
def test_rate_and_delay_are_what_was_asked(lane, backend, up, rate):
    with opened(lane, replace(LINK, backend=backend)):
        # One at a time: nothing waits, so each takes its own transmission and the delay.
        alone = send(lane, count=20, size=500, gap=0.02, up=up, patience=0.4)
        burst = send(lane, count=45, size=1500, up=up, patience=0.6)
    assert len(alone) == 20
    transmission = 500 * 8 / rate / 1e3
    expected = transmission + LINK.delay
    taken = 1000 * (alone[:, 1] - alone[:, 0])
    # The kernel's bucket has one packet in hand, which spares a lone packet its transmission.
    assert np.min(taken) >= expected - 0.5 - transmission * (backend == "netem")
    assert np.median(taken) == pytest.approx(expected, abs=DELAY_TOLERANCE)
    assert len(burst) == 45
    given_rate = 44 * 1500 * 8 / (burst[-1, 1] - burst[0, 1]) / 1e6
    assert given_rate == pytest.approx(rate, rel=RATE_TOLERANCE)


@backends
def test_an_outage_holds_what_is_sent_and_a_slower_rate_follows(lane, backend):
    link = replace(LINK, down=((0.0, 4.0), (0.8, 0.0), (1.8, 1.0)), queue=500.0, backend=backend)
    with opened(lane, link) as running:
        began = running.began
        times = send(lane, count=40, size=1500, gap=0.005, begin=began + 0.85, patience=1.0) - began
        report = running.report()
    assert len(times) == 40
    assert report.dropped_queue["down"] == 0
    # The kernel's bucket has one packet in hand when the outage begins.
    held = times[1:] if backend == "netem" else times
    assert np.min(held[:, 1]) >= 1.8 + LINK.delay / 1000
    assert (len(held) - 1) * 1500 * 8 / np.ptp(held[:, 1]) / 1e6 == pytest.approx(1.0, rel=RATE_TOLERANCE)


@backends
def test_the_queue_is_bounded_and_loss_has_its_share(lane, backend):
    # 300 ms of 1 Mbit/s: 25 packets.
    with opened(lane, replace(LINK, down=((0.0, 1.0),), backend=backend)) as running:
        assert len(send(lane, count=100, size=1500, patience=0.6)) == pytest.approx(26, abs=3)
        assert running.report().dropped_queue["down"] == pytest.approx(74, abs=3)
    with opened(lane, replace(LINK, loss=0.1, backend=backend)) as running:
        arrived = len(send(lane, count=1000, size=100, gap=0.0005, patience=0.5))
        assert arrived == pytest.approx(900, abs=60)
        assert running.report().dropped_loss["down"] == 1000 - arrived


STREAM_SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 9001))
print("ready", flush=True)
connection = listener.accept()[0]
print(connection.getsockopt(socket.IPPROTO_TCP, 13, 16).split(bytes(1))[0].decode(), flush=True)
connection.sendall(bytes(300_000))
connection.close()
"""
STREAM_CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 9001), timeout=20)
total = 0
while data := connection.recv(65536):
    total += len(data)
print(total)
"""


@backends
def test_tcp_runs_under_the_control_asked_for_in_packets_of_the_mtu_and_the_tap_has_them_all(lane, backend, tmp_path):
    lane.congestion("reno")
    with opened(lane, replace(LINK, backend=backend)) as running, capture(lane, tmp_path / "a.pcap") as tap:
        server = lane.popen(
            lane.server, [sys.executable, "-S", "-c", STREAM_SERVER, SERVER_ADDRESS], stdout=subprocess.PIPE
        )
        assert server.stdout.readline() == b"ready\n"
        done = lane.run(lane.client, [sys.executable, "-S", "-c", STREAM_CLIENT, SERVER_ADDRESS])
        assert done.stdout.strip() == "300000", done.stderr
        assert server.communicate(timeout=5)[0] == b"reno\n"
        time.sleep(0.3)
        captured = tap.stop()
        report = running.report()
    frames = list(read_frames(tmp_path / "a.pcap"))
    lengths = np.concatenate([frame.wire for frame in frames])
    assert captured.packets == len(lengths)
    assert captured.dropped_by_kernel == 0
    assert not (tmp_path / "a.pcap.log").exists()
    if backend == "relay":
        assert frames[0].link == 101
        assert len(lengths) == sum(report.packets.values())
        assert np.sum(lengths) == sum(report.bytes.values())
        assert lengths.max() == 1500
        assert max(np.diff(frame.offsets).max() for frame in frames) <= 96


def test_unknown_controls_and_backends_and_impossible_links_are_refused(lane):
    with pytest.raises(Unsupported, match="no congestion control 'vegetarian'"):
        lane.congestion("vegetarian")
    with pytest.raises(ValueError, match="'relay' or 'netem'"), open_link(lane, replace(LINK, backend="string")):
        pass
    with pytest.raises(ValueError, match="loss"), open_link(lane, replace(LINK, loss=1.0)):
        pass
    with pytest.raises(TapError, match="no link"), capture(lane, Path("nothing.pcap")):
        pass


def test_a_relay_that_dies_is_an_error_and_a_lane_can_have_another(lane):
    with opened(lane, LINK) as running:
        os.kill(running._process.pid, signal.SIGKILL)
        with pytest.raises(LinkError, match="status -9"):
            running.report()
    with opened(lane, LINK) as again:
        assert len(send(lane, count=3, size=500, patience=0.3)) == 3
    assert again.report().packets["down"] == 3
    assert DEVICE not in namespaces.ip("-n", lane.client, "-o", "link", "show").stdout


def test_processor_time_counts_children_of_children(lane):
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {busy!r}])"
    before = lane.cpu_seconds()
    assert lane.run(lane.client, [sys.executable, "-S", "-c", nested]).returncode == 0
    assert 0.35 <= lane.cpu_seconds() - before <= 2.0


def test_a_program_that_takes_too_long_is_ended_with_its_group(lane):
    with pytest.raises(subprocess.TimeoutExpired):
        lane.run(lane.client, ["sh", "-c", "sleep 50 & sleep 60"], timeout=0.3)
    # What was killed is gone once the kernel gets to it.
    deadline = time.monotonic() + 10
    while namespaces.members(lane.name) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert namespaces.members(lane.name) == []
