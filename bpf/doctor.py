"""Tell what this machine can do of the kernel side, what is missing, and how to get it.

The exit status is 0 where router=host runs here with the committed objects, and 1 where it doesn't. Nothing is changed:
hooks are tried in a network namespace that is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bpf.checks import Finding, find_all

EXAMPLES = """examples:
  python -m bpf doctor                                   a table
  python -m bpf doctor --json | jq '.abilities'          the same for a program
"""
NEEDS = {
    "router=host": ("bpf", "hook tc", "test_run", "libbpf"),
    "probe.hook=tcx": ("bpf", "hook tcx"),
    "probe.hook=xdp": ("bpf", "hook xdp"),
    "probe.hook=socket": ("bpf", "hook socket"),
    "probe.loader=bcc": ("bpf", "bcc", "bcc headers"),
    "router=qemu_arm64": ("qemu_arm64 programs", "qemu_arm64 kernel"),
    "make bpf": ("clang",),
}
"""What each choice takes, by the names of findings."""


@dataclass(frozen=True)
class Ability:
    """A choice that works here, or the findings that it lacks."""

    name: str
    lacks: tuple[str, ...]


def judge(findings: Iterable[Finding], needs: Mapping[str, Sequence[str]] = NEEDS) -> list[Ability]:
    """Tell what works, from what was found."""
    there = {finding.name for finding in findings if finding.there}
    return [Ability(name, tuple(need for need in wanted if need not in there)) for name, wanted in needs.items()]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(chosen: argparse.Namespace) -> int:
    """Print the findings; return the exit status."""
    findings = find_all()
    abilities = judge(findings)
    print(as_json(findings, abilities) if chosen.json else as_text(findings, abilities))
    return 1 if abilities[0].lacks else 0


def as_json(findings: Sequence[Finding], abilities: Sequence[Ability]) -> str:
    """Return ``{"findings": [{name, there, detail, remedy}], "abilities": {choice: [lacking]}}``."""
    plain = {
        "findings": [each.plain() for each in findings],
        "abilities": {each.name: each.lacks for each in abilities},
    }
    return json.dumps(plain, indent=1)


def as_text(findings: Sequence[Finding], abilities: Sequence[Ability]) -> str:
    """Return a table of findings, and below it what works; a remedy stands under what is missing."""
    marks = {True: "yes", False: "no", None: "?"}
    width = max(len(name) for name in [*(each.name for each in findings), *(each.name for each in abilities)])
    lines = []
    for each in findings:
        lines.append(f"{each.name:<{width}}  {marks[each.there]:<3}  {each.detail}")
        if not each.there and each.remedy:
            lines.append(f"{'':<{width}}       -> {each.remedy}")
    lines.append("")
    for ability in abilities:
        lines.append(f"{ability.name:<{width}}  {'no   lacks ' + ', '.join(ability.lacks) if ability.lacks else 'yes'}")
    return "\n".join(lines)
