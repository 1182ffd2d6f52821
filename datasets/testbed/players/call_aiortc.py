"""A call without browsers: aiortc to aiortc, for plans that must be small.

    python players/call_aiortc.py CONFIG.json LOG.json       in the root namespace; both ends start in the session's two

The server's end sends a moving picture, both send sound (silence, as Opus frames). aiortc's rate follows the receiver's
estimate (REMB); it never lowers the picture's height or frame rate. The receiver's counters have WebRTC's names:
bytesReceived is of RTP payloads, and a freeze is a gap between frames as the statistics' identifiers define it
(https://www.w3.org/TR/webrtc-stats, freezeCount). ``notes`` of a session: camera_fps (30).
"""

from __future__ import annotations

import asyncio
import fractions
import json
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from camera import picture_width
from running import processor_seconds, run_player

AFTER = 6.0
PERIOD = 0.2
ANSWER = 30.0
CAMERA_FPS = 30
CODECS = ("VP8", "H264")
NICE = "-5"
_PEER = "--peer"
_CLOCK = 90_000
_LOOP = 60


class CallError(Exception):
    """The call can't be made, or an end of it failed."""


class Freezes:
    """Counts frames as they are shown, and WebRTC's freezes: gaps over 3 mean gaps and over the mean gap + 150 ms."""

    def __init__(self) -> None:
        self.frames = 0
        self.count = 0
        self.seconds = 0.0
        self._last: float | None = None
        self._gaps: deque[float] = deque(maxlen=30)

    def show(self, now: float) -> None:
        """Take note of a frame shown at ``now``, seconds."""
        self.frames += 1
        if self._last is not None:
            gap = now - self._last
            mean = sum(self._gaps) / len(self._gaps) if self._gaps else gap
            if len(self._gaps) > 1 and gap >= max(3 * mean, mean + 0.15):
                self.count += 1
                self.seconds += gap
            self._gaps.append(gap)
        self._last = now


async def play(config: dict[str, Any]) -> dict[str, Any]:
    """Hold the call; return its log. Raises CallError if an end fails."""
    codec = config["codec"] or CODECS[0]
    if codec not in CODECS:
        raise CallError(f"there is no codec '{codec}' for calls (there are {', '.join(CODECS)})")
    ends: dict[str, asyncio.subprocess.Process] = {}
    try:
        for end in ("client", "server"):
            command = ["setpriv", "--pdeathsig", "KILL", "nice", "-n", NICE]
            command += ["ip", "netns", "exec", config["namespaces"][end], sys.executable, __file__, _PEER]
            pipe = asyncio.subprocess.PIPE
            ends[end] = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 24)
            await _tell(ends[end], {"end": end, "codec": codec, **config})
        offer = await _hear(ends["server"], ANSWER)
        await _tell(ends["client"], offer)
        await _tell(ends["server"], await _hear(ends["client"], ANSWER))
        patience = float(config["duration"]) + AFTER + ANSWER
        logs = dict(zip(ends, await asyncio.gather(*(_hear(end, patience) for end in ends.values())), strict=True))
        used = processor_seconds()
    finally:
        for process in ends.values():
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if logs["client"]["connected"] is None:
        raise CallError(f"the call didn't connect: {logs['client']['state']}")
    return {
        "codec": codec,
        "t_connect": logs["client"]["connected"],
        "client": logs["client"]["samples"],
        "server": logs["server"]["samples"],
        "asked_fps": camera_fps(config),
        "state": {end: log["state"] for end, log in logs.items()},
        "cpu": used,
    }


def camera_fps(config: Mapping[str, Any]) -> int:
    """Return the camera's frames a second."""
    return int((config.get("notes") or {}).get("camera_fps", CAMERA_FPS))


async def _tell(process: asyncio.subprocess.Process, message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    await process.stdin.drain()


async def _hear(process: asyncio.subprocess.Process, patience: float) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), patience)
    except TimeoutError as error:
        raise CallError(f"an end of the call said nothing for {patience:.0f} s") from error
    if not line:
        raise CallError(f"an end of the call ended with status {await process.wait()}")
    heard: dict[str, Any] = json.loads(line)
    return heard


