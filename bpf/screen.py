"""The table of ``watch``: the busiest flows, one line each, with the quality of their last windows."""

from __future__ import annotations

from typing import TextIO

from bpf.live import Account, Flow

HISTORY = 6
_LINES = 20
_MOST_FLOWS = 10_000


class Screen:
    """Keeps what windows said and draws it. In a terminal it redraws; elsewhere it prints once at the end."""

    def __init__(self, title: str, period: float, out: TextIO) -> None:
        self._title, self._period, self._out = title, period, out
        self._terminal = out.isatty()
        self._said: dict[Flow, dict[int, tuple[int, str]]] = {}
        self._newest = 0

    def add(self, flow: Flow, index: int, down_bytes: int, words: str) -> None:
        """Keep a window of a flow."""
        self._newest = max(self._newest, index)
        said = self._said.pop(flow, {})
        said[index] = (down_bytes, words)
        # The flows heard of last stand last, so that the first is the one to forget.
        self._said[flow] = {each: said[each] for each in sorted(said)[-HISTORY:]}
        while len(self._said) > _MOST_FLOWS:
            del self._said[next(iter(self._said))]

    def draw(self, account: Account, last: bool = False) -> None:
        """Draw the table, if there is somewhere to."""
        if not self._terminal and not last:
            return
        if self._terminal:
            self._out.write("\x1b[H\x1b[J")
        self._out.write("\n".join(self.lines(account)) + "\n")
        self._out.flush()

    def lines(self, account: Account) -> list[str]:
        """The table as text; flows that the last windows didn't hear of are left out."""
        oldest = self._newest - HISTORY + 1
        recent = [(flow, said) for flow, said in self._said.items() if max(said) >= oldest]
        recent.sort(key=lambda entry: -sum(size for index, (size, _) in entry[1].items() if index >= oldest))
        rows = [("client", "server", "", "Mbit/s", f"quality, windows of {self._period:g} s")]
        for flow, said in recent[:_LINES]:
            rate = said[max(said)][0] * 8 / self._period / 1e6
            words = "  ".join(
                f"{said[index][1] if index in said else ' ':<10}" for index in range(oldest, self._newest + 1)
            )
            rows.append((flow.client, flow.server, flow.protocol, f"{rate:.2f}", words.strip()))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        skipped = ", ".join(f"{count} {name}" for name, count in account.skipped.items() if count) or "none"
        lost = f", results lost {account.lost}" if account.lost else ""
        return [
            self._title,
            f"packets {account.seen}, on flows {account.accounted}, skipped: {skipped}, "
            f"unaccounted {account.unaccounted}{lost}",
            "",
            *("  ".join([f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}", f"{row[2]:<{widths[2]}}",
                         f"{row[3]:>{widths[3]}}", row[4]]).rstrip() for row in rows),
        ]  # fmt: skip
