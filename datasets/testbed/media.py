"""The films: synthetic pictures encoded by ffmpeg as a ladder of DASH segments.

    python datasets/testbed/media.py MEDIA      makes every film that MEDIA lacks (minutes of two cores)

MEDIA/CLIP/ has manifest.mpd, i<R>.m4s (init segments), c<R>-<N>.m4s (segment N, from 1) and ladder.json, R = 0 to 5 for
the video's rungs and 6 for the sound. Pictures and sound come from ffmpeg's own sources, so nobody's rights are
touched; the four films differ in how much moves and how much noise there is, so that segments of one rung do too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from session import HEIGHTS

SECONDS = 168
FRAMES = 24
SEGMENT = 4
KILOBITS = (150, 300, 700, 1300, 2600, 5000)
SOUND_KILOBITS = 96
AUDIO = len(HEIGHTS)

_SIZE = "size=960x540:rate=24"
_LIFE = "size=320x180:rate=24:mold=12:ratio=0.15:death_color=#204060:life_color=#e0f080"


def _noise(strength: int, when: str) -> str:
    """Return a filter that adds noise while an expression of the time t holds."""
    return f"noise=alls={strength}:allf=t:enable='{when}'"


# Noise comes and goes, on periods of its own for each film, so that segments of one rung differ in size as scenes do.
FILMS = {
    "street": f"testsrc2={_SIZE},{_noise(8, 'lt(mod(t,23),9)')},{_noise(22, 'lt(mod(t,41),6)')}",
    "fractal": "mandelbrot=size=640x360:rate=24:end_pts=4032:end_scale=0.001:maxiter=600,"
    + _noise(14, "lt(mod(t+7,31),11)"),
    "colony": f"life={_LIFE},{_noise(10, 'lt(mod(t+3,17),6)')}",
    "dusk": f"gradients={_SIZE}:speed=0.02:nb_colors=6:seed=4,{_noise(6, 'gt(mod(t,19),5)')},"
    + _noise(20, "lt(mod(t,37),10)"),
}
# A film's own share of the ladder's rates: titles differ in what they need.
SHARES = {"street": 1.1, "fractal": 0.75, "colony": 1.0, "dusk": 0.85}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the films; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1 or given[0].startswith("-"):
        print(__doc__)
        return 0 if given and given[0] in ("-h", "--help") else 2
    try:
        prepare_media(Path(given[0]))
    except MediaError as error:
        print(f"media: {error}", file=sys.stderr)
        return 1
    return 0


class MediaError(Exception):
    """A film can't be made."""


def prepare_media(folder: Path, films: Sequence[str] = tuple(FILMS), seconds: int = SECONDS) -> None:
    """Encode the films that ``folder`` lacks; each appears whole or not at all. Raises MediaError."""
    if shutil.which("ffmpeg") is None:
        raise MediaError("ffmpeg is missing: apt-get install ffmpeg")
    folder.mkdir(parents=True, exist_ok=True)
    for film in films:
        if film not in FILMS:
            raise MediaError(f"there is no film '{film}' (there are {', '.join(FILMS)})")
        if (folder / film / "ladder.json").is_file():
            continue
        print(f"encoding {film}: {seconds} s in {len(HEIGHTS)} rungs …", flush=True)
        aside = folder / f".{film}.{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            _encode(aside, film, seconds)
            (aside / "ladder.json").write_text(json.dumps(describe(aside, film, seconds)), encoding="utf-8")
            os.replace(aside, folder / film)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def describe(folder: Path, film: str, seconds: float) -> dict[str, Any]:
    """Return a film's ladder: heights, segment sizes in bytes [representation][segment], bits per second."""
    count = -(-int(seconds) // SEGMENT)
    sizes = []
    for representation in range(AUDIO + 1):
        paths = [folder / f"c{representation}-{number}.m4s" for number in range(1, count + 1)]
        sizes.append([path.stat().st_size for path in paths if path.is_file()])
    if min(map(len, sizes)) < count:
        raise MediaError(f"{folder}: a representation has {min(map(len, sizes))} of {count} segments")
    bits = [round(8 * sum(size) / seconds) for size in sizes]
    return {
        "clip": film,
        "segment": float(SEGMENT),
        "duration": float(seconds),
        "heights": list(HEIGHTS),
        "bits": bits,
        "sizes": sizes,
    }


def _encode(folder: Path, film: str, seconds: int) -> None:
    names = [f"v{rung}" for rung in range(len(HEIGHTS))]
    graph = f"{FILMS[film]},format=yuv420p,split={len(names)}" + "".join(f"[s{name}]" for name in names)
    graph += "".join(
        f";[s{name}]scale={2 * round(height * 8 / 9)}:{height}:flags=fast_bilinear[{name}]"
        for name, height in zip(names, HEIGHTS, strict=True)
    )
    command = ["ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-filter_complex", graph]
    command += ["-f", "lavfi", "-i", "sine=frequency=220:beep_factor=4,tremolo=f=3"]
    for rung, (name, rate) in enumerate(zip(names, KILOBITS, strict=True)):
        command += ["-map", f"[{name}]", f"-b:v:{rung}", f"{round(SHARES[film] * rate)}k"]
        command += [f"-maxrate:v:{rung}", f"{round(1.8 * rate)}k", f"-bufsize:v:{rung}", f"{5 * rate}k"]
    keyframes = str(FRAMES * SEGMENT)
    command += ["-map", "0:a", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main"]
    command += ["-g", keyframes, "-keyint_min", keyframes, "-sc_threshold", "0", "-bf", "0", "-qcomp", "0.75"]
    command += ["-c:a", "aac", "-b:a", f"{SOUND_KILOBITS}k", "-t", str(seconds), "-f", "dash"]
    command += ["-seg_duration", str(SEGMENT), "-use_template", "1", "-use_timeline", "0"]
    command += ["-init_seg_name", "i$RepresentationID$.m4s", "-media_seg_name", "c$RepresentationID$-$Number$.m4s"]
    command += ["-adaptation_sets", "id=0,streams=v id=1,streams=a", "manifest.mpd"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MediaError(f"ffmpeg failed on {film}: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
