"""Our gateway beside the usual architecture, in one run: how many live sessions a core carries of each.

Ours twice where `.venv-fast` is there: as it is, and with its hot modules compiled (`make fast`).

    python -m benchmarks.usual

The usual one is `benchmarks.baseline`: base64 in JSON with an acknowledgement for each chunk, a new client
for each call to the sidecar, events over SSE. Both ask the same sidecar, which answers at once, one window a
session-second, two events a window. The server has the first core, clients and sidecar share the last; their
shares of it are told, as a core that is full measures itself.

How many it carries is found by bisection, each time on a fresh server, with all sessions live for 12 s. So
many hold if every window's tone comes, without a gap, and the median of the p99s of each second is at most
50 ms; where that is missed by little it is tried once more, as a neighbour's noise shouldn't decide. What is
told are the figures of the most that held, and those of the least that did not.
"""

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.rows import Results, Row, table
from gateway.commands.load_plots import Axis, Line, Plot
from gateway.commands.procfs import usage

LIMIT_MS: Final = 50.0
LIVE_S: Final = 12
"""Seconds with all sessions live."""
CLOSE: Final = 4.0
"""Times the limit: what is tried once more."""
USUAL: Final = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60)
OURS: Final = (250, 500, *range(1_000, 6_500, 500), 7_000, 8_000)
STARTS_A_SECOND: Final = 500
SERVE: Final = ("gateway", "serve")

_ROOT: Final = Path(__file__).parent.parent
_FAST: Final = _ROOT / ".venv-fast/bin/python"
COUNT: Final = f"live sessions with p99 ≤ {LIMIT_MS:g} ms"
CPU: Final = "CPU of the server"
RSS: Final = "RSS of the server"


@dataclass(frozen=True, slots=True)
class Loaded:
    """So many sessions, on one server."""

    report: dict[str, Any]
    """As of `undertone load --json`."""

    @property
    def sessions(self) -> int:
        return int(self.report["sessions"])

    @property
    def calm_p99_ms(self) -> float:
        return self._latency_ms("calm_p99")

    @property
    def p99_ms(self) -> float:
        return self._latency_ms("p99")

    @property
    def gaps(self) -> int:
        """Samples."""
        return int(sum(self.report["gap_samples"].values()))

    @property
    def _told(self) -> dict[str, float]:
        """Empty where no event came, or the clients were short of CPU themselves."""
        return (self.report["latency_ms"] or {}).get("all") or {}

    def _latency_ms(self, name: str) -> float:
        found = self._told.get(name)
        return float("inf") if found is None else float(found)


@dataclass(frozen=True, slots=True)
class Step(Loaded):
    """One beside an instant sidecar."""

    sidecar_busy: float
    """Share of a core, over the whole step."""

    @property
    def missing(self) -> int:
        """Windows without a tone."""
        report = self.report
        return self.sessions * int(report["duration_s"]) - int(report["events"].get("tone", 0))

    @property
    def close(self) -> bool:
        """Whether noise may have decided."""
        return not self._told or self.calm_p99_ms <= CLOSE * LIMIT_MS

    @property
    def complete(self) -> bool:
        """Whether every window's tone came, however late."""
        return not (self.missing or self.gaps or self.report["failed"])

    @property
    def holds(self) -> bool:
        return self.complete and self.calm_p99_ms <= LIMIT_MS


@dataclass(frozen=True, slots=True)
class Found:
    """How many sessions one architecture carries."""

    held: Step | None
    """The most that held."""
    broke: Step | None
    """The least that did not."""


