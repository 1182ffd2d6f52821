"""Real browsers and calls, in a lane."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from player_labels import label_call, label_streaming
from session import CLIENT_ADDRESS, SERVER_ADDRESS, Link, Session
from tests.datasets.player_settings import BROWSER_SETTINGS

PLAYERS = Path(__file__).resolve().parents[2] / "datasets" / "testbed" / "players"


def needs(*programs):
    """Skip unless this is root on a machine with these programs and TUN."""
    pytest.importorskip("cryptography", reason="make testbed installs it")
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("namespaces and TUN devices need root and /dev/net/tun")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} isn't installed")


def streaming_of(protocol, duration, buffer, down=((0.0, 3.0),)):
    link = Link(down=down, delay=15.0)
    given = {"protocol": protocol, "adaptation": "shaka", "clip": "street", "duration": duration, "buffer": buffer}
    return Session("test", "streaming", "chromium", link=link, **given)


def call_of(client, codec, duration):
    link = Link(down=((0.0, 3.0),), delay=15.0)
    given = {"adaptation": "none", "codec": codec, "duration": duration, "notes": {"camera_fps": 15}}
    return Session("test", "call", client, "webrtc", link, **given)


def play_session(script, session, media, folder, **more):
    """Run a session's player over a link of its own; return its log and ``flows_of`` its capture."""
    from lane import Lane
    from link import open_link
    from servers import serve
    from tap import capture

    with ExitStack() as stack:
        lane = stack.enter_context(Lane(90))
        stack.enter_context(open_link(lane, session.link))
        tap = stack.enter_context(capture(lane, folder / "capture.pcap"))
        config = {**session.as_dict(), "media": str(media), **more}
        if session.kind == "streaming":
            serving = serve(lane, media, session.clip, session.protocol, folder / "serving")
            config.update(stack.enter_context(serving).config())
        config["namespaces"] = {"client": lane.client, "server": lane.server}
        (folder / "config.json").write_text(json.dumps(config))
        command = [sys.executable, str(PLAYERS / script), str(folder / "config.json"), str(folder / "log.json")]
        place = lane.client if session.kind == "streaming" else None
        status = lane.popen(place, command, log=folder / "player.log").wait(session.duration + 80)
        assert status == 0, (folder / "player.log").read_text()
        tap.stop()
    return json.loads((folder / "log.json").read_text()), flows_of(folder / "capture.pcap")


def flows_of(path):
    """Return the first packet's unix second, and the set of (source, IP protocol, destination)."""
    from benchmark.capture.pcap import read_frames

    first, seen = math.inf, set()
    for frames in read_frames(path):
        first = min(first, int(frames.ts.min()) / 1e9)
        for start in frames.offsets[:-1]:
            header = frames.data[start : start + 24]
            source, target = (".".join(map(str, header[at : at + 4])) for at in (12, 16))
            seen.add((source, int(header[9]), target))
    return first, seen


def shaka():
    from versions import shaka_path

    given = Path(os.environ.get("SHAKA", shaka_path()))
    if not given.is_file():
        pytest.skip("shaka-player isn't installed (make testbed)")
    return str(given)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    needs("ffmpeg")
    from media import prepare_media

    folder = tmp_path_factory.mktemp("media")
    prepare_media(folder, ("street",), 36)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "server", "number"), [("h2", "nginx", 6), ("h3", "caddy", 17)])
def test_chromium_plays_a_film_and_nothing_else_is_on_the_link(film, tmp_path, protocol, server, number):
    needs("chromium", server, "tcpdump")
    pytest.importorskip("playwright")
    session = streaming_of(protocol, 10.0, 10.0)
    log, (first, flows) = play_session("chromium.py", session, film, tmp_path, shaka=shaka())
    assert log["protocol"] == protocol
    assert log["started"] > log["t0"]
    assert flows == {(CLIENT_ADDRESS, number, SERVER_ADDRESS), (SERVER_ADDRESS, number, CLIENT_ADDRESS)}
    # The first packet is the session's own, no connection made ahead of it.
    assert -0.05 < first - log["t0"] / 1000 < 3
    assert log["samples"][-1]["t"] - log["t0"] > 14_500
    labels = label_streaming(log, first, 5.0, 2)
    assert labels.rung[-1] >= 0
    assert 0 < labels.startup < 8
    for completed, name, size, took, requested in log["segs"]:
        path = film / "street" / name
        assert size == path.stat().st_size
        assert requested <= completed
        assert took <= completed - requested + 100


