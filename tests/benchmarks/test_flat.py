"""Sessions in company: how far is climbed, and what is told as a ratio to what."""

from typing import Any

from benchmarks import flat
from benchmarks.usual import Step
from gateway.commands.load_plots import Axis


def _step(sessions: int, cpu: float = 600.0, p99: float | None = 20.0, **other: Any) -> Step:
    told = None if p99 is None else {"p99": p99, "calm_p99": p99 / 2}
    report: dict[str, Any] = {
        "sessions": sessions,
        "failed": 0,
        "duration_s": 13.0,
        "events": {"tone": 13 * sessions},
        "latency_ms": None,
        "steps": [{"latency_ms": None if told is None else {"all": told, "unobserved": told}}],
        "gap_samples": {},
        "observers": {"came": 200, "failures": {"lost": 2}},
        "server": {"cpu_us_per_session_s": cpu, "busy": 0.5, "rss_kib_per_session": 80.0},
    }
    return Step(report | other, 0.1)


def test_it_climbs_until_something_is_lost_twice() -> None:
    """Once may be a neighbour's noise; how late events came doesn't matter."""
    tried: list[int] = []

    def measure(sessions: int, *more: str) -> Step:
        tried.append(sessions)
        lost = sessions == 1_000 or tried == [100, 300]
        return _step(sessions, **({"failed": 1} if lost else {}))

    steps = flat.climbed(measure, (100, 300, 1_000, 2_000))
    assert tried == [100, 300, 300, 1_000, 1_000]
    assert [one.sessions for one in steps] == [100, 300]


def test_costs_are_ratios_to_the_smallest_number() -> None:
    """Of CPU and memory."""
    rows = flat.costs([_step(100, 800.0), _step(300, 600.0), _step(1_000, 400.0)])
    assert [row.ratio for row in rows] == [None, 0.75, 0.5, None, 1.0, 1.0]
    assert rows[2].ratio_to == "100 sessions: CPU of the server"


def test_latencies_without_observers_are_compared_with_those_beside_some() -> None:
    """The calmest pass of each counts."""
    count = 0

    def measure(sessions: int, *more: str) -> Step:
        nonlocal count
        count += 1
        assert bool(more) == (count % 2 == 0)
        return _step(sessions, p99=(30.0 if more else 20.0) * (1 if count > 2 else 5))

    rows = flat.observed(measure)
    assert [row.ratio for row in rows] == [None, 1.5, None, 1.5, None]
    assert rows[-1].value == 198


def test_no_ratio_is_made_up(capsys: Any) -> None:
    """Where the load tool was short of CPU, a note says so."""
    rows = flat.observed(lambda sessions, *more: _step(sessions, p99=None))
    assert [row.unit for row in rows] == ["observers"]
    assert "left out" in capsys.readouterr().err


def test_cpu_is_drawn_over_sessions() -> None:
    """With two numbers of sessions at least."""
    [plot] = flat.drawn([_step(100, 800.0), _step(300, 600.0)])
    assert plot.axis is Axis.SESSIONS
    assert plot.lines[0].points == [(100.0, 800.0), (300.0, 600.0)]
    assert flat.drawn([_step(100)]) == []