Measure = Callable[[int], Step]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where all this is measured: a core for the server, another for the clients and the sidecar."""

    sidecar: str
    """Its address."""
    sidecar_pid: int
    server_core: int
    other_core: int

    def usual(self, sessions: int) -> Step:
        """So many sessions of the usual architecture."""
        core = self.server_core
        server = launched("benchmarks.baseline.server", "--port", "0", "--sidecar", self.sidecar, core=core)
        tool = ("benchmarks.baseline.clients", "--duration", f"{LIVE_S + 2}", "--ramp", "1")
        return _step(server, tool, sessions, self.other_core, self.sidecar_pid)

    def gateway(
        self, sessions: int, *more: str, command: Sequence[str] = SERVE, python: Path | None = None
    ) -> Step:
        """So many sessions of ours, on a fresh server.

        Args:
            more: options of `undertone load`.
            command: what serves it, as arguments of `python -m`.
            python: whose gateway it is; this one's by default.
        """
        ramp_s = max(1, sessions // STARTS_A_SECOND)
        server = self.serving(command, python)
        tool = ("gateway", "load", "--json", "--duration", f"{LIVE_S + ramp_s}", "--ramp", f"{ramp_s}", *more)
        return _step(server, tool, sessions, self.other_core, self.sidecar_pid)

    def serving(
        self,
        command: Sequence[str] = SERVE,
        python: Path | None = None,
        more: Mapping[str, str] | None = None,
    ) -> contextlib.AbstractContextManager[tuple[str, int]]:
        """Ours on its core, as of `launched`, with `more` settings; for the rest see `gateway`."""
        settings = _settings(self.sidecar)
        settings |= {f"UNDERTONE_{name}": value for name, value in (more or {}).items()}
        return launched(*command, "--port", "0", core=self.server_core, settings=settings, python=python)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """One whose sidecar runs."""
    open_files()
    cores = sorted(os.sched_getaffinity(0))
    with launched("benchmarks.instant", core=cores[-1]) as (sidecar, pid):
        yield Stage(sidecar, pid, cores[0], cores[-1])


def rows() -> list[Row]:
    """The figures alone."""
    return results().rows


def results() -> Results:
    """All, one after the other; takes about five minutes, or seven where there is a compiled build, too."""
    with stage() as here:
        theirs, pure = carried(here.usual, USUAL), carried(here.gateway, OURS)
        found = [*account("usual", theirs), *compared("ours", pure, "usual", theirs)]
        who = {"usual": theirs, "ours": pure}
        if _FAST.exists():
            fast = who["ours, compiled"] = carried(lambda count: here.gateway(count, python=_FAST), OURS)
            found += compared("ours, compiled", fast, "usual", theirs)
        return Results(found, drawn(who))


def carried(measure: Measure, counts: Sequence[int]) -> Found:
    """By bisection of `counts`, which rise."""
    held, broke = None, None
    low, high = 0, len(counts)
    while low < high:
        middle = (low + high) // 2
        step = measure(counts[middle])
        if not step.holds and step.close:
            step = measure(counts[middle])
        if step.holds:
            held, low = step, middle + 1
        else:
            broke, high = step, middle
    return Found(held, broke)


def compared(who: str, what: Found, base_name: str, to: Found) -> list[Row]:
    """What `who` came to, and what that is over the other's."""
    base = {row.name.partition(": ")[2]: row for row in account(base_name, to)}
    found = []
    for row in account(who, what):
        other = base.get(row.name.partition(": ")[2])
        if other is None or other.value <= 0 or other.name.partition(": ")[2] not in (COUNT, CPU, RSS):
            found.append(row)
        else:
            found.append(Row(row.name, row.value, row.unit, other.name, row.value / other.value))
    return found


def drawn(found: Mapping[str, Found]) -> list[Plot]:
    """Latency by percentile, each with the most sessions that held, or else the least that did not."""
    lines = []
    for who, one in found.items():
        step = one.held or one.broke
        points = {} if step is None else step.report["percentiles_ms"] or {}
        if step is not None and points:
            places = [(float(share), float(value)) for share, value in points.items()]
            lines.append(Line(f"{who}, {step.sessions:,} sessions", places))
    if not lines:
        return []
    told = "; ".join(f"{one.label}: at most {max(v for _, v in one.points):,.0f} ms" for one in lines)
    title = "Event latency by percentile, one server core each"
    return [Plot("usual", title, f"{told}.", "event latency, ms", lines, Axis.PERCENTILES)]


def account(who: str, found: Found) -> Iterator[Row]:
    """What one of them came to."""
    held, broke = found.held, found.broke
    yield Row(f"{who}: {COUNT}", held.sessions if held is not None else 0, "sessions")
    if held is not None:
        server = held.report["server"]
        yield Row(f"{who}: {CPU}", server["cpu_us_per_session_s"], "µs/session-second")
        yield Row(f"{who}: {RSS}", server["rss_kib_per_session"], "KiB/session")
        yield from _figures(f"{who}: ", held)
    if broke is not None:
        yield from _figures(f"{who}, too many: at {broke.sessions}, ", broke)