def make_pictures(height: int, seed: int) -> list[Any]:
    """Return ``_LOOP`` raw pictures of a texture that moves, uint8 [3 * height / 2, width] (planar 4:2:0)."""
    import numpy as np

    width = picture_width(height)
    chance = np.random.default_rng(seed)
    coarse = chance.integers(40, 215, (height // 8 + 1, width // 8 + 1), np.uint8)
    texture = np.kron(coarse, np.ones((8, 8), np.uint8))[:height, :width]
    pictures = []
    for number in range(_LOOP):
        luma = np.roll(texture, (2 * number, 4 * number), (0, 1)) + chance.integers(0, 12, (height, width), np.uint8)
        chroma = np.full((height // 2, width), 128, np.uint8)
        pictures.append(np.concatenate([luma, chroma]))
    return pictures


async def _be_peer() -> None:
    """Be one end: configuration and descriptions come by standard input, descriptions and log go to standard output."""
    from aiortc import (
        AudioStreamTrack,
        MediaStreamTrack,
        RTCConfiguration,
        RTCPeerConnection,
        RTCRtpSender,
        RTCSessionDescription,
    )
    from av import VideoFrame

    loop = asyncio.get_running_loop()

    async def hear() -> dict[str, Any]:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        heard: dict[str, Any] = json.loads(line)
        return heard

    config = await hear()
    sends = config["end"] == "server"

    class Camera(MediaStreamTrack):
        """The moving picture, at the camera's frame rate."""

        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self.frames = 0
            self._number = 0
            self._began = 0.0
            self._fps = camera_fps(config)
            self._pictures = make_pictures(int(config["height"]), int(config["seed"]))

        async def recv(self) -> Any:
            """Return the next frame when it's due; frames that are overdue are left out."""
            now = time.monotonic()
            self._began = self._began or now
            number = max(self._number + 1, int((now - self._began) * self._fps)) if self.frames else 0
            await asyncio.sleep(max(0.0, self._began + number / self._fps - now))
            self._number = number
            self.frames += 1
            frame = VideoFrame.from_ndarray(self._pictures[number % _LOOP], format="yuv420p")
            frame.pts = number * _CLOCK // self._fps
            frame.time_base = fractions.Fraction(1, _CLOCK)
            return frame

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    freezes, bytes_received = Freezes(), [0]
    state: list[list[Any]] = []
    samples: list[dict[str, Any]] = []
    connected: list[float] = []
    tasks = []
    height = [0]

    @peer.on("connectionstatechange")
    def change() -> None:
        state.append([_now(), peer.connectionState])
        if peer.connectionState == "connected":
            connected.append(_now())

    async def show(track: Any) -> None:
        while True:
            frame = await track.recv()
            if track.kind == "video":
                height[0] = frame.height
                freezes.show(time.monotonic())

    @peer.on("track")
    def take(track: Any) -> None:
        tasks.append(asyncio.ensure_future(show(track)))

    camera = Camera() if sends else None
    peer.addTrack(AudioStreamTrack())
    if camera is not None:
        peer.addTrack(camera)
        wanted = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.name in (config["codec"], "rtx")]
        peer.getTransceivers()[-1].setCodecPreferences(wanted)
        await peer.setLocalDescription(await peer.createOffer())
        _say({"sdp": peer.localDescription.sdp, "type": "offer"})
        await peer.setRemoteDescription(RTCSessionDescription(**await hear()))
    else:
        await peer.setRemoteDescription(RTCSessionDescription(**await hear()))
        for transceiver in peer.getTransceivers():
            if transceiver.kind == "video":
                _count_bytes(transceiver.receiver, bytes_received)
        await peer.setLocalDescription(await peer.createAnswer())
        _say({"sdp": peer.localDescription.sdp, "type": "answer"})
    end = time.monotonic() + float(config["duration"]) + AFTER
    while time.monotonic() < end:
        await asyncio.sleep(PERIOD)
        sample: dict[str, Any] = {"t": _now(), "pair": {}}
        for entry in (await peer.getStats()).values():
            if entry.type == "inbound-rtp":
                kept = ("packetsReceived", "packetsLost", "jitter")
                sample[f"in_{entry.kind}"] = {name: getattr(entry, name) for name in kept}
            elif entry.type == "outbound-rtp":
                sample[f"out_{entry.kind}"] = {"packetsSent": entry.packetsSent, "bytesSent": entry.bytesSent}
        if "in_video" in sample:
            sample["in_video"].update(
                framesDecoded=freezes.frames,
                framesReceived=freezes.frames,
                bytesReceived=bytes_received[0],
                frameHeight=height[0],
                freezeCount=freezes.count,
                totalFreezesDuration=round(freezes.seconds, 3),
            )
        if camera is not None and "out_video" in sample:
            sample["out_video"].update(framesSent=camera.frames, frameHeight=int(config["height"]))
        samples.append(sample)
    _say({"state": state, "samples": samples, "connected": connected[0] if connected else None})
    # The other process ends both; leaving first would show on the link as unreachable ports.
    await asyncio.sleep(ANSWER)


def _count_bytes(receiver: Any, counted: list[int]) -> None:
    """Count the payload bytes that a receiver takes, which aiortc's own statistics leave out."""
    handle = receiver._handle_rtp_packet

    async def count(packet: Any, arrival_time_ms: int) -> None:
        counted[0] += len(packet.payload)
        await handle(packet, arrival_time_ms)

    receiver._handle_rtp_packet = count


def _now() -> int:
    return round(1000 * time.time())


def _say(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the call that the configuration describes, or be one end of it; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == [_PEER]:
        asyncio.run(_be_peer())
        return 0
    return run_player(play, given, str(__doc__))


if __name__ == "__main__":
    sys.exit(main())
