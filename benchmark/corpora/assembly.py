"""From captures and what is said of them to a corpus: traces, splits, notes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.corpora.account import Account
from benchmark.corpora.capture_folder import CaptureFolder, Settings
from benchmark.corpora.label_table import MAXIMUM_WINDOWS, FileLabels
from benchmark.corpus import SPLITS, Corpus
from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS, Condition, Labels, Packets, Trace

SHARES = {"test": 0.3, "validation": 0.2}
TASKS = ("rung", "height", "startup", "stall", "fps", "bitrate")


@dataclass
class Assembly:
    """Traces as they come, by the capture that they are of, and the account of what doesn't."""

    settings: Settings
    folder: CaptureFolder
    account: Account = field(default_factory=Account)
    traces: dict[str, list[Trace]] = field(default_factory=dict)

    def add(self, name: str, packets: Packets, *, client: str = "", notes: Mapping[str, Any] | None = None) -> None:
        """Add a capture as one trace, or account for it: too short, or longer than any clock that is right.

        The trace lasts to its last packet, or to the end of the label that follows it, as where a link is dead.
        Raises CorpusError for labels without packets.
        """
        said, settings = self.folder.labels[name], self.settings
        if said.windows and not len(packets):
            raise CorpusError(f"{said.where}: '{name}' has labels, but no IP packets")
        windows = int(packets.ts[-1]) // round(settings.window * NANOSECONDS) + 1 if len(packets) else 0
        if len(packets) < settings.minimum:
            self.account.left_out[name] = f"{len(packets)} IP packets, fewer than {settings.minimum}"
        elif windows > MAXIMUM_WINDOWS:
            reason = f"{windows} windows to its last packet, over {MAXIMUM_WINDOWS}: cap dataset.duration"
            self.account.left_out[name] = reason
        else:
            duration = max(int(packets.ts[-1]) / NANOSECONDS, 0.001)
            labelled = self._labelled(name, said, windows, len(packets))
            if labelled > windows:
                windows, duration = labelled, labelled * settings.window
            condition = Condition(said.application, duration, settings.window, said.labels(windows))
            trace = Trace(name, packets, condition, client or settings.client, {"file": name, **(notes or {})})
            self.traces[name] = [trace]

    def _labelled(self, name: str, said: FileLabels, windows: int, packets: int) -> int:
        """Return the number of windows up to the last label; refuse labels of a time that was never captured."""
        settings = self.settings
        labelled = max(said.windows, default=-1) + 1
        if settings.duration is not None:
            labelled = min(labelled, math.ceil(settings.duration / settings.window))
        if name in self.account.cut or packets == settings.limit:
            labelled = min(labelled, windows)
        if labelled > windows + 1:
            end = f"the capture's last packet is in window {windows - 1}"
            raise CorpusError(f"{said.where}: '{name}' has a label of window {labelled - 1}, but {end}")
        return labelled

    def add_flows(
        self, name: str, packets: Packets, most: int | None = None, applications: Mapping[int, str] | None = None
    ) -> None:
        """Add each flow of a capture as a trace of its own, its times from its first packet, without labels.

        most: packets kept of a flow. applications: of the flows to keep, by number; all are the capture's if None.
        """
        whole = Trace(name, packets, Condition("", 0.0, self.settings.window, Labels.unknown(0)), self.settings.client)
        index = whole.flows.index
        order = np.argsort(index, kind="stable")
        bounds = np.searchsorted(index[order], np.arange(whole.flows.count + 1))
        small = unnamed = 0
        kept: list[Trace] = []
        for flow in range(whole.flows.count):
            application = self.folder.labels[name].application if applications is None else applications.get(flow, "")
            rows = order[bounds[flow] : bounds[flow + 1]][:most]
            if not application:
                unnamed += 1
            elif len(rows) < self.settings.minimum:
                small += 1
            else:
                kept.append(self._flow(packets.take(rows), application, name, flow))
        self.traces[name] = kept
        reasons = []
        if small:
            reasons.append(f"{small} of {whole.flows.count} flows have fewer than {self.settings.minimum} packets")
        if unnamed:
            reasons.append(f"{unnamed} of {whole.flows.count} flows have no application")
        if bounds[0]:
            reasons.append(f"{bounds[0]} of {len(packets)} packets are of no flow (fragments, other protocols)")
        if reasons:
            earlier = [self.account.cut.pop(name)] if name in self.account.cut else []
            (self.account.cut if kept else self.account.left_out)[name] = "; ".join(earlier + reasons)

    def _flow(self, packets: Packets, application: str, name: str, flow: int) -> Trace:
        packets = packets.shifted(-int(packets.ts[0]))
        duration = max(int(packets.ts[-1]) / NANOSECONDS, 0.001)
        windows = min(int(duration // self.settings.window) + 1, MAXIMUM_WINDOWS)
        condition = Condition(application, duration, self.settings.window, Labels.unknown(windows))
        return Trace(f"{name}#{flow:04d}", packets, condition, self.settings.client, {"file": name, "flow": flow})

    def finish(
        self,
        *,
        ladder: tuple[int, ...] = (),
        notes: Mapping[str, Any] | None = None,
        strata: Mapping[str, Hashable] | None = None,
    ) -> Corpus:
        """Split the traces, by capture, show the account, and return the corpus.

        strata: captures alike are split together; by default those of one application, labelled or not.
        Raises CorpusError for a split that stays empty.
        """
        labels = {name: self.folder.labels[name] for name, traces in self.traces.items() if traces}
        chosen = _split(
            labels, strata or {name: (said.application, bool(said.windows)) for name, said in labels.items()}
        )
        splits = {split: [t for name in labels if chosen[name] == split for t in self.traces[name]] for split in SPLITS}
        self._note_unlabelled(labels)
        self.account.show(self.settings.name)
        for split, members in splits.items():
            if not members:
                raise CorpusError(
                    f"{self.folder.path}: the {split} split has no trace ({len(labels)} captures of at least"
                    f" {self.settings.minimum} packets); an application needs three captures to be in every split"
                )
        return Corpus(
            name=self.settings.name,
            digest=self.folder.digest,
            window=self.settings.window,
            ladder=ladder,
            client=self.settings.client,
            unscored=_unscored(splits),
            notes={**self.account.notes(), **(notes or {})},
            **splits,
        )

    def _note_unlabelled(self, labels: Mapping[str, FileLabels]) -> None:
        """Account for windows without a row, where others have one."""
        if not any(said.windows for said in labels.values()):
            return
        for name, said in labels.items():
            windows = sum(len(trace.labels) for trace in self.traces[name])
            missing = windows - sum(number < windows for number in said.windows)
            if missing:
                self.account.unlabelled[name] = f"{missing} of {windows} windows"


def _split(labels: Mapping[str, FileLabels], strata: Mapping[str, Hashable]) -> dict[str, str]:
    """Return every capture's split: the one it was given, or one by the hash of its name within its stratum.

    Where that leaves a split empty, as when each application has a single capture, all are split together.
    """
    said = {name: label.split for name, label in labels.items() if label.split}
    free = {name: strata[name] for name, label in labels.items() if not label.split}
    splits = dict(said)
    for stratum in set(free.values()):
        splits |= _deal([name for name in free if free[name] == stratum])
    if free and set(splits.values()) != set(SPLITS):
        splits = said | _deal(list(free))
    return splits


def _deal(names: list[str]) -> dict[str, str]:
    """Deal files out by the hash of their names. Two go to training and test; with three, every split has one."""
    left = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    splits: dict[str, str] = {}
    for split, share in SHARES.items():
        count = max(round(share * len(names)), int(len(left) > (1 if split == "test" else 2)))
        splits |= dict.fromkeys(left[:count], split)
        left = left[count:]
    return splits | dict.fromkeys(left, "train")


def _unscored(splits: Mapping[str, Sequence[Trace]]) -> dict[str, str]:
    """Return the tasks that the labels don't reach, with the reason."""
    reasons = {}
    for task in TASKS:
        for split in ("train", "test"):
            if not any((np.asarray(getattr(trace.labels, task)) >= 0).any() for trace in splits[split]):
                reasons[task] = f"no trace of the {split} split has a label for {task}"
                break
    return reasons
