"""A load run while it lasts: a live view in a terminal, a line every few seconds elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gateway.commands.load_report import ms
from gateway.commands.load_series import TRUSTED_BUSY, Moment
from gateway.commands.load_stats import ALL, Tally

PLAIN_EVERY_S = 5.0
"""Seconds from line to line"""
_LAST = 3
"""Seconds that the percentiles shown are taken from"""


@dataclass(frozen=True, slots=True)
class Status:
    """How things are."""

    at_s: float
    live: int
    failed: int
    events_s: float
    """Events a second since the moment before"""
    latency: tuple[float, float] | None
    """Median of the p50s and highest p99 of the last seconds, in ms; None where that is not to be trusted"""
    gap_samples: int
    server: tuple[float, float] | None
    """Share of a core, and MiB resident"""
    own_busy: float
    late_frames: int
    resumes: int


def status(before: Moment, now: Moment, tally: Tally) -> Status:
    """From two moments, the later of which is now."""
    seconds = max(1e-9, now.at_s - before.at_s)
    last = tally.latencies[ALL].seconds[-_LAST:]
    busy = (now.own_cpu_s - before.own_cpu_s) / seconds
    trusted = busy <= TRUSTED_BUSY and not now.late_frames
    server = None
    if before.usage is not None and now.usage is not None:
        used_s = now.usage.cpu_s + now.usage.children_cpu_s - before.usage.cpu_s - before.usage.children_cpu_s
        server = used_s / seconds, now.usage.rss / (1 << 20)
    return Status(
        at_s=now.at_s,
        live=now.live,
        failed=now.failed,
        events_s=(now.events - before.events) / seconds,
        latency=(median(one.p50 for one in last), max(one.p99 for one in last)) if last and trusted else None,
        gap_samples=now.gap_samples,
        server=server,
        own_busy=busy,
        late_frames=now.late_frames,
        resumes=tally.resumes,
    )


class LoadView:
    """Shows on `errors` how things are, so that the report alone is on standard output."""

    def __init__(self, errors: TextIO) -> None:
        self._errors = errors
        self._live: Live | None = None
        self._before: Moment | None = None
        self._next_s = PLAIN_EVERY_S

    @contextmanager
    def showing(self) -> Iterator[None]:
        """While it is looked at; the live view is gone afterwards."""
        if not self._errors.isatty():
            yield
            return
        console = Console(file=self._errors)
        with Live(console=console, transient=True, auto_refresh=False) as self._live:
            yield
        self._live = None

    def look(self, now: Moment, tally: Tally) -> None:
        """Show how things are."""
        before, self._before = self._before, now
        if before is None:
            return
        told = status(before, now, tally)
        if self._live is not None:
            self._live.update(panel(told), refresh=True)
        elif now.at_s >= self._next_s - 0.5:
            self._next_s += PLAIN_EVERY_S
            self._errors.write(f"{line(told)}\n")
            self._errors.flush()


def rows(told: Status) -> list[tuple[str, str]]:
    """What is shown, and under which name."""
    p50, p99 = map(ms, told.latency) if told.latency is not None else ("–", "–")
    found = [
        ("time", f"{told.at_s:.0f} s"),
        ("live", f"{told.live:,} sessions" + (f", {told.failed:,} failed" if told.failed else "")),
        ("events", f"{told.events_s:,.0f} a second"),
        ("latency", f"p50 {p50} ms, p99 {p99} ms"),
        ("gaps", f"{told.gap_samples:,} samples"),
    ]
    if told.resumes:
        found.append(("resumes", f"{told.resumes:,}"))
    if told.server is not None:
        found.append(("server", f"{told.server[0]:.0%} of a core, {told.server[1]:,.0f} MiB"))
    late = f", {told.late_frames:,} late frames" if told.late_frames else ""
    return [*found, ("load tool", f"{told.own_busy:.0%} of a core{late}")]


def line(told: Status) -> str:
    """All in one line."""
    return "; ".join(f"{name} {value}" for name, value in rows(told))


def panel(told: Status) -> Table:
    """One below the other."""
    grid = Table.grid(padding=(0, 2))
    for name, value in rows(told):
        grid.add_row(name, value)
    return grid
