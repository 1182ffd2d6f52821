"""Write what the kernel side costs and says as a page of tables and pictures, from records alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.harness.store import write_bytes
from bpf.report import (
    agreement,
    features,
    hooks,
    loaders,
    machines,
    maps,
    models,
    overload,
    targets,
    throughput,
    user_space,
)
from bpf.report.keeping import keep_records
from bpf.report.page import Section, escape, render
from bpf.report.study import Study, read_study

ROOT = Path(__file__).resolve().parents[2]
RECORDS, PAGE, README = (
    ROOT / "leaderboard" / "records" / "kernel_study",
    ROOT / "docs" / "kernel.md",
    ROOT / "README.md",
)
START, END = "<!-- kernel targets -->", "<!-- end of kernel targets -->"
SECTIONS: tuple[Callable[[Study], Section], ...] = (
    *(targets.write, agreement.write, hooks.write, features.write, models.write, user_space.write),
    *(loaders.write, overload.write, throughput.write, maps.write, machines.write),
)
EXAMPLES = """examples:
  python -m bpf report                                            docs/kernel.md anew, from the records of the project
  python -m bpf report --records results/cells --out kernel.md    a page of your own runs
  python -m bpf report --keep results/kernel_study                make these runs the project's records first
"""
INTRODUCTION = """# The kernel side, measured

What a quality model costs inside a router's kernel, and what it says there. `python -m bpf report` writes this page
from the records in `{folder}`; no figure on it is typed by hand but those marked as published. *Host* is the kernel of
the machine that ran the cells, *ARM64* an emulated one; F0 to F5 are feature sets, each a superset of the one before; a
packet *ends a window* where it is the first of the next one, and the model runs then."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="read these records (default: the project's)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write this page (default: docs/kernel.md)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="first make the runs below FOLDER the project's records"
    )


def run(chosen: argparse.Namespace) -> int:
    """Write the page; return the exit status. Raises ConfigError where there are no records with a probe."""
    if chosen.keep and chosen.records:
        raise ConfigError("--keep replaces the project's records and reports on them; leave out --records")
    if chosen.keep:
        print(f"kept {len(keep_records(chosen.keep, RECORDS))} records")
    folder, out = chosen.records or RECORDS, chosen.out or PAGE
    if not folder.is_dir():
        raise ConfigError(f"--records: {folder} is no folder")
    study = read_study(folder)
    if not study.runs:
        raise ConfigError(f"{folder}: no record of a cell with a probe; run.py with probe= and router= makes some")
    lacks = write_page(study, out, named(folder))
    print(f"{out}: {len(study.runs)} runs")
    for one in (*study.faults, *(f"the records lack {lack}" for lack in lacks)):
        print(one)
    if not chosen.records and not chosen.out:
        refresh(README, targets.summarise(study))
    return 0


def named(folder: Path) -> str:
    """The folder as the page names it: below the repository, or else by its own name."""
    try:
        return folder.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return folder.name


def write_page(study: Study, out: Path, folder: str) -> list[str]:
    """Write the page and its pictures, those into the folder ``pictures`` beside it; return what the records lack."""
    pictures = out.parent / "pictures"
    out.parent.mkdir(parents=True, exist_ok=True)
    sections = []
    for write in SECTIONS:
        section, drawn = attempt(write, study)
        sections.append(section)
        for name, content in drawn.items():
            pictures.mkdir(exist_ok=True)
            write_bytes(pictures / f"{name}.png", content)
    parts = [INTRODUCTION.format(folder=escape(folder))]
    for number, section in enumerate(sections):
        text = section.text(pictures.name)
        parts.append(marked(text, section.blocks[0]) if not number and section.blocks else text)
    if study.faults:
        parts.append("Left out:\n\n" + "\n".join(f"- {escape(fault)}" for fault in study.faults))
    write_bytes(out, ("\n\n".join(parts) + "\n").encode())
    return [lack for section in sections for lack in section.lacks]


def attempt(write: Callable[[Study], Section], study: Study) -> tuple[Section, dict[str, bytes]]:
    """Write a section and draw its pictures; records of another shape than the router's cost that section alone."""
    try:
        section = write(study)
        return section, {picture.name: render(picture) for picture in section.pictures}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        title = write.__module__.rpartition(".")[2].replace("_", " ").capitalize()
        found = escape(f"{type(error).__name__}: {error}")
        return Section(title, "", lacks=[f"what this section reads, in the shape that it has ({found})"]), {}


def marked(text: str, part: str) -> str:
    """Put marks around a part of a text, by which other pages find it."""
    return text.replace(part, f"{START}\n\n{part}\n\n{END}", 1)


def refresh(page: Path, part: str) -> None:
    """Replace what stands between the marks of a page. Raises ConfigError where the page lacks them."""
    text = page.read_text()
    if text.count(START) != 1 or text.count(END) != 1:
        raise ConfigError(f"{page.name}: wants the lines '{START}' and '{END}' once each")
    head, rest = text.split(START)
    write_bytes(page, f"{head}{START}\n\n{part}\n\n{END}{rest.split(END)[1]}".encode())
