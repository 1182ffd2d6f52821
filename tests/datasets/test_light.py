"""The light player: its rules and its buffer on cases worked out by hand, and whole sessions over a real link."""

import json
import math
import os
import shutil
import statistics
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "datasets" / "testbed"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "datasets" / "testbed" / "players"))

pytest.importorskip("cryptography", reason="make testbed installs it")
pytest.importorskip("h2", reason="make testbed installs it")

import cross
import media_bytes
import servers
from adaptation import Occupancy, Throughput, first_estimate, highest_within, make_adaptation
from buffer import AUDIO, RESUME, START, VIDEO, Buffer
from session import Link, Session

from benchmark.errors import Unsupported

TESTBED = Path(__file__).resolve().parents[2] / "datasets" / "testbed"
SLOW = 11  # a seed whose first estimate is low, so that playback begins soon
OUTAGE = 5.0
BITS = (1e6, 2e6, 3e6, 5e6)


# The adaptations


def test_throughput_is_a_harmonic_mean_of_the_last_samples():
    rule = Throughput(BITS, estimate=1e7, safety=0.8, memory=2)
    assert rule.choose(0.0) == 3
    for sample in (9e9, 2e6, 6e6):
        rule.measured(sample)
    assert rule.estimate() == pytest.approx(2 / (1 / 2e6 + 1 / 6e6))
    assert rule.choose(100.0) == 1  # 0.8 of 3 Mbit/s
    rule.measured(0.0)
    assert rule.estimate() == pytest.approx(3e6)


def test_occupancy_follows_the_paper_once_it_started():
    rule = Occupancy(BITS, estimate=0.0, room=40.0, segment=4.0)  # the map runs from 15 s (1 Mbit/s) to 36 s (5 Mbit/s)
    rule.measured(1e9)
    assert rule.choose(0.0) == 0
    assert rule.choose(15.0) == 0
    assert rule.choose(20.2) == 0  # 1.99 Mbit/s: not yet the next rung
    assert rule.choose(20.3) == 1
    assert rule.choose(30.8) == 2  # 4.01 Mbit/s
    assert rule.choose(21.0) == 2  # 2.14 Mbit/s: not yet down to the rung before
    assert rule.choose(20.2) == 1  # 1.99 Mbit/s: the lowest rung of at least that
    assert rule.choose(36.0) == 3
    assert rule.choose(14.0) == 0


def test_occupancy_holds_its_first_rung_while_the_buffer_rises():
    rule = Occupancy(BITS, estimate=5e6, room=40.0, segment=4.0)
    assert [rule.choose(level) for level in (0.0, 4.0, 8.0, 12.0)] == [2, 2, 2, 2]
    assert rule.choose(11.0) == 0
    assert rule.choose(14.0) == 0
    stuck = Occupancy(BITS, estimate=5e6, room=40.0, segment=4.0)
    assert [stuck.choose(level) for level in (0.0, 4.0, 4.0)] == [2, 2, 0]


def test_occupancy_takes_no_segment_that_would_empty_the_buffer():
    rule = Occupancy(BITS, estimate=1e6, room=8.0, segment=4.0)
    rule.measured(1e6)
    assert rule.choose(8.0) == 0  # at 0.7 Mbit/s, 8 s bring 5.6 Mbit, less than a segment of the rung above
    fast = Occupancy(BITS, estimate=1e6, room=8.0, segment=4.0)
    fast.measured(2.2e6)
    assert fast.choose(8.0) == 2  # 12.3 Mbit


def test_adaptations_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match="no adaptation 'magic'"):
        make_adaptation("magic", BITS, 1e6, 8.0, 4.0)
    with pytest.raises(ValueError, match="ascend"):
        make_adaptation("rate", (2e6, 1e6), 1e6, 8.0, 4.0)
    with pytest.raises(ValueError, match="no room"):
        make_adaptation("buffer", BITS, 1e6, 0.0, 4.0)


@given(st.lists(st.floats(1e3, 1e8), min_size=1, max_size=8), st.floats(1, 1e8))
def test_throughput_never_exceeds_its_safe_share(samples, estimate):
    rule = Throughput(BITS, estimate)
    for sample in samples:
        rule.measured(sample)
    rung = rule.choose(0.0)
    assert rung == 0 or BITS[rung] <= 0.8 * max(samples)
    assert highest_within(BITS, 0.0) == 0


def config(**changes):
    link = Link(down=((0.0, 2.0), (30.0, 4.0)))
    return Session("s", "streaming", "light", "h2", link, **changes).as_dict()


def test_first_estimate_is_the_links_mean_mistaken_without_bias():
    steps = ((0.0, 2.0), (30.0, 4.0), (60.0, 99.0))
    estimates = [first_estimate(steps, 60.0, seed) for seed in range(400)]
    assert statistics.median(estimates) == pytest.approx(3e6, rel=0.15)
    assert statistics.stdev(map(math.log, estimates)) == pytest.approx(0.5, rel=0.15)
    assert first_estimate(steps, 60.0, 3) == estimates[3]


# The buffer


def fill(buffer, now, *tracks, height=360):
    for track in tracks:
        buffer.append(track, now, height)


