"""A film of random bytes: a real film's segment sizes without its pictures, made in a second, for the smoke plan.

    python datasets/testbed/media_bytes.py MEDIA      makes MEDIA/bytes/ if it isn't there

The files and the ladder.json are laid out as media.py's. The light player can't tell the two apart; a browser can.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from session import HEIGHTS

CLIP = "bytes"
SEGMENT = 4
INIT_BYTES = 834

# Bytes of twelve successive segments as ffmpeg 5.1 encoded them, for the six rungs and the sound.
SIZES = (
    (106325, 98447, 96631, 38398, 48501, 51664, 60880, 65835, 97658, 102540, 122691, 100575),
    (200500, 198669, 191405, 61385, 84509, 101498, 121524, 136369, 252771, 234692, 196822, 207164),
    (223753, 303321, 307504, 299584, 363793, 361705, 376693, 361564, 641218, 534724, 456446, 480146),
    (544590, 789994, 693899, 311213, 477601, 557112, 668319, 654750, 1211741, 1027533, 853568, 930380),
    (295708, 313112, 354539, 1223708, 1780725, 1737832, 2345379, 1560458, 2079243, 1892725, 1849822, 1526330),
    (1325205, 1111764, 1169435, 3949488, 3153467, 3576336, 2644999, 2655126, 4212097, 4364165, 3076929, 3651059),
    (48989, 49246, 48982, 49231, 48976, 49240, 48995, 49258, 48961, 49249, 48979, 49232),
)

_MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static"
 mediaPresentationDuration="PT{duration}S" minBufferTime="PT{segment}S">
 <Period id="0" start="PT0S">
{sets} </Period>
</MPD>
"""
_SET = """  <AdaptationSet id="{number}" contentType="{content}" segmentAlignment="true">
{representations}  </AdaptationSet>
"""
_REPRESENTATION = """   <Representation id="{name}" mimeType="{content}/mp4" bandwidth="{bits}">
    <SegmentTemplate timescale="1" duration="{segment}" startNumber="1"
     initialization="i$RepresentationID$.m4s" media="c$RepresentationID$-$Number$.m4s"/>
   </Representation>
"""


def prepare_bytes(folder: Path, seed: int = 0) -> Path:
    """Make the film in ``folder`` unless it's there, whole or not at all; return its own folder (66 MB)."""
    film = folder / CLIP
    if (film / "ladder.json").is_file():
        return film
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{CLIP}.{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        chance = random.Random(seed)
        for representation, sizes in enumerate(SIZES):
            (aside / f"i{representation}.m4s").write_bytes(chance.randbytes(INIT_BYTES))
            for number, size in enumerate(sizes, start=1):
                (aside / f"c{representation}-{number}.m4s").write_bytes(chance.randbytes(size))
        (aside / "manifest.mpd").write_text(_manifest(), encoding="utf-8")
        (aside / "ladder.json").write_text(json.dumps(_ladder()), encoding="utf-8")
        shutil.rmtree(film, ignore_errors=True)
        os.replace(aside, film)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return film


def _ladder() -> dict[str, object]:
    duration = float(SEGMENT * len(SIZES[0]))
    return {
        "clip": CLIP,
        "segment": float(SEGMENT),
        "duration": duration,
        "heights": list(HEIGHTS),
        "bits": [_bits(sizes) for sizes in SIZES],
        "sizes": [list(sizes) for sizes in SIZES],
    }


def _manifest() -> str:
    described = [
        _REPRESENTATION.format(
            name=name, content="video" if name < len(HEIGHTS) else "audio", bits=_bits(sizes), segment=SEGMENT
        )
        for name, sizes in enumerate(SIZES)
    ]
    tracks = [("video", "".join(described[:-1])), ("audio", described[-1])]
    sets = "".join(
        _SET.format(number=number, content=content, representations=representations)
        for number, (content, representations) in enumerate(tracks)
    )
    return _MANIFEST.format(duration=SEGMENT * len(SIZES[0]), segment=SEGMENT, sets=sets)


def _bits(sizes: Sequence[int]) -> int:
    return round(8 * sum(sizes) / (SEGMENT * len(sizes)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the film; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1 or given[0].startswith("-"):
        print(__doc__)
        return 0 if given and given[0] in ("-h", "--help") else 2
    prepare_bytes(Path(given[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
