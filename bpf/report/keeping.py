"""Records that the project ships: copies of a study's, without what another record holds already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.harness.store import write_bytes
from bpf.report.study import dig

KERNEL = "kernel."


def keep_records(source: Path, target: Path) -> list[Path]:
    """Copy every record with a probe below ``source`` to ``target``; return the copies.

    What was in ``target`` before is replaced as a whole, so that it is one study and no more. Values by trace are left
    out but for the probe's: the generator's own record, without a probe, holds the others. Raises ConfigError where
    there is nothing to copy.
    """
    contents: dict[str, bytes] = {}
    for path in sorted(source.rglob("record.json")):
        record = json.loads(path.read_bytes())
        if not dig(record, "config", "probe", "module"):
            continue
        record["per_trace"] = {name: by for name, by in record["per_trace"].items() if name.startswith(KERNEL)}
        choices = record["choices"]
        name = "-".join([record["method"], choices["probe"], choices["router"], record["cell"]])
        contents[f"{name}.record.json"] = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
    if not contents:
        raise ConfigError(f"{source}: no record of a cell with a probe")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, content in contents.items():
        write_bytes(target / name, content)
    return [target / name for name in contents]
