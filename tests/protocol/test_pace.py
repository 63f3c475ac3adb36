"""Realtime audio, sent within what the server takes for real time, whatever the network makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.flow import BURST_S, REALTIME_FACTOR, FloodBudget
from protocol.pace import Pace

RATE = 16_000


def send_all(pace: Pace, now: float, most: int) -> list[int]:
    """The messages that go now, `most` samples of them all."""
    assert pace.piece is not None
    sent: list[int] = []
    while most > 0 and pace.wait(now) == 0:
        sent.append(min(most, pace.piece))
        pace.spend(sent[-1])
        most -= sent[-1]
    return sent


@given(
    steps=st.lists(st.tuples(st.sampled_from(["go", "stall"]), st.floats(0, 10), st.integers(1, 200_000))),
    burst_s=st.sampled_from([0.1, 1.0, BURST_S, 60.0]),
)
def test_who_keeps_the_pace_is_no_flood(steps: list[tuple[str, float, int]], burst_s: float) -> None:
    """Whatever is sent when, held up for however long and delivered at once: as long as no more than a burst
    is under way, the gateway's own budget never objects."""
    pace = Pace.of(RATE, REALTIME_FACTOR, burst_s)
    budget = FloodBudget(RATE, updated=0.0, burst_s=burst_s)
    assert pace.burst is not None
    now, held = 0.0, list[int]()
    for network, idle_s, samples in steps:
        now += idle_s
        held += send_all(pace, now, min(samples, pace.burst - sum(held)))
        if network == "go":
            assert all(budget.spend(one, now) for one in held)
            held.clear()


def test_what_was_held_and_what_follows_are_no_flood_together() -> None:
    """After a long stall: a burst that waited in the network, and at once all that is there besides."""
    pace = Pace.of(RATE, REALTIME_FACTOR, BURST_S)
    budget = FloodBudget(RATE, updated=0.0)
    assert pace.burst is not None
    held = send_all(pace, 0.0, pace.burst)
    arrived = 0
    for tick in range(200):
        now = 60 + tick / 100
        for samples in [*held, *send_all(pace, now, 10**6)]:
            assert budget.spend(samples, now)
            arrived += samples
        held = []
    assert arrived > 9 * RATE, "2 s at three times real time, and two bursts"


def test_live_audio_never_waits() -> None:
    """Nothing is added to the age of what is said."""
    pace = Pace.of(RATE, REALTIME_FACTOR, BURST_S)
    for frame in range(600):
        assert pace.wait(frame / 10) == 0
        pace.spend(RATE // 10)


def test_a_backlog_goes_out_in_no_time_and_then_evenly() -> None:
    """A burst at once, the rest at three quarters of what is allowed."""
    pace = Pace.of(RATE, REALTIME_FACTOR, BURST_S)
    assert sum(send_all(pace, 0.0, 10**6)) == 2.25 * RATE
    wait_s = pace.wait(0.0)
    assert 0 < wait_s < 0.001
    assert pace.wait(wait_s) == 0
    pace.spend(RATE)
    assert pace.wait(wait_s) == pytest.approx(1 / 3, rel=0.001)
    assert pace.wait(wait_s - 5) >= pace.wait(wait_s), "a clock set back does no harm"


@pytest.mark.parametrize(("factor", "burst_s"), [(None, 5), (4, None), (0, 0)])
def test_without_a_limit_there_is_no_pace(factor: float | None, burst_s: float | None) -> None:
    """A server that names no bounds has none."""
    pace = Pace.of(RATE, factor, burst_s)
    for _ in range(3):
        assert pace.wait(0.0) == 0
        pace.spend(10**9)
    assert (pace.burst, pace.piece) == (None, None)
