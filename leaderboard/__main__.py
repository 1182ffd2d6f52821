"""Commands over records and submissions: ``python -m leaderboard COMMAND``; --help lists them."""

from __future__ import annotations

import argparse
import sys

from benchmark.commands.piped import piped_output
from leaderboard.commands import (
    answers,
    build,
    check,
    compare,
    conditions,
    explain,
    keep,
    new,
    show,
    study,
    submit,
    verify,
)

# In the order of --help. A module's name is its command's: add(subparsers) declares it, run(arguments) runs it.
COMMANDS = (
    show,
    explain,
    compare,
    build,
    keep,
    study,
    answers,
    new,
    conditions,
    check,
    submit,
    verify,
)


@piped_output()
def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m leaderboard", description=__doc__, epilog="each command has examples: show --help"
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add(subparsers)
    chosen = parser.parse_args(arguments)
    modules = {module.__name__.rpartition(".")[2]: module for module in COMMANDS}
    return int(modules[chosen.command].run(chosen))


if __name__ == "__main__":
    sys.exit(main())
