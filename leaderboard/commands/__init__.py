"""One file a command, of its name: ``add(subparsers)`` declares it, ``run(arguments)`` returns the exit status."""

from __future__ import annotations

import argparse
from typing import Any

Subparsers = Any  # what ArgumentParser.add_subparsers returns, whose class is private to argparse


def declare(subparsers: Subparsers, name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """Add a command whose help ends with examples, which stay as they are laid out."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.", epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    return parser
