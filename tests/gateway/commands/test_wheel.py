"""The pacing wheel: every member once a turn, at its due time, however late the machine is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.commands.wheel import Wheel


class Member:
    """Remembers when it was due, and leaves after `beats`."""

    def __init__(self, beats: int = 1_000_000) -> None:
        self.left = beats
        self.dues: list[float] = []

    def beat(self, due: float) -> bool:
        self.dues.append(due)
        self.left -= 1
        return self.left > 0


def turning(wheel: Wheel, clock: ManualClock, seconds: float, step: float = 0.001) -> None:
    for _ in range(round(seconds / step)):
        clock.advance(step)
        wheel.advance()


@given(members=st.integers(1, 60), step_ms=st.integers(1, 40))
def test_each_member_beats_once_a_turn(members: int, step_ms: int) -> None:
    """Over two seconds each member is called about 20 times, due times exactly a turn apart."""
    clock = ManualClock()
    wheel = Wheel(0.1, clock.monotonic)
    made = [Member() for _ in range(members)]
    for member in made:
        wheel.add(member)
    turning(wheel, clock, 2.0, step_ms / 1_000)
    for member in made:
        assert 19 <= len(member.dues) <= 21
        steps = [later - earlier for earlier, later in zip(member.dues, member.dues[1:], strict=False)]
        assert steps == pytest.approx([0.1] * len(steps), abs=1e-6)


def test_members_are_spread_evenly() -> None:
    """Members share the slots, so that no wake-up has much more to do than another."""
    wheel = Wheel(0.1, ManualClock().monotonic)
    for _ in range(45):
        wheel.add(Member())
    assert sorted({len(slot) for slot in wheel.slots}) == [2, 3]


def test_stall_is_caught_up_with_the_due_times() -> None:
    """After a stall every missed beat is made up, with the time it was due, and counted as late."""
    clock = ManualClock()
    wheel = Wheel(0.1, clock.monotonic)
    member = Member()
    wheel.add(member)
    turning(wheel, clock, 0.2)
    clock.advance(0.75)
    wheel.advance()
    assert member.dues[-1] - member.dues[0] == pytest.approx(0.1 * (len(member.dues) - 1))
    assert wheel.late >= 6
    assert wheel.worst_late_s > 0.6


def test_finished_members_leave() -> None:
    """A member that has nothing more to come is not called again."""
    clock = ManualClock()
    wheel = Wheel(0.1, clock.monotonic)
    member = Member(beats=3)
    wheel.add(member)
    turning(wheel, clock, 1.0)
    assert len(member.dues) == 3
    assert not any(wheel.slots)


def test_rest_until_the_next_slot() -> None:
    """`advance` says how long nothing is due."""
    clock = ManualClock()
    assert 0 < Wheel(0.1, clock.monotonic).advance() <= 0.005
