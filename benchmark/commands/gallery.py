"""Make a gallery of a corpus: small pictures of telling traces, and a page that shows them with captions.

Traces are chosen by rule, so that the same corpus gives the same gallery: of streaming, one that stalls after startup,
one with most traffic of others, one for each rung that dominates, and the applications still missing; of calls, good
and bad ones in turn. Further ones fill what is left of --count. The page stands beside the folder of pictures.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.commands.account import describe_quality, describe_setting, file_stem, shown
from benchmark.commands.choice import Choice, choose
from benchmark.commands.sources import find_place, read_source
from benchmark.errors import ConfigError

EXAMPLES = """examples:
  python -m benchmark gallery streaming calls --out docs/gallery     docs/gallery/*.png and docs/gallery.md
  python -m benchmark gallery datasets/streaming --out gallery --count 20
"""
COUNT = 12
ROOT = Path(__file__).resolve().parents[2]
_TITLE = "# Gallery"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of the gallery: the corpus's name, the trace that was chosen and why, the ladder."""

    corpus: str
    choice: Choice
    ladder: tuple[int, ...]

    @property
    def file(self) -> str:
        """The file's name, made of the corpus's and the trace's."""
        return file_stem(f"{self.corpus}-{self.choice.trace.name}") + ".png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("corpora", nargs="+", metavar="CORPUS", help="a corpus's name, or its folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the pictures go")
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help="pictures in all (default: %(default)s)")


def run(chosen: argparse.Namespace) -> int:
    """Choose, draw and write the page; print its path and the pictures' size."""
    from benchmark.commands.timeline import SMALL, draw_timeline

    if chosen.count < len(chosen.corpora):
        raise ConfigError(f"--count {chosen.count} is fewer than a picture for each corpus")
    page = chosen.out.with_name(f"{chosen.out.name}.md")
    _shown(page)
    pictures = choose_pictures(chosen.corpora, chosen.count)
    for picture in pictures:
        trace = picture.choice.trace
        title = f"{picture.corpus}:{trace.name}: {trace.condition.application}"
        draw_timeline(trace, chosen.out / picture.file, picture.ladder, title, SMALL)
    count = [] if chosen.count == COUNT else ["--count", str(chosen.count)]
    write_page(page, chosen.out, pictures, ["gallery", *chosen.corpora, "--out", str(chosen.out), *count])
    size = sum((chosen.out / picture.file).stat().st_size for picture in pictures)
    print(f"{page}: {len(pictures)} pictures, {size / 1e3:.0f} kB")
    return 0


def choose_pictures(corpora: Sequence[str], count: int) -> list[Picture]:
    """Choose ``count`` pictures of the corpora, the places dealt by what each has to show."""
    found: list[list[Picture]] = []
    for name in corpora:
        path = find_place(name, ROOT)
        traces, ladder = read_source(path)
        found.append([Picture(path.name, choice, ladder) for choice in choose(traces, ladder, count)])
    taken = [0] * len(found)
    while sum(taken) < min(count, sum(map(len, found))):
        # The corpus whose next trace shows something of its own; then the one with fewest pictures.
        ready = [place for place, pictures in enumerate(found) if taken[place] < len(pictures)]
        place = min(ready, key=lambda place: (found[place][taken[place]].choice.rank, taken[place], place))
        taken[place] += 1
    return [picture for pictures, some in zip(found, taken, strict=True) for picture in pictures[:some]]


def write_page(page: Path, folder: Path, pictures: Sequence[Picture], command: Sequence[str]) -> None:
    """Write the page, aside and then renamed, and take away the pictures that only the page before showed.

    Raises ConfigError where a page that isn't a gallery's stands in its place.
    """
    lines = [
        _TITLE,
        "",
        "Traces as they were captured: throughput (down above, up below; the video's flow blue, others orange), and",
        "what the player said: frame rate, bit rate, its buffer, rung fetched and height played, time stalled. Made by",
        f"`python -m benchmark {shown(shlex.join(command))}`.",
    ]
    corpus = ""
    for picture in pictures:
        trace, reason = picture.choice.trace, picture.choice.reason
        if picture.corpus != corpus:
            corpus = picture.corpus
            lines += ["", f"## {corpus}"]
        quality = describe_quality(trace, picture.ladder)
        lines += ["", f"![{_plain(trace.name)}: {_plain(reason)}]({folder.name}/{picture.file})", ""]
        lines += [f"**{_plain(trace.name)}**, {_plain(trace.condition.application)}: {_plain(reason)}."]
        lines += [f"{_sentence(describe_setting(trace))} {_sentence(quality)}".strip()]
    former = _shown(page)
    aside = page.with_name(f".{page.name}.{os.getpid()}")
    aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(aside, page)
    for name in former - {picture.file for picture in pictures}:
        (folder / name).unlink(missing_ok=True)


def _shown(page: Path) -> set[str]:
    """Return the pictures that an earlier gallery's page shows; raise ConfigError for a page of another kind."""
    if not page.exists():
        return set()
    text = page.read_text(encoding="utf-8", errors="replace")
    if not text.startswith(_TITLE):
        raise ConfigError(f"{page}: the page holds something else than a gallery; choose another --out")
    return set(re.findall(r"\]\([^()/]+/([\w.-]+\.png)\)", text))


def _plain(text: str) -> str:
    """Return text of unknown origin as Markdown that shows it as it is."""
    return _escaped(shown(text))


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _sentence(text: str) -> str:
    text = _escaped(text)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
