"""Launchers as run.py gets them, and a job of a second in the place of a cell."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from benchmark.harness.remote import Remote
from benchmark.harness.store import Store
from benchmark.sweeping.composition import register_resolvers
from benchmark.sweeping.discovery import offer_plugins
from tests.houses import ROOT

offer_plugins()


def make_result(config: Any) -> float:
    """Make one result on the shared store, and leave a line in the diary for each time that it was made.

    Seed 5 fails by itself where ``retry`` is false. Each parent process stands for a machine with its own folder.
    """
    shared = Path(config.results)
    if config.seed == 5 and not config.retry:
        raise ValueError("this job fails by itself")

    def work(folder: Path) -> dict[str, Any]:
        time.sleep(1.5)
        with open(shared / "diary", "a") as diary:
            diary.write(f"{config.seed}\n")
        return {"seed": config.seed}

    mine = shared / f"machine-{os.getppid()}"
    Store(mine, Remote(f"file://{shared}/remote")).make("fit", f"{config.seed:032d}", work)
    return float(config.seed)


@contextmanager
def launcher_of(*words: str) -> Iterator[Any]:
    """Set up the launcher that these overrides choose, with ``make_result`` as its task."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        hydra: Any = GlobalHydra.instance().hydra
        config = hydra.compose_config("config", list(words), run_mode=RunMode.MULTIRUN, with_log_configuration=False)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        yield Plugins.instance().instantiate_launcher(hydra_context=context, task_function=make_result, config=config)
