"""Live sessions of real-time speech on a whole small machine, classified by the gateway itself.

    python -m benchmarks.embedded

The server (embedded acoustic classifier, no words, all settings as they come) and `undertone load` share the
first two cores that this process may use; nobody is pinned to one of them. The load tool's share is told.
So many sessions hold if none fails, there is no gap, and the median of the p99s of each second is at most
250 ms. (Not every window has a tone: speech has pauses.) A step that is missed by little is tried once more,
as a neighbour's noise shouldn't decide. Steps go up until one does not hold.

For each step that was measured the cost of a session's second is told, of the server and of its workers.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.rows import Row, table
from benchmarks.usual import Loaded, gauge, launched, open_files, report

LIMIT_MS: Final = 250.0
STEPS: Final = (300, 600, 900, 1_200)
LIVE_S: Final = 20
"""Seconds with all sessions live."""
STARTS_A_SECOND: Final = 100
CORES: Final = 2
CLOSE: Final = 4.0
"""Times the limit: what is tried once more."""
WORKERS_S: Final = 20.0
"""Seconds after which nobody waits for worker processes any more."""
_SETTINGS: Final = {
    "UNDERTONE_TRANSCRIBER": "none",
    "UNDERTONE_MAX_SESSIONS": "100000",
    "UNDERTONE_LOG_LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Step(Loaded):
    """On a server that classifies by itself."""

    workers: int
    """Processes that classified."""
    batch: int
    """Most windows in a batch, as the server chose."""

    @property
    def holds(self) -> bool:
        return not (self.gaps or self.report["failed"]) and self.calm_p99_ms <= LIMIT_MS

    @property
    def close(self) -> bool:
        """Whether noise may have decided."""
        return not self.holds and self.calm_p99_ms <= CLOSE * LIMIT_MS


Measure = Callable[[int], Step]


def rows() -> list[Row]:
    """Step by step; takes about three minutes."""
    open_files()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:CORES])  # the children's, too
    try:
        return list(told(climbed(measured, STEPS)))
    finally:
        os.sched_setaffinity(0, before)


def climbed(measure: Measure, steps: Sequence[int]) -> list[Step]:
    """Every step up to the first that does not hold."""
    found: list[Step] = []
    for sessions in steps:
        step = measure(sessions)
        if step.close:
            again = measure(sessions)
            step = again if again.holds else min(step, again, key=lambda one: one.calm_p99_ms)
        found.append(step)
        if not step.holds:
            break
    return found


def measured(sessions: int) -> Step:
    """That many, on a fresh server."""
    ramp_s = max(1, sessions // STARTS_A_SECOND)
    with launched("gateway", "serve", "--port", "0", settings=_SETTINGS) as (url, pid):
        wait_for_workers(url)
        step = Step(
            report(
                *("gateway", "load", "--json", "--url", url, "--pid", str(pid)),
                *("--sessions", str(sessions), "--duration", str(LIVE_S + ramp_s), "--ramp", str(ramp_s)),
            ),
            int(gauge(url, "undertone_classifier_workers", kind="process")),
            int(gauge(url, "undertone_classifier_batch_limit")),
        )
    server, tool = step.report["server"], step.report["load_tool"]["busy"]
    busy = server["busy"] + server["children_busy"]
    print(
        f"  {sessions} sessions, p99 {step.calm_p99_ms:.0f} ms (whole run {step.p99_ms:.0f}), {step.gaps} "
        f"samples of gaps; the server used {busy:.2f} cores, the load tool {tool:.2f}",
        file=sys.stderr,
        flush=True,
    )
    return step


def wait_for_workers(url: str) -> None:
    """Until the server has chosen how it classifies; threads answer until then, and go on where it chose
    them."""
    until = time.monotonic() + WORKERS_S
    while not gauge(url, "undertone_classifier_workers", kind="process") and time.monotonic() < until:
        time.sleep(0.1)


def told(steps: Sequence[Step]) -> Iterator[Row]:
    """What came out; a step's costs beside those of the first."""
    held = max((step.sessions for step in steps if step.holds), default=0)
    yield Row(f"live sessions with p99 ≤ {LIMIT_MS:g} ms and no gap", held, "sessions")
    first: dict[str, Row] = {}
    for step in steps:
        for row in _figures(step):
            name = row.name.partition(": ")[2]
            base = first.setdefault(name, row)
            compared = base is not row and row.unit.endswith("session-second") and base.value > 0
            yield Row(row.name, row.value, row.unit, base.name, row.value / base.value) if compared else row


def _figures(step: Step) -> Iterator[Row]:
    server = step.report["server"]
    of = f"{step.sessions} sessions"
    yield Row(f"{of}: event latency, median of 1 s p99s", step.calm_p99_ms, "ms")
    yield Row(f"{of}: event latency p99, whole run", step.p99_ms, "ms")
    yield Row(f"{of}: gaps", step.gaps, "samples")
    yield Row(f"{of}: sessions failed", step.report["failed"], "sessions")
    yield Row(f"{of}: CPU of the server itself", server["cpu_us_per_session_s"], "µs/session-second")
    yield Row(f"{of}: CPU of its workers", server["children_cpu_us_per_session_s"], "µs/session-second")
    yield Row(
        f"{of}: cores the server and its workers used", server["busy"] + server["children_busy"], "cores"
    )
    yield Row(f"{of}: cores the load tool used", step.report["load_tool"]["busy"], "cores")
    yield Row(f"{of}: worker processes", step.workers, "processes")
    yield Row(f"{of}: most windows in a batch", step.batch, "windows")


if __name__ == "__main__":
    print(table(rows()))
