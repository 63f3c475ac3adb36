"""What is told once for each thing."""

from gateway.clock import ManualClock
from gateway.seldom import Seldom


def test_each_thing_is_told_once() -> None:
    """Of the latest ones: what was not met for long is told again."""
    told = Seldom(most=2)
    assert [told.due(one) for one in "aabb"] == [True, False, True, False]
    assert told.due("a") is False
    assert told.due("c")
    assert [told.due(one) for one in "acb"] == [False, False, True]


def test_it_is_told_again_after_a_while() -> None:
    """Where that is wanted."""
    clock = ManualClock()
    told = Seldom(60.0, clock=clock.monotonic)
    assert told.due("a")
    clock.advance(59.0)
    assert not told.due("a")
    clock.advance(1.0)
    assert told.due("a")
    assert not told.due("a")
