"""A sweeper that tunes: Optuna proposes settings, each trial is a cell, and the record's figure decides.

The plugin that Hydra's authors keep asks for Optuna 2; this one drives today's. A study isn't stored: with its seed it
proposes the same settings again, whose cells are found, so that a study that was stopped goes on where it was.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from benchmark.errors import ConfigError
from benchmark.harness.ending import ended
from benchmark.harness.stage import cell_id
from benchmark.sweeping.composition import resolve, rooms_of


class OptunaSweeper(Sweeper):
    """Tunes the settings that are given as ``interval``, ``range`` or ``choice``; all else stays as it is given.

    trials: how many at most. seconds: none starts after so many, null for no limit. at_once: trials that the launcher
    gets together. direction: maximize or minimize the metric that ``objective`` names. seed: of the proposals.
    Trials are scored on the validation split, unless ``scored_on`` is given: settings aren't chosen on the test split.
    """

    def __init__(
        self,
        trials: int,
        seconds: float | None,
        at_once: int,
        direction: str,
        seed: int,
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.trials, self.seconds, self.at_once = trials, seconds, at_once
        self.direction, self.seed, self.params = direction, seed, dict(params or {})
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives every sweeper."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials, say which was best and how to run it, and return the best value."""
        import optuna

        assert self.hydra_context is not None
        words = [*(f"{name}={value}" for name, value in self.params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(words)
        fixed = [f"{one.input_line}" for one in overrides if not one.is_sweep_override()]
        if not any(one.key_or_group == "scored_on" for one in overrides):
            fixed.append("scored_on=validation")
        try:
            space = {one.get_key_element(): distribution(one) for one in overrides if one.is_sweep_override()}
        except ConfigError as error:
            sys.exit(f"error: {error}")
        if not space:
            sys.exit("error: nothing to tune; give a setting as interval(low,high), range(...) or choice(...)")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=min(10, max(2, self.trials // 3)))
        study = optuna.create_study(direction=self.direction, sampler=sampler)
        began = time.monotonic()
        while (number := len(study.trials)) < self.trials:
            if self.seconds is not None and time.monotonic() - began > self.seconds:
                print(f"{self.seconds:g} s are over after {number} trials", file=sys.stderr)
                break
            asked = [study.ask(space) for _ in range(min(self.at_once, self.trials - number))]
            jobs = [[*fixed, *settings_of(trial)] for trial in asked]
            for trial, value in zip(asked, self._run(jobs, number), strict=True):
                study.tell(trial, value, state=None if value is not None else optuna.trial.TrialState.FAIL)
                shown = "no value; the cell's record says why" if value is None else f"{value:.4g}"
                print(
                    f"trial {trial.number + 1} of {self.trials}: {' '.join(settings_of(trial))}: {shown}",
                    file=sys.stderr,
                )
        return self._conclude(study, fixed)

    def _run(self, jobs: Sequence[list[str]], number: int) -> list[float | None]:
        assert self.hydra_context is not None
        assert self.launcher is not None
        assert self.config is not None
        for job in jobs:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, job)
            ended[cell_id(resolve(config))] = rooms_of(config)
        return [value_of(returned) for returned in self.launcher.launch(jobs, initial_job_idx=number)]

    def _conclude(self, study: Any, fixed: Sequence[str]) -> float | None:
        if not any(trial.value is not None for trial in study.trials):
            print("no trial has a value", file=sys.stderr)
            return None
        best = study.best_trial
        words = [word for word in fixed if not word.startswith("scored_on=")]
        print(f"best of {len(study.trials)} trials: {best.value:.4g}, trial {best.number + 1}", file=sys.stderr)
        print(f"  python run.py {' '.join([*words, *settings_of(best)])}", file=sys.stderr)
        return float(best.value)


def distribution(override: Override) -> Any:
    """Turn a sweep of Hydra's grammar into Optuna's distribution; ``tag(log, interval(...))`` is on a log scale.

    Raises ConfigError for one that can't be tuned.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    if isinstance(value, IntervalSweep):
        log = "log" in value.tags
        if "int" in value.tags:
            return IntDistribution(int(value.start or 0), int(value.end or 0), log=log)
        return FloatDistribution(float(value.start or 0), float(value.end or 0), log=log)
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
        if all(type(bound) is int for bound in (value.start, value.stop, value.step)):
            return IntDistribution(int(value.start), list(value.range())[-1], step=int(value.step))
        return FloatDistribution(float(value.start), list(value.range())[-1], step=float(value.step))
    raise ConfigError(f"can't tune '{override.input_line}'; use interval, range or choice")


def settings_of(trial: Any) -> list[str]:
    """Return a trial's settings as overrides."""
    return [f"{name}={value}" for name, value in trial.params.items()]


def value_of(returned: JobReturn) -> float | None:
    """Return a job's figure, None where the job failed or its record has none."""
    if returned.status != JobStatus.COMPLETED or returned.return_value is None:
        return None
    value = float(returned.return_value)
    return value if math.isfinite(value) else None
