"""The emulated link: its arithmetic on cases worked out by hand, and what each backend gives of what was asked for,
between real namespaces; the tap; and that nothing is left behind, however a lane's process ends."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "datasets" / "testbed"))

from lane import Lane
from link import DEVICE, LinkError, LinkReport, namespaces, open_link
from link.relay import Lateness
from link.schedule import QUEUE_FLOOR, Direction, Rate
from session import CLIENT_ADDRESS, SERVER_ADDRESS, Link
from tap import TapError, capture

from benchmark.capture.pcap import read_frames
from benchmark.errors import Unsupported

TESTBED = Path(namespaces.__file__).parents[1]
# What a backend may miss of what was asked: a share of the rate, ms of the delay (a busy machine wakes late).
RATE_TOLERANCE = 0.05
DELAY_TOLERANCE = 3.0
# Bytes of a UDP packet beside its payload.
HEADERS = 28


# --- the arithmetic ---


def test_a_packet_takes_its_size_over_the_rate():
    assert Rate([(0, 1)]).finish(2.0, 1250) == pytest.approx(2.01)


def test_a_packet_that_straddles_a_step_leaves_at_both_rates():
    # 2500 bytes at 1 Mbit/s from 0.99 s: half by 1.0 s, the other half at 2 Mbit/s in 5 ms.
    assert Rate([(0, 1), (1, 2)]).finish(0.99, 2500) == pytest.approx(1.005)


def test_an_outage_holds_a_packet_and_its_buffer():
    rate = Rate([(0, 1), (1, 0), (3, 1)])
    assert rate.nominal(2.0) == 125_000
    assert rate.finish(1.5, 1250) == pytest.approx(3.01)
    assert Rate([(0, 1), (1, 0)]).finish(2.0, 1) == math.inf
    assert Rate([(0, 0), (1, 4)]).nominal(0.5) == 500_000


@pytest.mark.parametrize(
    "steps", [[], [(1, 5)], [(0, 5), (0, 6)], [(0, 5), (2, 1), (1, 1)], [(0, -1)], [(0, math.inf)]]
)
def test_steps_that_arent_steps_are_refused(steps):
    with pytest.raises(ValueError, match="rate's steps"):
        Rate(steps)


def direction(steps=((0, 1),), delay=0.0, queue=1000.0, loss=0.0, seed=0):
    return Direction(steps, delay, queue, loss, seed)


def test_packets_queue_one_behind_the_other_and_then_travel():
    way = direction(delay=30.0)
    assert [way.accept(0.0, 1250) for _ in range(3)] == pytest.approx([0.04, 0.05, 0.06])
    assert way.accept(1.0, 1250) == pytest.approx(1.04)
    assert (way.packets, way.bytes) == (4, 5000)


def test_the_queue_holds_its_time_at_the_rate_of_the_moment():
    # 400 ms: 50 000 bytes at 1 Mbit/s, 25 000 at half of it.
    way = direction(queue=400.0)
    assert sum(way.accept(0.0, 1000) is not None for _ in range(60)) == 50
    way = direction([(0, 1), (1, 0.5)], queue=400.0)
    assert sum(way.accept(1.0, 1000) is not None for _ in range(60)) == 25
    assert way.dropped_queue == 35
    # As 20 of them leave, there is room for 20 more.
    assert sum(way.accept(1.0 + 0.325, 1000) is not None for _ in range(60)) == 20


def test_the_queue_never_holds_less_than_its_floor():
    way = direction([(0, 0.25)], queue=10.0)
    assert sum(way.accept(0.0, 1500) is not None for _ in range(50)) == QUEUE_FLOOR // 1500


def test_loss_is_random_and_seeded():
    ways = [direction([(0, 1000)], loss=0.1, seed=seed) for seed in (1, 1, 2)]
    fates = [[way.accept(index / 1000, 100) is None for index in range(10_000)] for way in ways]
    assert fates[0] == fates[1] != fates[2]
    assert sum(fates[0]) == ways[0].dropped_loss == pytest.approx(1000, abs=120)


packets = st.lists(st.tuples(st.floats(0, 0.5), st.integers(20, 1500)), min_size=1, max_size=60)
steps = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 12)), max_size=5)


@given(packets=packets, steps=steps, first=st.floats(0.25, 12))
def test_no_order_is_broken_and_no_rate_exceeded(packets, steps, first):
    times = np.cumsum([0.0, *(length for length, _ in steps)])
    rates = np.array([first, *(rate for _, rate in steps)])
    way = direction(list(zip(times.tolist(), rates.tolist(), strict=True)), delay=7.0, queue=1e6)

    def carried(start, end):
        edges = np.append(times, np.inf)
        lengths = np.clip(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
        return float(np.sum(lengths * rates)) * 125_000

    arrival, last = 0.0, 0.0
    for gap, size in packets:
        arrival += gap
        due = way.accept(arrival, size)
        left = due - 0.007
        assert left >= last
        if left < math.inf:
            assert carried(max(arrival, last), left) == pytest.approx(size, rel=1e-6, abs=1e-3)
        last = left


def test_lateness_is_summed_up():
    lateness = Lateness()
    for milliseconds in [0.01] * 98 + [6.0, 300.0]:
        lateness.add(milliseconds / 1000)
    summary = lateness.summary()
    assert summary["lateness_mean_ms"] == pytest.approx((0.98 + 306) / 100)
    assert summary["lateness_p99_ms"] == pytest.approx(6.05, abs=0.051)
    assert summary["lateness_max_ms"] == pytest.approx(300)
    assert summary["late_share"] == pytest.approx(0.02)
    assert Lateness().summary() == dict.fromkeys(summary, 0.0)


def test_a_report_leaves_out_what_its_backend_cant_tell():
    assert "late_share" not in LinkReport("netem").as_dict()
    assert LinkReport("relay", late_share=0.0).as_dict()["late_share"] == 0.0


def test_only_lanes_of_dead_processes_are_left_over(tmp_path, monkeypatch):
    monkeypatch.setattr(namespaces, "FOLDER", tmp_path)
    pid, start = os.getpid(), namespaces.started(os.getpid())
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = [f"{namespaces.lane_name(3)}-client", "other", f"tb-{pid}-{start}-1", "tb-notes-1-client"]
    gone = [f"tb-{dead.pid}-77-0-client", f"tb-{dead.pid}-77-0-server", f"tb-{pid}-{start - 1}-2-server"]
    for name in kept + gone:
        (tmp_path / name).touch()
    assert namespaces.left_over() == sorted([f"tb-{dead.pid}-77-0", f"tb-{pid}-{start - 1}-2"])


# --- between namespaces ---


def needs_namespaces():
    if os.geteuid():
        pytest.skip("network namespaces need root")
    try:
        with Lane(90):
            pass
    except (Unsupported, OSError) as error:
        pytest.skip(str(error))


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


# --- nothing is left ---

PARENT = """
import os, signal, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from lane import Lane
from link import open_link
from session import Link
with Lane(int(sys.argv[2])) as lane, open_link(lane, Link(down=((0, 5),))):
    lane.popen(lane.client, ["sleep", "100"])
    lane.popen(None, ["setsid", "sh", "-c", "sleep 101 & trap '' TERM INT; sleep 102; sleep 103"])
    lane.popen(lane.server, ["setsid", "env", "-i", "sleep", "104"])
    time.sleep(0.2)
    print(lane.name, lane._keeper.pid, flush=True)
    sys.stdin.readline()
    if sys.argv[3] == "error":
        raise RuntimeError("meant")
