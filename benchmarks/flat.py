"""Whether a session costs the same in company, and whether it suffers from observers of another one.

    python -m benchmarks.flat

One server core, a sidecar that answers at once, one window a session-second, two events a window: as in
`benchmarks.usual`, which measures each number of sessions on a fresh server, 12 s with all of them live. What
a session costs is told beside the smallest number, as far as the machine carries more: every window's tone
must come, how late is not asked.

Then `OBSERVED_AMONG` sessions, with `OBSERVERS` read-only sockets on one of them and without any, in turns:
the latency of the sessions that nobody observes. Of each the calmest pass counts, as whatever else runs here
only adds.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.rows import Results, Row, table
from benchmarks.usual import Step, stage
from gateway.commands.load_plots import Axis, Line, Plot

COUNTS: Final = (100, 300, 1_000, 2_000, 3_000, 4_000, 5_000)
OBSERVED_AMONG: Final = 300
OBSERVERS: Final = 200
PASSES: Final = 3

Measure = Callable[..., Step]
"""Takes the number of sessions, and more options of `undertone load`."""


def rows() -> list[Row]:
    """The figures alone."""
    return results().rows


def results() -> Results:
    """Takes about five minutes."""
    with stage() as here:
        steps = climbed(here.gateway, COUNTS)
        return Results([*costs(steps), *observed(here.gateway)], drawn(steps))


def climbed(measure: Measure, counts: Sequence[int]) -> list[Step]:
    """From few to many, until so many lose something twice; those that didn't, but the first in any case."""
    steps: list[Step] = []
    for count in counts:
        step = measure(count)
        if not step.complete:
            step = measure(count)
        if steps and not step.complete:
            break
        steps.append(step)
    return steps


def costs(steps: Sequence[Step]) -> list[Row]:
    """CPU and memory of a session, as ratios to the first."""
    found = []
    for name, key, unit in (
        ("CPU of the server", "cpu_us_per_session_s", "µs/session-second"),
        ("RSS of the server", "rss_kib_per_session", "KiB/session"),
    ):
        first: Row | None = None
        for step in steps:
            value = float(step.report["server"][key])
            told = f"{step.sessions:,} sessions: {name}"
            if first is None or not first.value:
                found.append(Row(told, value, unit))
                first = first or found[-1]
            else:
                found.append(Row(told, value, unit, first.name, value / first.value))
    return found


def observed(measure: Measure) -> list[Row]:
    """Sessions without observers, while another one has none and while it has many."""
    alone, beside = [], []
    for _ in range(PASSES):
        alone.append(measure(OBSERVED_AMONG))
        beside.append(measure(OBSERVED_AMONG, "--observers", str(OBSERVERS), "--observed", "1"))
    found = []
    for name, key in (("p99", "p99"), ("median of 1 s p99s", "calm_p99")):
        before, value = _least(alone, "all", key), _least(beside, "unobserved", key)
        if before is None or value is None:
            print("latencies are left out: the load tool was short of CPU", file=sys.stderr)
            break
        base = Row(f"nobody observed: {name}", before, "ms")
        told = f"{OBSERVERS} observers on another: {name}"
        found += [base, Row(told, value, "ms", base.name, value / before)]
    came = sum(_reading(step) for step in beside) / len(beside)
    found.append(Row(f"observers that came and stayed, of {OBSERVERS}", came, "observers"))
    return found


def drawn(steps: Sequence[Step]) -> list[Plot]:
    """CPU of a session-second over the number of sessions."""
    points = [(float(one.sessions), float(one.report["server"]["cpu_us_per_session_s"])) for one in steps]
    if len(points) < 2:
        return []
    told = ", ".join(f"{value:,.0f} µs at {sessions:,.0f}" for sessions, value in points)
    title = "CPU of the server for a session's second, over live sessions"
    line = Line("one server core, instant sidecar", points)
    return [Plot("flat", title, f"{told}.", "CPU, µs per session-second", [line], Axis.SESSIONS)]


def _least(steps: Sequence[Step], group: str, key: str) -> float | None:
    """Milliseconds of the calmest pass, while all sessions were live; None where none was told."""
    told = [((one.report["steps"][0]["latency_ms"] or {}).get(group) or {}).get(key) for one in steps]
    return min((float(one) for one in told if one is not None), default=None)


def _reading(step: Step) -> int:
    told = step.report["observers"]
    return int(told["came"]) - sum(map(int, told["failures"].values()))


if __name__ == "__main__":
    print(table(rows()))
