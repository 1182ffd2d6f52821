"""Show the flows that pass a device, and at the end of each window the quality that the kernel inferred.

The probe runs inside the kernel, on this device, for as long as the command does: it is gone after Ctrl-C, SIGTERM and
even SIGKILL. Nothing is shown where hardware forwards flows past it; the exit status is then 2.

A model fits the traffic that it was trained on: by default streaming video in windows of 10 s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.errors import Unsupported
from bpf import offload
from bpf.attach import HOOKS, attach, find_device
from bpf.fitted import Fitted, fit, of_cell
from bpf.live import Live, Window, device_packets
from bpf.probe import LoadedProbe, ProbeOptions
from bpf.screen import Screen

EXAMPLES = """examples:
  python -m bpf watch br-lan                                     a table, refreshed, until Ctrl-C
  python -m bpf watch br-lan --client 192.168.1.0/24             whose addresses are clients' (else: who spoke first)
  python -m bpf watch wan --json | jq 'select(.kind == "window") | .quality'
  python -m bpf watch br-lan --probe mlp --hook tcx              another model, another hook
  python -m bpf watch br-lan --model results/cells/0123456789ab  the model that a cell trained on its synthetic traces
"""
LEAST_BYTES = 50_000
_FEWEST = 1000
_FLOWS, _RESULTS = 4096, 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("device", metavar="DEV", help="network device, such as br-lan or eth0")
    parser.add_argument("--probe", default="forest", help="quality model, a name of conf/probe (default: forest)")
    parser.add_argument("--dataset", default="streaming", help="corpus that it is fitted on (default: streaming)")
    parser.add_argument("--model", type=Path, metavar="CELL", help="a cell's folder: its model instead")
    parser.add_argument("--features", metavar="F", help="feature set F0 to F5 (default: the probe's own)")
    parser.add_argument("--hook", default="tc", choices=HOOKS, help="where it attaches; xdp sees what comes in alone")
    parser.add_argument("--loader", default="libbpf", choices=("libbpf", "bcc"), help="how it is loaded")
    parser.add_argument("--client", default="", metavar="PREFIX", help="prefix of the clients' addresses")
    parser.add_argument("--window", type=float, metavar="S", help="seconds of a window (default: the corpus's)")
    parser.add_argument("--least", type=int, default=LEAST_BYTES, metavar="B", help="bytes of a window worth judging")
    parser.add_argument("--seconds", type=float, metavar="S", help="end by itself after so long")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each window of each flow")


def run(chosen: argparse.Namespace) -> int:
    """Watch until told to end; return the exit status."""
    device = find_device(chosen.device)
    offload.refuse_hidden(device.name)
    fitted = of_cell(chosen.model) if chosen.model else _fit(chosen)
    options = ProbeOptions(
        features=fitted.features,
        hook=chosen.hook,
        client=chosen.client,
        blob=fitted.model.blob,
        replay=False,
        no_ethernet=not device.ethernet,
        flows=_FLOWS,
        results=_RESULTS,
        loader=chosen.loader,
    )
    period = chosen.window or fitted.window
    out: Report = Lines(fitted, chosen) if chosen.json else Table(fitted, chosen)
    with _until_told(), LoadedProbe(options) as probe:
        live = Live(probe, period)
        try:
            with attach(chosen.hook, probe.program.descriptor, device):
                print(f"watching {device.name} at {chosen.hook}; Ctrl-C ends it", file=sys.stderr, flush=True)
                _follow(live, out, chosen, period)
        except Told:
            pass
        for window in live.close_all():
            out.window(live, window)
        out.end(live)
    return 0


class Told(BaseException):
    """A signal asked for the end."""


class Report(ABC):
    """What is done with each window, and at the end."""

    def __init__(self, fitted: Fitted, chosen: argparse.Namespace) -> None:
        self.fitted, self.chosen = fitted, chosen

    def judged(self, window: Window) -> bool:
        """Whether there was enough in the window for the model's answer to mean anything."""
        return window.judged and window.down_bytes >= self.chosen.least

    @abstractmethod
    def window(self, live: Live, window: Window) -> None:
        """A window closed."""

    @abstractmethod
    def refresh(self, live: Live) -> None:
        """Some time has passed."""

    @abstractmethod
    def end(self, live: Live) -> None:
        """All windows are told."""


