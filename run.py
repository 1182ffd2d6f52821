"""Run one cell of the matrix, or a sweep of cells, and print the leaderboard.

python run.py generator=gpt                              one cell
python run.py -m generator=gpt,netdiffusion seed=0,1,2   a sweep
python run.py experiment=first_light                     a whole matrix from a file
python run.py -m seed=0,1,2 hydra/launcher=ray           a sweep on a cluster (docs/sweeps.md)
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from benchmark.commands.piped import piped_output
from benchmark.harness.ending import conclude, ended
from benchmark.harness.matrix import run_with_references
from benchmark.harness.mirror import mirror
from benchmark.harness.progress import CellProgress
from benchmark.harness.registry import check_choices
from benchmark.sweeping.composition import ROOT, cell_of, reference_in, register_resolvers, rooms_of
from benchmark.sweeping.discovery import offer_plugins
from benchmark.sweeping.presets import check_presets
from leaderboard.submitting.hydra_choices import offer_submissions


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float | None:
    """Run the cell of this config; return the metric that its ``objective`` names, for sweepers that tune."""
    job, rooms = HydraConfig.get(), rooms_of(config)
    cell, reference = cell_of(config, job.runtime.choices), reference_in(job.overrides.task)
    with CellProgress() as progress:
        record, found = run_with_references(cell, reference, rooms, progress.listen, config.retry, config.workers)
        progress.conclude(record, found)
    mirror(record, cell[0]["wandb"], rooms)
    ended[record.cell] = rooms
    return record.value(config.objective)


if __name__ == "__main__":
    offer_plugins()
    register_resolvers()
    check_choices(sys.argv[1:], ROOT / "conf", *offer_submissions(ROOT))
    check_presets(sys.argv[1:])
    with piped_output():
        main()
        sys.exit(conclude(ended, ROOT))