"""


@contextlib.contextmanager
def parent(index, ending=""):
    needs_namespaces()
    argv = [sys.executable, "-c", PARENT, str(TESTBED), str(index), ending]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        words = process.stdout.readline().decode().split()
        assert words, process.stderr.read().decode()
        yield process, words[0], int(words[1])
    finally:
        process.kill()
        process.communicate()


def left_of(lane, patience=8.0):
    """Return the processes and namespaces of a lane that are left after a while."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        names = [name for name in namespaces.names_of(lane) if (namespaces.FOLDER / name).exists()]
        left = [*namespaces.members(lane), *names]
        if not left:
            break
        time.sleep(0.02)
    return left


@pytest.mark.parametrize("ending", ["normal", "error", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_any_end(ending):
    bystander = subprocess.Popen(["sleep", "30"])
    try:
        with parent(92, str(ending)) as (process, lane, _):
            # The relay, three programs of the client's and server's, and two below the shell.
            assert len(namespaces.members(lane)) >= 5
            if isinstance(ending, signal.Signals):
                process.send_signal(ending)
            else:
                process.stdin.write(b"\n")
                process.stdin.flush()
            process.wait(timeout=10)
            assert left_of(lane) == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_later_start_sweeps_what_is_left_when_the_keeper_is_killed_too():
    with parent(93) as (process, lane, keeper):
        Lane.sweep()
        assert (namespaces.FOLDER / f"{lane}-client").exists()
        os.kill(keeper, signal.SIGKILL)
        process.kill()
        process.wait()
        assert lane in Lane.sweep()
        assert left_of(lane, patience=1.0) == []
