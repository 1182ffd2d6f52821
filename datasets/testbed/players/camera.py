"""The cameras of calls: short synthetic films of raw pictures that a browser plays in a loop as its camera.

A file is made once by ffmpeg and kept. Raw pictures cost a browser no decoding, and say their own frame rate, which
a fake camera of Motion JPEG doesn't. The pictures move, and have a sensor's noise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SECONDS = 6
SCENES = ("talk", "walk")
FOLDER = "cameras"
# A head before a still wall, and a handheld camera that sweeps over a wide picture: at 360 lines and 30 frames a second
# about 0.7 and 1.7 Mbit/s of VP8 at a good quality.
_GRAPHS = {
    "talk": (
        "color=c=0x384858:size=640x360:rate={fps}[wall];testsrc2=size=200x240:rate={fps}[head];"
        "[wall][head]overlay=x='220+60*sin(2*PI*t/3)':y='90+20*sin(4*PI*t/3)'[scene]"
    ),
    "walk": ("testsrc2=size=960x540:rate={fps},crop=640:360:x='160+150*sin(2*PI*t/3)':y='90+80*cos(2*PI*t/2)'[scene]"),
}
_NOISE = 3


class CameraError(Exception):
    """A camera's film can't be made."""


def prepare_camera(media: Path, scene: str, height: int, fps: int) -> Path:
    """Return the film of a camera of ``height`` lines, 16:9, at ``fps`` frames a second; make it where it's missing."""
    if scene not in SCENES:
        raise CameraError(f"there is no scene '{scene}' (there are {', '.join(SCENES)})")
    path = media / FOLDER / f"{scene}-{height}-{fps}.y4m"
    if path.is_file():
        return path
    if shutil.which("ffmpeg") is None:
        raise CameraError("ffmpeg is missing: apt-get install ffmpeg")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    graph = _GRAPHS[scene].format(fps=fps)
    graph += f";[scene]scale={picture_width(height)}:{height},noise=alls={_NOISE}:allf=t:all_seed=1,format=yuv420p"
    command = ["ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-filter_complex", graph]
    command += ["-t", str(SECONDS), "-r", str(fps), "-f", "yuv4mpegpipe", str(aside)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CameraError(f"ffmpeg failed on {path.name}: {done.stderr.strip()[-500:]}")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def picture_width(height: int) -> int:
    """Return the even width of a 16:9 picture."""
    return 2 * round(height * 8 / 9)
