"""Commands over captures and traces: ``python -m benchmark encode|score|plot|gallery|fetch``.

The command ``cell`` is the harness's own: it runs the job of a cell's folder in this process.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.commands.piped import piped_output
from benchmark.errors import ConfigError, CorpusError, TraceError, Unsupported

EXAMPLES = """examples:
  python -m benchmark encode capture.pcap bits.npy --representation nprint --index
  python -m benchmark score --real captures/ --synthetic generated.pcap --json scores.json
  python -m benchmark plot capture.pcap --out picture.png
  python -m benchmark gallery streaming calls --out docs/gallery
  python -m benchmark fetch s3://bucket/results --out records
"""


@piped_output()
def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmark", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    # Each command imports what it needs when it's chosen, so that --help is quick.
    from benchmark.commands import encode, fetch, gallery, plot, score

    for module, name, text in (
        (encode, "encode", "turn a capture into a matrix, one row a packet"),
        (score, "score", "compare synthetic captures with real ones"),
        (plot, "plot", "draw a trace over time"),
        (gallery, "gallery", "draw the telling traces of a corpus, with a page that shows them"),
        (fetch, "fetch", "copy the records of results at a URL into a folder"),
    ):
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    cell = commands.add_parser("cell", help="run the job of a cell's folder (the harness calls this)")
    cell.add_argument("folder", type=Path)
    cell.set_defaults(run=_run_cell)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (ConfigError, CorpusError, TraceError, Unsupported) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run_cell(chosen: argparse.Namespace) -> int:
    from benchmark.harness.child import run_child
    from benchmark.harness.fault import write_fault

    try:
        return run_child(chosen.folder)
    except BaseException as error:
        write_fault(chosen.folder, error)
        raise


if __name__ == "__main__":
    sys.exit(main())
