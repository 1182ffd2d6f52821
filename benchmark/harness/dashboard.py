"""The dashboard of a wandb project: ``python -m benchmark.harness.dashboard ENTITY/PROJECT`` makes it, by one command.

It needs wandb-workspaces (requirements-sweeps.lock) and an account; ``--json`` shows the definition without either
network or account.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any

from benchmark.harness.mirror import metric_key

EXAMPLES = """examples:
  python -m benchmark.harness.dashboard my-team/tracearena
  python -m benchmark.harness.dashboard my-team/tracearena --json
"""
# Metrics that methods are ranked by, a section each; bars are means over seeds, with their spread.
SECTIONS = {
    "Skill kept": (
        "downstream.rung.skill_kept",
        "downstream.rung.skill_over_independent",
        "downstream.height.skill_kept",
    ),
    "Timing, fidelity, copying": ("timing.distance", "fidelity.c2st", "memorisation.copied_share"),
    "Validity": ("validity.l1.raw", "validity.l2.raw", "validity.l2.repaired"),
    "Kernel": ("kernel.accuracy.rung", "kernel.added_insns", "kernel.map_bytes"),
}
COSTS = ("cost.fit_s", "cost.sample_packets_per_s")


def main(arguments: list[str] | None = None) -> int:
    """Make the dashboard, or print its definition; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.harness.dashboard", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("project", help="entity and project, such as my-team/tracearena")
    parser.add_argument("--json", action="store_true", help="print the definition and make nothing")
    chosen = parser.parse_args(arguments)
    entity, _, project = chosen.project.partition("/")
    if not entity or not project:
        print(f"error: '{chosen.project}' isn't of the form ENTITY/PROJECT", file=sys.stderr)
        return 2
    try:
        workspace = build(entity, project)
    except ImportError as error:
        print(f"error: {error}; pip install -r requirements-sweeps.lock", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(definition(workspace), indent=1, sort_keys=True))
        return 0
    print(workspace.save().url)
    return 0


def build(entity: str, project: str) -> Any:
    """Return the workspace, not yet saved. Raises ImportError where wandb-workspaces isn't installed."""
    workspaces: Any = importlib.import_module("wandb_workspaces.workspaces")
    reports: Any = importlib.import_module("wandb_workspaces.reports.v2")
    sections = [
        workspaces.Section(name=name, panels=[_bars(reports, metric) for metric in metrics], is_open=True)
        for name, metrics in SECTIONS.items()
    ]
    trade = [
        reports.ScatterPlot(
            title=f"skill kept against {cost}", x=reports.SummaryMetric(metric_key(cost)),
            y=reports.SummaryMetric(metric_key("downstream.rung.skill_kept")), log_x=True,
        )
        for cost in COSTS
    ]  # fmt: skip
    curves = [reports.LinePlot(title="learning curves", x="progress/step", metric_regex="progress/fit .*loss")]
    pictures = [reports.MediaBrowser(title="real and synthetic", media_keys=["picture"])]
    sections += [
        workspaces.Section(name="Price", panels=trade, is_open=True),
        workspaces.Section(name="Learning", panels=curves, is_open=True),
        workspaces.Section(name="Pictures", panels=pictures),
    ]
    return workspaces.Workspace(entity=entity, project=project, name="TraceArena", sections=sections)


def definition(workspace: Any) -> dict[str, Any]:
    """Return what would be sent, as JSON values, less the numbers that differ at each making."""
    view = workspace._to_model().spec.model_dump(mode="json", by_alias=True)
    sections = [
        {"name": section["name"], "panels": [_less_ids(panel) for panel in section["panels"]]}
        for section in view["section"]["panelBankConfig"]["sections"]
    ]
    return {"entity": workspace.entity, "project": workspace.project, "name": workspace.name, "sections": sections}


def _bars(reports: Any, metric: str) -> Any:
    return reports.BarPlot(
        title=metric, metrics=[reports.SummaryMetric(metric_key(metric))], groupby=reports.Config("generator"),
        groupby_aggfunc="mean", groupby_rangefunc="minmax", orientation="h",
    )  # fmt: skip


def _less_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _less_ids(inner) for name, inner in value.items() if name not in ("__id__", "id")}
    return [_less_ids(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