class Lines(Report):
    """Lines of JSON: ``kind`` is window or end."""

    def window(self, live: Live, window: Window) -> None:
        """Print a window; quality is null where there was too little to judge."""
        value, words = self.fitted.say(window.label, window.score) if self.judged(window) else (None, None)
        begin = datetime.fromtimestamp(live.begins(window.index), UTC)
        self._print(
            kind="window",
            device=self.chosen.device,
            begin=begin.isoformat(timespec="milliseconds"),
            window=window.index,
            client=window.flow.client,
            server=window.flow.server,
            protocol=window.flow.protocol,
            down_bytes=window.down_bytes,
            task=self.fitted.task,
            value=value,
            quality=words,
        )

    def refresh(self, live: Live) -> None:
        """Say nothing: lines are for windows."""

    def end(self, live: Live) -> None:
        """Print the account of packets."""
        account = live.account()
        self._print(
            kind="end",
            device=self.chosen.device,
            seen=account.seen,
            accounted=account.accounted,
            skipped=dict(account.skipped),
            unaccounted=account.unaccounted,
            lost=account.lost,
        )

    def _print(self, **fields: Any) -> None:
        print(json.dumps(fields), flush=True)


class Table(Report):
    """A table of the busiest flows, redrawn in a terminal and printed at the end elsewhere."""

    def __init__(self, fitted: Fitted, chosen: argparse.Namespace) -> None:
        super().__init__(fitted, chosen)
        title = f"{chosen.device}, {chosen.hook}, {fitted.features}, {fitted.task}: {fitted.origin}"
        self._screen = Screen(title, chosen.window or fitted.window, sys.stdout)

    def window(self, live: Live, window: Window) -> None:
        """Keep it for the table."""
        words = self.fitted.say(window.label, window.score)[1] if self.judged(window) else "·"
        self._screen.add(window.flow, window.index, window.down_bytes, words)

    def refresh(self, live: Live) -> None:
        """Draw."""
        self._screen.draw(live.account())

    def end(self, live: Live) -> None:
        """Draw for the last time."""
        self._screen.draw(live.account(), last=True)


def check_seen(device: str, counted: int, seen: int) -> None:
    """Raise Unsupported where the device counted many packets and the hook saw less than half of them."""
    if counted >= _FEWEST and seen < counted / 2:
        raise Unsupported(
            f"{device} counted {counted} packets while its hook saw {seen}: something takes packets past the hook, "
            "so that there is nothing true to report"
        )


def _fit(chosen: argparse.Namespace) -> Fitted:
    print(f"{chosen.probe}: fitting it on {chosen.dataset}, the first time only", file=sys.stderr)
    return fit(chosen.probe, chosen.dataset, chosen.features)


def _follow(live: Live, out: Report, chosen: argparse.Namespace, period: float) -> None:
    device, both = chosen.device, chosen.hook != "xdp"
    end = time.monotonic() + chosen.seconds if chosen.seconds else float("inf")
    pause = min(1.0, period / 4)

    def counted() -> int:
        received, sent = device_packets(device)
        return received + sent if both else received

    checked, before, seen = time.monotonic(), counted(), live.account().seen
    while time.monotonic() < end:
        time.sleep(max(0.0, min(pause, end - time.monotonic())))
        live.close_silent()
        for window in live.read():
            out.window(live, window)
        out.refresh(live)
        if time.monotonic() - checked >= max(period, 5.0):
            now, account = counted(), live.account()
            check_seen(device, now - before, account.seen - seen)
            offload.refuse_hidden(device)
            checked, before, seen = time.monotonic(), now, account.seen


@contextlib.contextmanager
def _until_told() -> Iterator[None]:
    def tell(*_: object) -> None:
        raise Told

    previous: dict[signal.Signals, Callable[..., Any] | int | None] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        previous[number] = signal.signal(number, tell)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
