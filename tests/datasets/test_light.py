"""Whole sessions of the light player over a real link."""

import json
import os
import shutil
import statistics
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="make testbed installs it")
pytest.importorskip("h2", reason="make testbed installs it")

import cross
import media_bytes
import servers
from benchmark.errors import Unsupported
from session import Link, Session

TESTBED = Path(__file__).resolve().parents[2] / "datasets" / "testbed"
SLOW = 11  # a seed whose first estimate is low, so that playback begins soon
OUTAGE = 5.0


@dataclass
class Made:
    """What a session left."""

    log: dict
    cross: dict | None
    status: int
    began: float  # unix ms of the link's second 0


def make_sessions(folder, sessions):
    """Make the sessions side by side, each in a lane of its own; return what each left."""
    for tool in ("nginx", "ip", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing")
    if os.geteuid():
        pytest.skip("network namespaces need root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("/dev/net/tun is missing")
    media_bytes.prepare_bytes(folder / "media")
    made, failures = {}, []

    def make(index, session):
        try:
            made[session.name] = make_session(folder, index, session)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=item) for item in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failures:
        if isinstance(error, Unsupported):
            pytest.skip(str(error))
        raise error
    return made


def make_session(folder, index, session):
    """Make one session."""
    from lane import Lane
    from link import open_link

    place, media = folder / session.name, folder / "media"
    place.mkdir()
    with (
        Lane(index) as lane,
        servers.serve(lane, media, session.clip, "h2", place, cross=session.cross != "none") as serving,
        open_link(lane, session.link) as running,
    ):
        config = session.as_dict() | serving.config() | {"media": str(media)}
        if session.notes.get("stranger"):
            (place / "stranger").mkdir()
            config["certificate"] = str(servers.make_certificate(place / "stranger").path)
        (place / "config.json").write_text(json.dumps(config))

        def start(script, log):
            command = [sys.executable, str(TESTBED / script), str(place / "config.json"), str(place / log)]
            return lane.popen(lane.client, command, log=place / "players.out")

        player = start("players/light.py", "log.json")
        others = start("cross.py", "cross.json") if session.cross != "none" else None
        status = player.wait(session.duration + 30)
        if others is not None:
            others.stop()
    assert (place / "log.json").is_file(), (place / "players.out").read_text()
    others_log = json.loads((place / "cross.json").read_text()) if others is not None else None
    return Made(json.loads((place / "log.json").read_text()), others_log, status, 1000 * running.began)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    def session(name, down, **changes):
        wanted = {"clip": "bytes", "duration": 10.0, "offset": 41.0, "buffer": 8.0, "seed": SLOW, **changes}
        return Session(name, "streaming", "light", "h2", Link(down=down, delay=10.0), **wanted)

    outage = ((0.0, 12.0), (OUTAGE, 0.0), (OUTAGE + 9.5, 12.0))
    return make_sessions(
        tmp_path_factory.mktemp("sessions"),
        [
            session("outage", outage, adaptation="rate", duration=13.0),
            session("web", ((0.0, 4.0),), adaptation="buffer", cross="web"),
            session("bulk", ((0.0, 4.0),), adaptation="buffer", cross="bulk"),
            session("stranger", ((0.0, 4.0),), duration=0.5, notes={"stranger": True}),
        ],
    )


def test_a_session_is_played_and_logged(made):
    log = made["web"].log
    assert made["web"].status == 0
    assert log["client"] == "light-buffer"
    assert log["protocol"] == "h2"
    assert not [event for event in log["ev"] if event[1] == "error"]
    times = [sample["t"] for sample in log["samples"]]
    assert len(times) >= 40
    assert statistics.median(after - before for before, after in pairwise(times)) <= 500
    sizes = media_bytes.SIZES
    fetched = [segment for segment in log["segs"] if segment[1].startswith("c")]
    for completed, name, size, took, asked in fetched:
        rung, number = map(int, name.removeprefix("c").removesuffix(".m4s").split("-"))
        assert size == sizes[rung][number - 1]
        assert completed - asked == pytest.approx(took, abs=0.3)
    video = [int(name.split("-")[1].split(".")[0]) for _, name, *_ in fetched if name[1] != "6"]
    assert len(video) > 2
    assert video == [(10 + index) % 12 + 1 for index in range(len(video))]  # from 41 s on, over the film's end at 48 s
    assert any(name.startswith("c6") for _, name, *_ in fetched)
    last = log["samples"][-1]
    assert 41 < last["ct"] <= 41 + (last["t"] - log["started"]) / 1000 + 0.01


def test_an_outage_stalls_the_player_after_startup_and_no_request_is_given_up(made):
    log = made["outage"].log
    assert made["outage"].status == 0
    if log["started"] is None or log["started"] > made["outage"].began + 1000 * OUTAGE:
        pytest.skip("this machine is too busy: playback began after the outage")
    assert not [event for event in log["ev"] if event[1] == "error"]
    names = [event[1] for event in log["ev"]]
    assert names.index("stalled") > names.index("playing")
    assert names[-1] == "playing"
    assert log["samples"][-1]["stall"] > 0.5
    assert max(took for _, _, _, took, _ in log["segs"]) > 6000


def test_the_label_rule_reads_the_log(made):
    from player_labels import label_streaming

    log = made["outage"].log
    if log["started"] is None:
        pytest.skip("this machine is too busy: playback never began")
    labels = label_streaming({**log, "segs": [segment[:4] for segment in log["segs"]]}, log["t0"] / 1000, 2.0, 9)
    assert labels.rung[-1] in range(6)
    assert labels.startup == pytest.approx((log["started"] - log["t0"]) / 1000, abs=0.05)
    at_end = [sample["stall"] for sample in log["samples"] if sample["t"] <= log["t0"] + 18_000][-1]
    assert labels.stall.sum() == pytest.approx(at_end + labels.startup, abs=0.3)


def test_cross_traffic_comes(made):
    web, bulk = made["web"].cross, made["bulk"].cross
    assert web["errors"] == bulk["errors"] == []
    assert web["kind"] == "web"
    assert len(web["fetched"]) >= 8
    wanted = cross.draw_downloads(SLOW, 10.0, 4.0)
    assert sorted(size for _, size, *_ in bulk["fetched"]) == sorted(one.size for one in wanted)


def test_another_certificate_than_the_pinned_one_is_refused(made):
    stranger = made["stranger"]
    assert stranger.status == 1
    assert stranger.log["segs"] == []
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.log["ev"][0][2]


def test_a_server_that_cannot_start_says_why(tmp_path):
    if os.geteuid() or shutil.which("nginx") is None:
        pytest.skip("needs root and nginx")
    from lane import Lane

    media = tmp_path / "media"
    media_bytes.prepare_bytes(media)
    with Lane(0) as lane, servers.serve(lane, media, "bytes", "h2", tmp_path / "one"):
        for clip, protocol, reason in (
            ("bytes", "h2", "another server has"),
            ("bytes", "h1", "no server speaks 'h1'"),
            ("absent", "h2", "there is no film"),
        ):
            with (
                pytest.raises(servers.ServerError, match=reason),
                servers.serve(lane, media, clip, protocol, tmp_path / "two"),
            ):
                pass


def test_http3_is_served(tmp_path):
    if os.geteuid() or shutil.which("caddy") is None:
        pytest.skip("needs root and caddy")
    from lane import Lane

    media_bytes.prepare_bytes(tmp_path / "media")
    with Lane(0) as lane:
        with servers.serve(lane, tmp_path / "media", "bytes", "h3", tmp_path / "one", cross=True):
            table = lane.run(lane.server, ["cat", "/proc/net/udp"]).stdout
            assert servers.is_bound(table, "10.77.0.1", 443)
        table = lane.run(lane.server, ["cat", "/proc/net/udp"]).stdout
        assert not servers.is_bound(table, "10.77.0.1", 443)
