"""Run one cell of the matrix, or a sweep of cells, and print the leaderboard.

  python run.py generator=gpt                              one cell
  python run.py -m generator=gpt,netdiffusion seed=0,1,2   a sweep
  python run.py experiment=first_light                     a whole matrix from a file
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from benchmark.cell import Rooms
from benchmark.errors import ConfigError
from benchmark.matrix import Resolved, run_with_references
from benchmark.progress import CellProgress
from benchmark.record import Record
from benchmark.registry import check_choices
from benchmark.stage import cell_id

ROOT = Path(__file__).resolve().parent
METHOD_AXES = ("generator", "tokenization", "context", "conditioning", "probe", "router")
ended: list[Record] = []


def resolve(config: DictConfig) -> Any:
    """Return the whole config as plain values, without Hydra's own part."""
    return OmegaConf.to_container(OmegaConf.masked_copy(config, [k for k in config if k != "hydra"]), resolve=True)


def reference(name: str) -> Resolved:
    """Resolve the config of a reference, for the corpus, budget and seed of the cell that runs."""
    given = [word for word in HydraConfig.get().overrides.task if word.lstrip("+~").split("=")[0].split(".")[0] not in METHOD_AXES]
    config = hydra.compose("config", [*given, f"generator={name}"], return_hydra_config=True)
    return resolve(config), choices(config.hydra.runtime.choices)


def choices(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Keep the axes of the matrix from Hydra's choices."""
    return {axis: str(name) for axis, name in chosen.items() if axis in (*METHOD_AXES, "dataset", "budget")}


def mirror(record: Record, settings: Mapping[str, Any]) -> None:
    """Copy a record to wandb. A wandb that fails costs a warning, never the run."""
    if settings["mode"] == "disabled":
        return
    try:
        import wandb

        flat = {**record.choices, "seed": record.seed, "cell": record.config, "cell_id": record.cell}
        run = wandb.init(project=settings["project"], mode=settings["mode"], id=record.cell, resume="allow",
                         group=settings["group"], job_type="cell", config=flat, dir=settings["folder"])  # fmt: skip
        run.summary.update({"status": record.status, **{m: record.value(m) for m in record.scores}})
        picture = Path(settings["folder"]) / "cells" / record.cell / "picture.png"
        if picture.exists():
            run.log({"picture": wandb.Image(str(picture))})
        run.finish()
    except Exception as error:
        print(f"warning: wandb: {error}; the record is complete without it", file=sys.stderr)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Run the cell of this config."""
    cell, results = resolve(config), ROOT / config.results
    rooms = Rooms(ROOT, results / "cells", results / "store")
    with CellProgress() as progress:
        record, found = run_with_references(
            (cell, choices(HydraConfig.get().runtime.choices)), reference, rooms,
            listen=progress.listen, retry=config.retry, workers=config.workers,
        )  # fmt: skip
        progress.say(f"{record.method}: {record.status} {record.reason} (cell {record.cell}{', found' if found else ''})")
    mirror(record, cell["wandb"])
    ended.append(record)


if __name__ == "__main__":
    OmegaConf.register_new_resolver("cell_id", lambda *, _root_: cell_id(resolve(_root_)))
    try:
        check_choices(sys.argv[1:], ROOT / "conf")
    except ConfigError as error:
        sys.exit(f"error: {error}")
    main()
    if ended:
        subprocess.run([sys.executable, "-m", "leaderboard", "show"], cwd=ROOT, check=False)
    sys.exit(any(record.status in ("failed", "timeout") for record in ended))
