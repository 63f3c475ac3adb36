"""Audio that is sent again, within what the server takes for real time."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.live.flow import BURST_S, REALTIME_FACTOR, FloodBudget
from protocol.pace import Pace


@given(st.lists(st.tuples(st.integers(1, 16_000), st.floats(0, 2)), max_size=100))
def test_who_keeps_the_pace_is_no_flood(messages: list[tuple[int, float]]) -> None:
    """Whatever is sent when, the gateway's own budget never objects."""
    pace = Pace.of(16_000, REALTIME_FACTOR, BURST_S)
    budget = FloodBudget(16_000, updated=0.0)
    now = 0.0
    for samples, idle_s in messages:
        now += idle_s
        now += pace.spend(samples, now)
        assert budget.spend(samples, now)


def test_a_backlog_goes_out_in_no_time_and_then_evenly() -> None:
    """A burst at once, the rest at three quarters of what is allowed."""
    pace = Pace.of(16_000, 4, 5)
    waits = [pace.spend(16_000, 0.0) for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3:] == [0.25 / 3, 1.25 / 3]


def test_without_a_limit_there_is_no_pace() -> None:
    """A server that names no bounds has none."""
    pace = Pace.of(16_000, None, 5)
    assert [pace.spend(10**9, 0.0) for _ in range(3)] == [0, 0, 0]
