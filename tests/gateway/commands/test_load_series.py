"""What lies between two moments of a run, and how a ramp is held against expectations."""

import dataclasses

import pytest

from gateway.commands.load import Measured
from gateway.commands.load_expect import broken, capacity, parse_expectations
from gateway.commands.load_profiles import Profile
from gateway.commands.load_report import as_json, as_lines
from gateway.commands.load_series import Moment, Step, refusal, rss_slope
from gateway.commands.load_stats import ALL, Latency
from gateway.commands.procfs import Usage
from tests.gateway.commands.fake import Fake
from tests.gateway.commands.test_load import run

MIB = 1 << 20


def moment(at_s: float, *, live: int = 10, cpu_s: float = 0.0, rss: int = 0, gaps: int = 0) -> Moment:
    """One of a server with a child that uses as much as itself; the tool uses a tenth of a core."""
    usage = Usage(cpu_s, rss, cpu_s, 0)
    return Moment(at_s, live, 0, gaps, 0, 0, at_s / 10, usage)


def step(
    sessions: int, p99: float, *, gaps: int = 0, failed: int = 0, late: int = 0, whole: bool = True
) -> Step:
    """One of a ramp."""
    last = dataclasses.replace(moment(2.0, live=sessions, gaps=gaps), failed=failed, late_frames=late)
    told = Latency(10, 1.0, 1.0, p99, p99, p99, p99)
    return Step(sessions, moment(0.0), [moment(1.0, live=sessions), last], {ALL: told}, whole=whole)


def test_a_step_is_what_changed_in_it() -> None:
    """Session-seconds follow the live sessions; CPU and memory are told for each."""
    idle = Usage(0.0, 50 * MIB, 0.0, 0)
    moments = [
        moment(10.0, live=10, cpu_s=1.0),
        moment(12.0, live=20, cpu_s=1.5),
        moment(14.0, live=20, cpu_s=2.0, rss=67 * MIB),
    ]
    found = Step(20, moment(8.0), moments, {})
    assert (found.seconds, found.live_session_s) == (4.0, 70.0)
    assert found.own_busy == pytest.approx(0.1)
    server = found.server(idle)
    assert server is not None
    assert server.cpu_us_per_session_s == pytest.approx(1e6 / 70)
    assert server.busy == server.children_busy == pytest.approx(0.25)
    assert server.rss_kib_per_session == pytest.approx(17 * 1_024 / 17.5)
    assert found.server(None) is None


def test_memory_that_grows_has_a_slope() -> None:
    """Half a MiB in ten seconds are 180 in an hour; two looks are too few."""
    moments = [moment(float(at), rss=80 * MIB + at * MIB // 20) for at in range(11)]
    assert rss_slope(moments) == pytest.approx(180, rel=0.01)
    assert rss_slope(moments[:2]) is None
    assert rss_slope([dataclasses.replace(one, usage=None) for one in moments]) is None


def test_up_to_the_limit_nothing_is_refused() -> None:
    """70 % of a core and no late frame; one more of either is too much."""
    assert refusal(0.7, 0) is None
    assert refusal(0.71, 0) is not None
    assert refusal(0.0, 1) is not None


def ramped(*steps: Step) -> Measured:
    """A run with these steps."""
    short = run(Fake(), sessions=1)
    options = dataclasses.replace(short.options, profile=Profile.RAMP, steps=len(steps))
    return dataclasses.replace(short, options=options, steps=steps)


def test_capacity_is_the_last_step_before_one_that_breaks() -> None:
    """A later one that holds again doesn't count; what is only known of the whole run is judged once."""
    measured = ramped(step(10, 20.0), step(20, 40.0), step(30, 90.0), step(40, 30.0))
    expected = parse_expectations("p99=50ms,errors=0")
    assert capacity(measured, expected) == 20
    assert broken(measured, expected) == ["30 sessions: expected p99 ≤ 50 ms, got 90 ms"]
    lines = as_lines(measured, [], 20)
    assert "Capacity    20 sessions met the expectations" in lines
    told = as_json(measured, [], 20)
    assert (told["capacity"], [one["sessions"] for one in told["steps"]]) == (20, [10, 20, 30, 40])


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (step(10, 90.0), "10 sessions: expected p99 ≤ 50 ms, got 90 ms"),
        (step(10, 9.0, gaps=8), "10 sessions: expected gaps ≤ 0 samples, got 8 samples"),
        (
            step(10, 9.0, late=2),
            "10 sessions: expected p99 ≤ 50 ms, which can't be judged. The load tool was short of CPU: "
            "2 frames were sent more than one frame late.",
        ),
    ],
)
def test_no_step_may_meet_them(first: Step, told: str) -> None:
    """Then there is no capacity, and the report says so."""
    measured = ramped(first, step(20, 9.0))
    expected = parse_expectations("p99=50ms,gaps=0")
    assert capacity(measured, expected) is None
    assert told in broken(measured, expected)
    assert "Capacity    not even the first step met the expectations" in as_lines(measured, [], None)


def test_failed_sessions_end_the_capacity() -> None:
    """Without any expectation, sessions must at least not fail."""
    assert capacity(ramped(step(10, 1.0), step(20, 1.0, failed=1)), []) == 10