def _figures(prefix: str, step: Step) -> Iterator[Row]:
    yield Row(f"{prefix}event latency, median of 1 s p99s", step.calm_p99_ms, "ms")
    yield Row(f"{prefix}event latency p99", step.p99_ms, "ms")
    yield Row(f"{prefix}windows without an event", step.missing, "windows")
    yield Row(f"{prefix}share of its core the server used", step.report["server"]["busy"], "core")
    yield Row(f"{prefix}share of the other core the clients used", step.report["load_tool"]["busy"], "core")
    yield Row(f"{prefix}share of the other core the sidecar used", step.sidecar_busy, "core")


def open_files() -> None:
    """As many as may be, here and in the processes to come."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def gauge(url: str, name: str, **labels: str) -> float:
    """Of a gateway's metrics the first sample with these labels; 0 where there is none."""
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text
    for line in text.splitlines():
        if re.match(rf"{name}(?:\{{|\s)", line) and all(
            f'{key}="{of}"' in line for key, of in labels.items()
        ):
            return float(line.rpartition(" ")[2])
    return 0.0


# Processes ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def launched(
    module: str,
    *arguments: str,
    core: int | None = None,
    settings: dict[str, str] | None = None,
    python: Path | None = None,
) -> Iterator[tuple[str, int]]:
    """A server of its own process: the address it prints, and its id. No proxy stands between them.

    With a `python` of its own it runs what is installed there, and sees nothing of the sources here.
    """
    environment = os.environ | {"NO_PROXY": "*", "no_proxy": "*"} | (settings or {})
    if python is not None:
        environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [python or sys.executable, *(["-P"] if python else []), "-m", module, *arguments],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: pin(core),
    )
    assert process.stdout is not None
    try:
        found = next(filter(None, (re.search(r"http://[\w.:]+", line) for line in process.stdout)), None)
        if found is None:
            raise RuntimeError(f"{module} did not start")
        yield found.group(), process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def report(*command: str, core: int | None = None) -> dict[str, Any]:
    """What this load tool prints."""
    with reporting(*command, core=core) as tool:
        return said(tool)


def reporting(*command: str, core: int | None = None) -> subprocess.Popen[bytes]:
    """The same while it runs; `said` waits for what it prints."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: pin(core),
    )


def said(tool: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a load tool has printed at its end."""
    told: dict[str, Any] = json.loads(tool.communicate()[0])
    return told


def _step(
    server: contextlib.AbstractContextManager[tuple[str, int]],
    tool: Sequence[str],
    sessions: int,
    core: int,
    sidecar_pid: int,
) -> Step:
    with server as (url, pid):
        begun, before = time.monotonic(), usage(sidecar_pid).cpu_s
        told = report(*tool, "--sessions", str(sessions), "--url", url, "--pid", str(pid), core=core)
        busy = (usage(sidecar_pid).cpu_s - before) / (time.monotonic() - begun)
    step = Step(told, busy)
    server_busy, own = told["server"]["busy"], told["load_tool"]["busy"]
    print(
        f"  {tool[0]}: {sessions} sessions, p99 {step.calm_p99_ms:.0f} ms (whole run {step.p99_ms:.0f}), "
        f"{step.missing} missing; cores {server_busy:.0%} and {own:.0%} + {busy:.0%}",
        file=sys.stderr,
        flush=True,
    )
    return step


def _settings(sidecar: str) -> dict[str, str]:
    named = {
        "CLASSIFIER": "remote",
        "CLASSIFIER_URL": sidecar,
        "TRANSCRIBER": "none",
        "MAX_SESSIONS": "100000",
        "LOG_LEVEL": "warning",
    }
    return {f"UNDERTONE_{name}": value for name, value in named.items()}


def pin(core: int | None) -> None:
    """This process, to one core; None leaves it where it is."""
    if core is not None:
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    print(table(rows()))
