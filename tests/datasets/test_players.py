"""The players that drive browsers and calls: what they ask for, what their logs say, what they leave behind."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

import browser
import call
import call_aiortc
import camera
import chromium
import running
from session import HOST, SERVER_ADDRESS
from tests.datasets.player_settings import BROWSER_SETTINGS


def test_the_first_estimate_is_log_uniform_and_the_seeds_own():
    estimates = [chromium.first_estimate(seed) for seed in range(400)]
    assert chromium.first_estimate(7) == chromium.first_estimate(7)
    assert all(chromium.ESTIMATES[0] <= estimate <= chromium.ESTIMATES[1] for estimate in estimates)
    middle = math.sqrt(math.prod(chromium.ESTIMATES))
    assert 160 < sum(estimate < middle for estimate in estimates) < 240


def test_http3_is_forced_and_http2_kept_by_flags():
    over_udp = chromium.browser_flags({**BROWSER_SETTINGS, "protocol": "h3"})
    over_tcp = chromium.browser_flags({**BROWSER_SETTINGS, "protocol": "h2"})
    assert f"--origin-to-force-quic-on={HOST}:443" in over_udp
    assert "--disable-quic" not in over_udp
    assert "--disable-quic" in over_tcp
    assert not any("force-quic" in flag for flag in over_tcp)
    assert f"--host-resolver-rules=MAP {HOST} {SERVER_ADDRESS},MAP * ~NOTFOUND,EXCLUDE {SERVER_ADDRESS}" in over_tcp


def test_a_calls_ends_get_their_own_cameras():
    server = call.end_settings({**BROWSER_SETTINGS, "notes": {"camera_fps": 20, "scene": "walk"}}, "server")
    client = call.end_settings(BROWSER_SETTINGS, "client")
    assert (server["width"], server["height"], server["fps"], server["scene"]) == (1280, 720, 20, "walk")
    assert (client["width"], client["height"], client["fps"]) == (320, 180, 15)
    assert server["codec"] == client["codec"] == "H264"
    assert server["maximum"] == 0 < client["maximum"]
    assert {call.end_settings({**BROWSER_SETTINGS, "seed": seed}, "server")["scene"] for seed in range(20)} == set(
        camera.SCENES
    )
    assert call.end_settings(BROWSER_SETTINGS, "server")["fps"] == 30


def test_an_unknown_codec_is_named():
    with pytest.raises(browser.BrowserError, match="VP7"):
        call.end_settings({**BROWSER_SETTINGS, "codec": "VP7"}, "server")


def test_an_unknown_scene_is_named(tmp_path):
    with pytest.raises(camera.CameraError, match="beach"):
        camera.prepare_camera(tmp_path, "beach", 360, 30)


def test_a_freeze_is_a_gap_far_over_the_mean():
    freezes = call_aiortc.Freezes()
    for number in range(30):
        freezes.show(number / 30)
    last = 29 / 30
    freezes.show(last + 0.15)
    assert freezes.count == 0
    freezes.show(last + 0.15 + 0.5)
    assert (freezes.count, round(freezes.seconds, 3)) == (1, 0.5)
    assert freezes.frames == 32


def test_a_player_writes_its_log_whole_or_not_at_all(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"seed": 3}')
    paths = [str(tmp_path / "config.json"), str(tmp_path / "log.json")]

    async def play(config):
        return {"told": config["seed"]}

    async def fail(config):
        raise browser.BrowserError("no picture")

    assert running.run_player(fail, paths, "usage") == 1
    assert "no picture" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert running.run_player(play, paths, "usage") == 0
    assert json.loads((tmp_path / "log.json").read_text()) == {"told": 3}
    assert running.run_player(play, paths[:1], "usage") == 2


def test_a_signal_lets_a_player_close_what_it_opened(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    closed = []

    async def play(config):
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(30)
        finally:
            closed.append(True)

    assert running.run_player(play, [str(tmp_path / "config.json"), str(tmp_path / "log.json")], "usage") == 143
    assert closed
    assert not (tmp_path / "log.json").exists()


def test_cpu_seconds_count_children_and_no_others():
    before = running.processor_seconds()
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        deadline = time.monotonic() + 20
        while running.processor_seconds(child.pid) < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        used = running.processor_seconds(child.pid)
        assert used >= 0.3
        assert running.processor_seconds() - before >= used - 0.05
    finally:
        child.kill()
        child.wait()


def test_left_over_folders_of_the_dead_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = subprocess.Popen(["true"])
    child.wait()
    dead, mine = tmp_path / f"tb-browser-{child.pid}-x", tmp_path / f"tb-browser-{os.getpid()}-x"
    for folder in (dead, mine):
        (folder / "profile").mkdir(parents=True)
    browser._sweep()
    assert not dead.exists()
    assert mine.exists()