@pytest.mark.slow
def test_an_outage_counts_as_rebuffering_and_startup_does_not(film, tmp_path):
    needs("chromium", "nginx", "tcpdump")
    pytest.importorskip("playwright")
    session = streaming_of("h2", 36.0, 4.0, down=((0.0, 2.0), (20.0, 0.0), (34.0, 2.0)))
    log, _ = play_session("chromium.py", session, film, tmp_path, shaka=shaka())
    samples = log["samples"]
    at_start = next(sample for sample in samples if sample["t"] > log["started"])
    assert at_start["bt"] < 0.3
    assert 2 < samples[-1]["bt"] < 18
    assert samples[-1]["bt"] == pytest.approx(samples[-1]["stood"], abs=1.0)
    assert all(after["bt"] >= before["bt"] for before, after in pairwise(samples))


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_chromium_calls_chromium(tmp_path, codec):
    needs("chromium", "ffmpeg", "tcpdump")
    pytest.importorskip("playwright")
    log, (first, flows) = play_session("call.py", call_of("chromium", codec, 10.0), tmp_path, tmp_path)
    receiver, sender = log["client"][-1], log["server"][-1]
    assert receiver["in_video"]["codec"] == f"video/{codec}"
    assert sender["out_video"]["framesSent"] >= receiver["in_video"]["framesDecoded"] - 3
    assert {"totalEncodeTime", "qualityLimitationReason", "targetBitrate"} <= set(sender["out_video"])
    assert receiver["in_audio"]["packetsReceived"] > 100 < sender["in_audio"]["packetsReceived"]
    assert sender["in_video"]["framesDecoded"] > 50
    seconds = (sender["t"] - log["server"][4]["t"]) / 1000
    captured = (sender["source_video"]["frames"] - log["server"][4]["source_video"]["frames"]) / seconds
    assert captured <= 16
    # Multicast of the browser's own would make the first packet another's.
    assert {(source, target) for source, _, target in flows} == {
        (CLIENT_ADDRESS, SERVER_ADDRESS),
        (SERVER_ADDRESS, CLIENT_ADDRESS),
    }
    assert abs(first - log["t_connect"] / 1000) < 3
    labels = label_call(log, first, 1.0, 10)
    assert labels.fps[3:].max() > 3


@pytest.mark.slow
def test_aiortc_calls_aiortc(tmp_path):
    needs("tcpdump")
    pytest.importorskip("aiortc")
    log, (first, _) = play_session("call_aiortc.py", call_of("aiortc", "VP8", 8.0), tmp_path, tmp_path)
    labels = label_call(log, first, 1.0, 8)
    assert 5 < labels.fps[3:7].mean() < 18
    assert labels.height[5] == 360
    assert labels.bitrate[5] > 50_000
    sent = log["server"][-1]["out_video"]
    assert sent["framesSent"] >= log["client"][-1]["in_video"]["framesDecoded"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_player_killed_leaves_no_browser(tmp_path, number):
    needs("chromium", "ffmpeg")
    pytest.importorskip("playwright")
    config = {**BROWSER_SETTINGS, "protocol": "h2", "duration": 60.0, "offset": 0, "buffer": 10, "shaka": shaka()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(PLAYERS / "chromium.py"), str(tmp_path / "config.json"), str(tmp_path / "log.json")]
    # Not in a lane: what a lane would clear up must be gone by itself.
    player = subprocess.Popen(["unshare", "--net", *command], env=environment)
    try:
        assert wait_until(lambda: len(processes_with(tmp_path)) > 3)
        player.send_signal(number)
        player.wait(20)
        assert wait_until(lambda: not processes_with(tmp_path))
    finally:
        player.kill()
        player.wait()
    if number == signal.SIGTERM:
        assert not list(tmp_path.glob("tb-browser-*"))


def processes_with(folder):
    """Return the pids of Chromium's processes whose profile is within a folder."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        if b"chromium" in words and str(folder).encode() in words and b"tb-browser-" in words:
            found.append(int(entry))
    return found


def wait_until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return False
