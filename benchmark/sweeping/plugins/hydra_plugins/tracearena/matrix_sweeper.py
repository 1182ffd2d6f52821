"""The sweeper of every ``-m``: it counts the cells, says how long they will take, and launches what isn't done."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from benchmark.harness.cell import find_record
from benchmark.harness.ending import ended
from benchmark.harness.estimate import Estimate, estimate, read_known
from benchmark.harness.matrix import Resolved
from benchmark.harness.progress import CellProgress
from benchmark.harness.registry import REFERENCES
from benchmark.harness.stage import cell_id
from benchmark.sweeping.composition import ROOT, cell_of, reference_in, rooms_of, shared_overrides

Job = list[str]


class MatrixSweeper(BasicSweeper):
    """Hydra's basic sweeper over cells: one job a cell, and none for a cell whose record stands."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the matrix that the arguments span; return what the launched jobs returned."""
        assert self.config is not None
        assert self.launcher is not None
        jobs = self._jobs(arguments)
        plan = Plan(self.config, [self._compose(job) for job in jobs])
        with CellProgress() as progress:
            progress.say(plan.estimate(workers_of(self.launcher, self.config, len(jobs))).sentence())
            waiting = plan.waiting()
            for number in set(range(len(jobs))) - set(waiting):
                if (record := plan.found.get(plan.ids[number])) is not None:
                    progress.conclude(record, True)
        returned: list[JobReturn] = []
        size = self.max_batch_size or len(waiting) or 1
        for start in range(0, len(waiting), size):
            batch = [jobs[number] for number in waiting[start : start + size]]
            returned += self.launcher.launch(batch, initial_job_idx=start)
        for result in returned:
            if result.status != JobStatus.COMPLETED:
                print(f"error: {' '.join(result.overrides or ())}: {_fault_of(result)}", file=sys.stderr)
        ended.update(dict.fromkeys(plan.ids, plan.rooms))
        return [returned]

    def _jobs(self, arguments: list[str]) -> list[Job]:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        return self.split_arguments(overrides, None)[0]

    def _compose(self, job: Job) -> DictConfig:
        assert self.hydra_context is not None
        assert self.config is not None
        return self.hydra_context.config_loader.load_sweep_config(master_config=self.config, sweep_overrides=job)


class Plan:
    """The cells of a sweep, the references that they need, and which of both are done."""

    def __init__(self, config: DictConfig, jobs: Sequence[DictConfig]) -> None:
        self.rooms, self.retry = rooms_of(config), bool(config.retry)
        self.mirrored = config.wandb.mode != "disabled"
        self.cells = [cell_of(job, job.hydra.runtime.choices) for job in jobs]
        self.ids = [cell_id(cell) for cell, _ in self.cells]
        self.references: list[dict[str, Resolved]] = []
        resolved: dict[tuple[str, ...], dict[str, Resolved]] = {}
        for job in jobs:
            words = shared_overrides(job.hydra.overrides.task)
            if words not in resolved:
                resolved[words] = {name: reference_in(words)(name) for name in REFERENCES}
            self.references.append(resolved[words])
        self.found = self._find()

    def waiting(self) -> list[int]:
        """Numbers of the jobs that have something to do: once for each cell, however many choices make it."""
        first = {cell: number for number, cell in reversed(list(enumerate(self.ids)))}
        done = {number for number in first.values() if self._is_done(number)}
        return sorted(first.values()) if self.mirrored else sorted(set(first.values()) - done)

    def estimate(self, workers: int) -> Estimate:
        """Say how many cells there are and how long those that wait will take."""
        cells = {cell: config for cell, (config, _) in zip(self.ids, self.cells, strict=True)}
        references = {cell_id(one[0]): one[0] for named in self.references for one in named.values()}
        known = read_known([self.rooms.cells, ROOT / "results" / "cells"])
        return estimate(cells, references, self.found, known, workers)

    def _is_done(self, number: int) -> bool:
        needed = [self.ids[number], *(cell_id(one[0]) for one in self.references[number].values())]
        return all(cell in self.found for cell in needed)

    def _find(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        tried: set[str] = set()
        for (config, _), references in zip(self.cells, self.references, strict=True):
            independent = references["independent"][0]
            for one in (config, *(reference[0] for reference in references.values())):
                if (cell := cell_id(one)) in tried:
                    continue
                tried.add(cell)
                against = None if one["generator"]["name"] == "independent" else independent
                record = find_record(one, against, self.rooms, retry=self.retry)
                if record is not None:
                    found[cell] = record
        return found


def workers_of(launcher: Any, config: DictConfig, jobs: int) -> int:
    """Return how many cells a launcher runs at once, as far as it says."""
    if hasattr(launcher, "workers"):
        return min(int(launcher.workers()), jobs)
    settings, cores = config.hydra.launcher, len(os.sched_getaffinity(0))
    at_once = settings.get("n_jobs") or settings.get("array_parallelism")
    if at_once is not None:
        at_once = cores if at_once < 0 else at_once
        return max(1, min(int(at_once), jobs, jobs if "array_parallelism" in settings else cores))
    return min(jobs, cores) if "submitit_folder" in settings else 1


def _fault_of(result: JobReturn) -> str:
    error = result._return_value
    return f"{type(error).__name__}: {error}"
