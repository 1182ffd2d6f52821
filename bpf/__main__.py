"""The kernel side's commands: ``python -m bpf doctor|watch|explain|report|router``."""

from __future__ import annotations

import argparse
import sys

from benchmark.commands.piped import piped_output
from benchmark.errors import ConfigError, CorpusError, Incompatible, TraceError, Unsupported, nearest

EXAMPLES = """examples:
  python -m bpf doctor                        what this machine can do, and how to get the rest
  python -m bpf watch br-lan                  live flows with inferred quality, until Ctrl-C
  python -m bpf watch br-lan --json           the same as lines of JSON
  python -m bpf explain                       what each feature set takes: bytes, stack, instructions
  python -m bpf report                        docs/kernel.md, from the records of the project
  python -m bpf router setup qemu_arm64       get what an emulated router takes
"""
ROUTERS = ("qemu_arm64",)


@piped_output()
def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status: 2 where it can't be done here, with the reason."""
    parser = argparse.ArgumentParser(
        prog="python -m bpf", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    from bpf import doctor, explain, watch
    from bpf.report import command as report

    for module, name, text in (
        (doctor, "doctor", "what this machine can do, what is missing, how to get it"),
        (watch, "watch", "live flows of a device with inferred quality per window"),
        (explain, "explain", "what a probe takes: map bytes, stack, instructions, sizes"),
        (report, "report", "the page on what the kernel side costs, from records"),
    ):
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    _add_router(commands)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (ConfigError, CorpusError, Incompatible, TraceError, Unsupported) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _add_router(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    router = commands.add_parser("router", help="get what a router takes")
    actions = router.add_subparsers(dest="action", required=True)
    setup = actions.add_parser(
        "setup",
        help="install or fetch it",
        description="Get an emulated router's emulator, cross compiler (as root, by apt) and kernel (into the cache).",
        epilog="example:\n  python -m bpf router setup qemu_arm64\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    setup.add_argument("name", metavar="NAME", help=", ".join(ROUTERS))
    setup.set_defaults(run=_set_up)


def _set_up(chosen: argparse.Namespace) -> int:
    import importlib

    from bpf.routers.setup import set_up

    if chosen.name not in ROUTERS:
        raise ConfigError(f"no router '{chosen.name}' takes a set-up{nearest(chosen.name, ROUTERS)}")
    kernel = set_up(importlib.import_module(f"bpf.routers.{chosen.name}").MACHINE)
    print(f"{chosen.name} is ready: {kernel.package} {kernel.version}, {kernel.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
