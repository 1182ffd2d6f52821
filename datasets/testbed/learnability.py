"""Measure which labels of a corpus can be told from its packets at all, and write the answer into its manifest.

    python datasets/testbed/learnability.py datasets/streaming

For each downstream task a forest (the judge of ``benchmark.metrics.judge``, on the full feature set) is trained on four
fifths of the captured sessions and tested on the rest, in turn, over several random ways to cut them; no session is on
both sides. Beside it stands what always answers the training side's majority (or median), and three shortcuts: forests
that see nothing but the window's index, the application, or the bytes that came down. Losses of a window are means over
the cuts; intervals are bootstraps over sessions, and gains are paired. All traces are used, whatever their split.

A task is learnable if the 95 % interval of what the forest gains over the majority (or median) lies above zero. What
isn't, goes into the manifest's ``unscored`` with the reason; the figures go into its notes, and from there into the
card.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from joblib import parallel_config

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import task_figures
from benchmark.corpora.embedded import load
from benchmark.corpora.manifest import read_manifest, write_manifest
from benchmark.corpora.soundness import fault_of
from benchmark.corpus import SPLITS, Corpus
from benchmark.errors import CorpusError
from benchmark.quality.features import FEATURE_SETS, extract_all
from benchmark.quality.task import TASKS
from corpus_card import write_card

BY_SET = "rung"  # the task that is measured on every feature set


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the corpus's folder, with its manifest.json")
    folder = parser.parse_args(arguments).folder
    try:
        write_learnability(folder)
    except CorpusError as error:
        print(f"learnability: {error}", file=sys.stderr)
        return 1
    return 0


def write_learnability(folder: Path) -> None:
    """Measure a corpus and write the figures and ``unscored`` into its manifest, then its card's tables."""
    corpus = load({"name": folder.name, "path": str(folder.resolve())}, folder)
    path = folder / "manifest.json"
    manifest = read_manifest(path)
    sessions = {entry.name: entry.session or entry.name for entry in manifest.traces}
    found = measure(corpus, sessions)
    notes = {**manifest.notes, "learnability": {"digest": manifest.traces_digest(), **found}}
    reasons = unscored(found["tasks"], manifest.unscored, _missing(corpus))
    write_manifest(path, replace(manifest, unscored=reasons, notes=notes))
    write_card(folder)


def unscored(
    tasks: Mapping[str, task_figures.Figures], earlier: Mapping[str, str] | None = None, missing: Container[str] = ()
) -> dict[str, str]:
    """Return the labels that aren't learnable, with the reason: a label is, if the task that bears its name is.

    earlier: reasons given before; they stay where no window has the label, or where it is in ``missing``, the labels
    that some trace lacks altogether.
    """
    earlier = earlier or {}
    reasons: dict[str, str] = {}
    for name in (name for name, task in TASKS.items() if name == task.label):
        figures = tasks[name]
        if name in earlier and (not figures["windows"] or (figures["learnable"] and name in missing)):
            reasons[name] = earlier[name]
        elif not figures["learnable"]:
            reasons[name] = figures["reason"]
    return reasons


def measure(corpus: Corpus, sessions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the figures of every task, and of the rung on every feature set, as plain values.

    sessions: captured session by trace name; default each trace its own.
    """
    traces = [trace for split in SPLITS for trace in getattr(corpus, split)]
    named = [(sessions or {}).get(trace.name, trace.name) for trace in traces]
    tables = extract_all(traces)
    workers = len(os.sched_getaffinity(0))
    # Forests give the interpreter lock away while they grow, so that threads suffice.
    with parallel_config(backend="threading", n_jobs=workers):
        tasks = {
            name: task_figures.measure_task(task, traces, tables, corpus.ladder, named) for name, task in TASKS.items()
        }
        sets = {}
        if tasks[BY_SET]["learnable"]:
            for chosen in FEATURE_SETS:
                examples = task_figures.examples_of(TASKS[BY_SET], traces, tables, corpus.ladder, named, chosen)
                sums = task_figures.sums_of(TASKS[BY_SET], {task_figures.FOREST: examples}, named)
                sets[chosen] = task_figures.score_of(TASKS[BY_SET], sums, task_figures.FOREST)
    return {"seeds": list(task_figures.SEEDS), "folds": task_figures.FOLDS, "tasks": tasks, "sets": sets}


def _missing(corpus: Corpus) -> set[str]:
    """Return the labels that some trace has in none of its windows, which a corpus must excuse to load."""
    labels = {task.label for task in TASKS.values()}
    traces = [trace for split in SPLITS for trace in getattr(corpus, split)]
    return {
        label
        for label in labels
        if any(fault_of(trace, corpus.window, corpus.ladder, labels - {label}) for trace in traces)
    }


if __name__ == "__main__":
    sys.exit(main())
