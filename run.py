"""Run one cell of the matrix, or a sweep of cells, and print the leaderboard.

python run.py generator=gpt                              one cell
python run.py -m generator=gpt,netdiffusion seed=0,1,2   a sweep
python run.py experiment=first_light                     a whole matrix from a file
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from benchmark.harness.cell import Rooms
from benchmark.harness.matrix import Resolved, run_with_references
from benchmark.harness.progress import CellProgress
from benchmark.harness.registry import check_choices
from benchmark.harness.stage import cell_id
from benchmark.record import Record

ROOT = Path(__file__).resolve().parent
METHOD_AXES = ("generator", "tokenization", "context", "conditioning", "probe", "router")
ended: list[tuple[Record, Rooms]] = []


def resolve(config: DictConfig) -> Any:
    """Return the config as plain values, without Hydra's own part."""
    return OmegaConf.to_container(OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=True)


def with_choices(config: DictConfig, chosen: Any) -> Resolved:
    """Return the resolved config, and the name chosen on each axis of the matrix."""
    return resolve(config), {axis: str(chosen[axis]) for axis in (*METHOD_AXES, "dataset", "budget")}


def reference(name: str) -> Resolved:
    """Resolve the config of a reference, for the corpus, budget and seed of the cell that runs."""
    given = [word for word in HydraConfig.get().overrides.task if not word.lstrip("+~").startswith(METHOD_AXES)]
    config = hydra.compose("config", [*given, f"generator={name}"], return_hydra_config=True)
    return with_choices(config, config.hydra.runtime.choices)


def mirror(record: Record, settings: Any, results: Path) -> None:
    """Copy a record to wandb. A wandb that fails costs a warning, never the run."""
    if settings["mode"] == "disabled":
        return
    try:
        import wandb

        flat = {**record.choices, "seed": record.seed, "cell": record.config, "cell_id": record.cell}
        with wandb.init(**settings, job_type="cell", id=record.cell, resume="allow", config=flat, dir=results) as run:
            run.summary.update({"status": record.status, **{metric: record.value(metric) for metric in record.scores}})
            if (picture := results / "cells" / record.cell / "picture.png").exists():
                run.log({"picture": wandb.Image(str(picture))})
    except Exception as error:
        print(f"warning: wandb: {error}; the record is complete without it", file=sys.stderr)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Run the cell of this config."""
    cell, rooms = with_choices(config, HydraConfig.get().runtime.choices), Rooms(ROOT, ROOT / config.results)
    with CellProgress() as progress:
        record, found = run_with_references(cell, reference, rooms, progress.listen, config.retry, config.workers)
        progress.conclude(record, found)
    mirror(record, cell[0]["wandb"], rooms.results)
    ended.append((record, rooms))


if __name__ == "__main__":
    OmegaConf.register_new_resolver("cell_id", lambda *, _root_: cell_id(resolve(_root_)))
    check_choices(sys.argv[1:], ROOT / "conf")
    main()
    if ended:
        words = [sys.executable, "-m", "leaderboard", "show", "--records", str(ended[0][1].cells)]
        subprocess.run(words, cwd=ROOT, check=False)
    sys.exit(any(record.status in ("failed", "timeout") for record, _ in ended))