def test_playback_starts_with_enough_of_picture_and_sound():
    buffer = Buffer(offset=10.0, segment=4.0, goal=30.0)  # the first segment, from 8 s, leaves 2 s of it
    assert buffer.next_segment(VIDEO) == 2
    fill(buffer, 1.0, VIDEO, AUDIO)
    assert buffer.state(1.5).playing is False
    assert buffer.state(1.5).height == 0
    fill(buffer, 2.0, VIDEO)
    assert buffer.started is None
    fill(buffer, 3.0, AUDIO)
    assert buffer.started == 3.0
    state = buffer.state(5.0)
    assert (state.playhead, state.ahead, state.stalled, state.played) == (12.0, 4.0, 0.0, 2.0)
    assert START < 4.0 < RESUME


def test_a_dry_buffer_stalls_and_resumes_after_the_stated_amount():
    buffer = Buffer(offset=0.0, segment=4.0, goal=30.0)
    fill(buffer, 0.0, VIDEO, AUDIO, height=240)
    state = buffer.state(6.0)
    assert (state.playhead, state.stalled, state.playing, state.height) == (4.0, 2.0, False, 240)
    fill(buffer, 7.0, VIDEO, AUDIO, height=720)
    assert buffer.state(8.0).playing is False  # 4 s are less than RESUME
    fill(buffer, 9.0, VIDEO, AUDIO)
    state = buffer.state(10.0)
    assert (state.playhead, state.stalled, state.playing, state.height) == (5.0, 5.0, True, 720)
    assert [(at, name) for at, name, _ in buffer.events] == [(0.0, "playing"), (4.0, "stalled"), (9.0, "playing")]


def test_a_goal_below_two_segments_still_plays():
    buffer = Buffer(offset=0.0, segment=4.0, goal=1.0)
    assert (buffer.goal, buffer.room) == (8.0, 4.0)
    fill(buffer, 0.0, VIDEO, AUDIO)
    buffer.advance(10.0)
    fill(buffer, 10.0, VIDEO, AUDIO)
    assert buffer.state(10.0).playing  # RESUME wouldn't fit
    with pytest.raises(ValueError, match="no playback"):
        Buffer(-1.0, 4.0, 30.0)


@given(
    st.floats(0, 500),
    st.floats(8, 60),
    st.lists(st.tuples(st.sampled_from([VIDEO, AUDIO]), st.floats(0.01, 9)), max_size=60),
)
def test_no_second_is_lost(offset, goal, fetches):
    buffer = Buffer(offset, 4.0, goal)
    now = 0.0
    for track, took in fetches:
        now += took
        buffer.advance(now)
        if buffer.wait(track) == 0:
            buffer.append(track, now, 360)
            assert buffer.level(track) <= buffer.goal + 1e-6
        state = buffer.state(now)
        if buffer.started is not None:
            assert state.played + state.stalled == pytest.approx(now - buffer.started, abs=1e-6)
        else:
            assert state.played == state.stalled == state.height == 0
        assert state.ahead >= 0


# Media of random bytes, cross traffic, servers


def test_the_film_of_bytes_is_laid_out_as_a_real_one(tmp_path):
    film = media_bytes.prepare_bytes(tmp_path)
    ladder = json.loads((film / "ladder.json").read_text())
    assert [len(sizes) for sizes in ladder["sizes"]] == [12] * 7
    assert ladder["bits"][:6] == sorted(ladder["bits"][:6])
    for representation, sizes in enumerate(ladder["sizes"]):
        for number, size in enumerate(sizes, start=1):
            assert (film / f"c{representation}-{number}.m4s").stat().st_size == size
    assert (film / "manifest.mpd").read_text().count("<Representation ") == 7
    before = (film / "ladder.json").stat().st_mtime_ns
    media_bytes.prepare_bytes(tmp_path)
    assert (film / "ladder.json").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["bytes"]


def test_pages_are_seeded_and_of_the_stated_sizes():
    def pages(seed):
        drawn = cross.draw_pages(seed)
        return [next(drawn) for _ in range(300)]

    assert pages(1) == pages(1) != pages(2)
    sizes = [size for _, page in pages(1) for size in page]
    assert all(8 <= len(page) <= 25 for _, page in pages(1))
    assert statistics.median(sizes) == pytest.approx(15_000, rel=0.1)
    assert max(sizes) <= 1_000_000
    assert statistics.mean(think for think, _ in pages(1)) == pytest.approx(8.0, rel=0.2)


def test_downloads_are_modest():
    wide = [cross.draw_downloads(seed, 60.0, 1000.0) for seed in range(200)]
    assert {len(downloads) for downloads in wide} == {1, 2}
    assert all(1e6 <= one.size <= 8e6 and 0 < one.begin < 60 for downloads in wide for one in downloads)
    for downloads in (cross.draw_downloads(seed, 60.0, 1.0) for seed in range(50)):
        assert sum(one.size for one in downloads) <= 0.25 * 60e6 / 8 + 2
    assert cross.mean_rate(config(duration=40.0)) == pytest.approx(2.5)


def test_a_bound_port_is_found_in_the_kernels_table():
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 01004D0A:01BB 00000000:0000 0A 00000000:00000000\n"
        "   1: 01004D0A:20FB 02004D0A:9999 01 00000000:00000000\n"
    )
    assert servers.is_bound(table, "10.77.0.1", 443)
    assert not servers.is_bound(table, "10.77.0.1", 8443)
    assert not servers.is_bound(table, "10.77.0.2", 443)


def test_a_certificate_is_pinned_by_its_public_key(tmp_path):
    first, again = servers.make_certificate(tmp_path), servers.make_certificate(tmp_path)
    assert len(first.spki) == 44
    assert first.spki != again.spki
    assert first.key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(servers.ServerError, match="can't be told"):
        servers.nginx_config(tmp_path / 'a"b', "films", tmp_path, again, 443)


# Whole sessions


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
