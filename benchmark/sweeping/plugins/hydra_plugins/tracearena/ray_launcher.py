"""A launcher on Ray: a task a cell, tried again when its node or its worker dies.

Ray itself is imported when the launcher is used. Every node needs the suite at the same path and, to share nothing but
the store, ``results`` at a URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console


class RayLauncher(Launcher):
    """Runs jobs as tasks of a Ray cluster.

    init: arguments of ``ray.init``, such as an address. task: options of each task, such as num_cpus and max_retries.
    """

    def __init__(self, init: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        self.init, self.task = _plain(init), _plain(task)
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives every launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def workers(self) -> int:
        """Jobs that the cluster has room for at once."""
        cores = self._connect().cluster_resources().get("CPU", 1.0)
        return max(1, int(cores // (self.task.get("num_cpus") or 1)))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, each in a task of its own; one that is lost for good is a failed return, never an exception."""
        assert self.config is not None
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        ray, console = self._connect(), Console(stderr=True, soft_wrap=True)
        shared = ray.put((self.hydra_context, self.config, self.task_function, Singleton.get_state()))
        task = ray.remote(_run).options(**self.task)
        jobs = {
            task.remote(shared, list(overrides), initial_job_idx + number): number
            for number, overrides in enumerate(job_overrides)
        }
        console.print(f"{len(jobs)} jobs on {len([one for one in ray.nodes() if one['Alive']])} nodes", highlight=False)
        returned: dict[int, JobReturn] = {}
        while len(returned) < len(job_overrides):
            waiting = [job for job, number in jobs.items() if number not in returned]
            for job in ray.wait(waiting, num_returns=1)[0]:
                number = jobs[job]
                returned[number] = _taken(ray, job, job_overrides[number])
                words = " ".join(filter_overrides(job_overrides[number]))
                console.print(f"{len(returned)} of {len(jobs)}: {words}", highlight=False, markup=False)
        return [returned[number] for number in range(len(job_overrides))]

    def _connect(self) -> Any:
        import ray

        if not ray.is_initialized():
            # Ray's workers give way to everything else on their machine; a cell's times are part of its record.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(**{**self.init, "runtime_env": self._environment()})
        return ray

    def _environment(self) -> dict[str, Any]:
        """The environment of tasks: what the settings give, and the path by which jobs are found on other nodes."""
        given = dict(self.init.get("runtime_env") or {})
        variables = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **(given.get("env_vars") or {})}
        return {**given, "env_vars": variables}


def _plain(settings: Any) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(settings, resolve=True) if OmegaConf.is_config(settings) else dict(settings)
    return dict(plain)


def _taken(ray: Any, job: Any, overrides: Sequence[str]) -> JobReturn:
    try:
        returned: JobReturn = ray.get(job)
    except ray.exceptions.RayError as error:
        returned = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
        returned.return_value = error
    return returned


def _run(shared: tuple[HydraContext, DictConfig, TaskFunction, Any], overrides: list[str], number: int) -> JobReturn:
    """Run one job in a worker, as Hydra's own launcher would here."""
    context, config, task_function, state = shared
    setup_globals()
    Singleton.set_state(state)
    job = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id, job.hydra.job.num = f"{os.getpid()}_{number}", number
    HydraConfig.instance().set_config(job)
    returned = run_job(
        hydra_context=context, task_function=task_function, config=job, job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
    # Interpolations of this process mean nothing where the return goes to.
    returned.hydra_cfg = None
    return returned
