"""How many sessions a whole machine carries: what counts as held, and that it is really measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import embedded, usual
from benchmarks.embedded import Step

needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures by /proc")


def step(sessions: int, p99_ms: float | None, **other: Any) -> Step:
    """One that lost nothing, unless told."""
    server = {"cpu_us_per_session_s": 600.0, "children_cpu_us_per_session_s": 1_200.0}
    told: dict[str, Any] = {
        "sessions": sessions,
        "duration_s": 10,
        "failed": 0,
        "gap_samples": {},
        "latency_ms": None if p99_ms is None else {"all": {"calm_p99": p99_ms, "p99": 2 * p99_ms}},
        "server": server | {"busy": 0.5, "children_busy": 1.0},
        "load_tool": {"busy": 0.1},
    }
    return Step(told | other, 2, 16)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (step(300, 250.0), True),
        (step(300, 251.0), False),
        (step(300, None), False),
        (step(300, 20.0, failed=1), False),
        (step(300, 20.0, gap_samples={"overload": 1}), False),
    ],
)
def test_what_holds(one: Step, expected: bool) -> None:
    """In time, nothing lost, nobody failed."""
    assert one.holds is expected


@pytest.mark.parametrize(
    ("latencies", "asked", "held"),
    [
        ((20, 30, 40, 50), [300, 600, 900, 1_200], 1_200),
        ((20, 2_000), [300, 600], 300),
        ((20, 600, 200, 2_000), [300, 600, 600, 900], 600),
        ((20, 600, 600), [300, 600, 600], 300),
        ((2_000,), [300], 0),
    ],
)
def test_steps_go_up_until_one_does_not_hold(latencies: Sequence[float], asked: list[int], held: int) -> None:
    """One that is missed by little is tried once more."""
    answers, seen = iter(latencies), []

    def measure(sessions: int) -> Step:
        seen.append(sessions)
        return step(sessions, next(answers))

    rows = list(embedded.told(embedded.climbed(measure, embedded.STEPS)))
    assert seen == asked
    assert rows[0].value == held
    costs = [row for row in rows if row.unit.endswith("session-second")]
    assert [row.ratio for row in costs[2:]] == [1.0] * (len(costs) - 2)


@needs_linux
def test_it_is_the_workers_that_are_measured() -> None:
    """On a real server: it waits for them, and knows how many there are."""
    settings = {"UNDERTONE_TRANSCRIBER": "none", "UNDERTONE_CLASSIFY_WORKER_KIND": "process"}
    with usual.launched("gateway", "serve", "--port", "0", settings=settings) as (url, _):
        embedded.wait_for_workers(url)
        assert usual.gauge(url, "undertone_classifier_workers", kind="process") >= 1
        assert 1 <= usual.gauge(url, "undertone_classifier_batch_limit") <= 32
        assert usual.gauge(url, "no_such_metric") == 0
