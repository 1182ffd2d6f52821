"""Shows how far cells are: a bar a cell on a terminal, a line a stage elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmark.record import Record


class CellProgress:
    """Progress of one or several cells at once, written to standard error."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, soft_wrap=True)
        self.bars = Progress(
            TextColumn("{task.fields[cell]:>12}"), TextColumn("{task.description:24}"), BarColumn(),
            TextColumn("{task.completed:g}/{task.total:g} {task.fields[figures]}"), TimeElapsedColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> CellProgress:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def listen(self, event: Mapping[str, Any]) -> None:
        """Show one event of a cell's child."""
        cell, what = str(event.get("cell", "")), str(event.get("what", ""))
        if what.startswith("stage:"):
            self._stage(cell, what.removeprefix("stage:"), event)
            return
        if cell not in self.tasks:
            self.tasks[cell] = self.bars.add_task(what, total=1, cell=cell, figures="")
        figures = " ".join(
            f"{name} {value:.3g}"
            for name, value in event.items()
            if name not in ("cell", "what", "done", "total", "time") and isinstance(value, int | float)
        )
        self.bars.update(
            self.tasks[cell], description=what, completed=event["done"], total=event["total"], figures=figures
        )

    def say(self, text: str) -> None:
        """Write a line above the bars."""
        self.console.print(text, highlight=False, markup=False)

    def conclude(self, record: Record, found: bool) -> None:
        """Say how a cell ended."""
        how = ", found" if found else ""
        self.say(f"{record.method}: {record.status} {record.reason} (cell {record.cell}{how})")

    def _stage(self, cell: str, stage: str, event: Mapping[str, Any]) -> None:
        if not event["done"]:
            if not self.console.is_terminal and stage == "fit":
                self.say(f"{cell}: started")
            return
        how = "found" if event.get("reused") else f"{event['seconds']:.1f} s"
        self.say(f"{cell}: {stage} {how}")
        if stage == "score" and cell in self.tasks:
            self.bars.remove_task(self.tasks.pop(cell))
