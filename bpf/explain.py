"""Tell what a probe takes: map bytes, stack, verified instructions, machine code and image, for each feature set.

The figures are this kernel's own, of the program loaded here with the model given. Where it can't be loaded, what the
object file tells stands alone, with the reason below.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.errors import Unsupported
from benchmark.quality.features import feature_names
from benchmark.quality.names import FEATURE_SETS
from bpf.abi import flow_layout
from bpf.attach import HOOKS, PROGRAMS
from bpf.build import object_path
from bpf.elf import read_object
from bpf.fitted import Fitted, fit, of_cell
from bpf.probe import LoadedProbe, ProbeOptions
from bpf.replay import tailor

EXAMPLES = """examples:
  python -m bpf explain                            every feature set, without a model
  python -m bpf explain --features F4 --probe forest
  python -m bpf explain --hook xdp --json
  python -m bpf explain --features F4 --model results/cells/0123456789ab --loader bcc
"""
MEANINGS = {
    "features": "columns of a window's row",
    "flow_bytes": "state of one flow",
    "image_bytes": "object file: three hooks, floors and close_flow",
    "instructions": "of the program, 8 bytes each, before the kernel's own changes",
    "model_bytes": "one slot of the model's map",
    "verified_insns": "instructions that the verifier walked",
    "verified_states": "states that it kept",
    "stack_bytes": "deepest stack, of 512",
    "translated_bytes": "instructions as the kernel runs them",
    "jited_bytes": "machine code; 0 where the interpreter runs it",
    "map_bytes": "memory of all maps, by the kernel's account",
    "load_ms": "from object (or source) to loaded",
}
"""What each figure is; units are in the names."""


@dataclass(frozen=True)
class Explained:
    """Figures of one feature set, each of MEANINGS or None, memory of each map, and why figures are missing."""

    feature_set: str
    figures: Mapping[str, float | None]
    maps: Mapping[str, int]
    reason: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("--features", metavar="F", help="one feature set, F0 to F5 (default: each)")
    parser.add_argument("--hook", default="tc", choices=HOOKS, help="whose program (default: tc)")
    parser.add_argument("--loader", default="libbpf", choices=("libbpf", "bcc"), help="how it is loaded")
    parser.add_argument("--probe", metavar="NAME", help="with this quality model, fitted on --dataset")
    parser.add_argument("--dataset", default="streaming", help="corpus that it is fitted on (default: streaming)")
    parser.add_argument("--model", type=Path, metavar="CELL", help="with the model of a cell's folder")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(chosen: argparse.Namespace) -> int:
    """Explain; return the exit status: 1 where the kernel had no say."""
    given = of_cell(chosen.model) if chosen.model else None
    only = chosen.features or (given.features if given else None)
    wanted = [only] if only else list(FEATURE_SETS)
    found = []
    for feature_set in wanted:
        fitted = given or (fit(chosen.probe, chosen.dataset, feature_set) if chosen.probe else None)
        found.append(explain(feature_set, chosen.hook, chosen.loader, fitted))
    print(json.dumps([asdict(one) for one in found], indent=1) if chosen.json else as_text(found))
    return 1 if any(one.reason for one in found) else 0


def explain(feature_set: str, hook: str = "tc", loader: str = "libbpf", fitted: Fitted | None = None) -> Explained:
    """Explain one feature set's program at a hook, with a model or without."""
    blob = fitted.model.blob if fitted else b""
    path = object_path(feature_set)
    bundle = tailor(read_object(path), blob, "")
    figures: dict[str, float | None] = dict.fromkeys(MEANINGS)
    figures |= {
        "features": len(feature_names(feature_set)),
        "flow_bytes": flow_layout(FEATURE_SETS.index(feature_set)).itemsize,
        "image_bytes": path.stat().st_size,
        "instructions": len(bundle.programs[PROGRAMS[hook]].instructions) // 8,
        "model_bytes": bundle.maps["models"].value_size if blob else 0,
    }
    if loader == "bcc":
        # There is no image: the source is the probe, and what bcc makes of it depends on its version.
        figures |= {"image_bytes": None, "instructions": None}
    try:
        options = ProbeOptions(features=feature_set, hook=hook, blob=blob, replay=False, loader=loader)
        with LoadedProbe(options) as probe:
            figures |= probe.figures() | {"translated_bytes": probe.program.facts().translated_bytes}
            return Explained(feature_set, figures, probe.map_bytes())
    except (Unsupported, OSError) as reason:
        return Explained(feature_set, figures, {}, str(reason))


def as_text(found: Sequence[Explained]) -> str:
    """Return a table: a line a figure, a column a feature set; then the maps of the last one."""
    rows = [("", *(one.feature_set for one in found), "")]
    for name, meaning in MEANINGS.items():
        rows.append((name, *(_shown(one.figures[name]) for one in found), meaning))
    rows.append(("", *("" for _ in found), ""))
    names = list(dict.fromkeys(name for one in found for name in one.maps))
    rows += [(f"map {name}", *(_shown(one.maps.get(name)) for one in found), "bytes") for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(len(found) + 1)]
    lines = []
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:-1], widths[1:], strict=True)]
        lines.append("  ".join([f"{row[0]:<{widths[0]}}", *cells, row[-1]]))
    reasons = sorted({one.reason for one in found if one.reason})
    return "\n".join([line.rstrip() for line in lines] + [f"no more is known: {reason}" for reason in reasons]).rstrip()


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
