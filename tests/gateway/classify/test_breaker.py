"""A peer that fails is left alone, and tried with one call at a time."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.classify.breaker import Breaker, Permit
from gateway.clock import ManualClock


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def broken(clock: ManualClock) -> Breaker:
    breaker = Breaker(clock, failures=3, rest_s=2.0, longest_s=8.0)
    for _ in range(3):
        breaker.failed(admitted(breaker))
    return breaker


def test_only_failures_in_a_row_open_it() -> None:
    """A success in between begins the count anew."""
    breaker = Breaker(ManualClock(), failures=3)
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        outcome(admitted(breaker))
    assert not breaker.open
    assert breaker.admit()


def test_one_call_tries_the_peer_after_a_rest() -> None:
    """Others wait for what it says; its success lets all pass."""
    clock = ManualClock()
    breaker = broken(clock)
    assert breaker.open
    assert not breaker.admit()
    clock.advance(2.0)
    probe = admitted(breaker)
    assert not breaker.admit()
    breaker.succeeded(probe)
    assert breaker.admit()
    assert breaker.admit()


def test_each_failed_try_makes_the_rest_longer_up_to_a_bound() -> None:
    """2, 4, 8 and again 8 seconds; a success, and the next rest is short again."""
    clock = ManualClock()
    breaker = broken(clock)
    for rest in (2.0, 4.0, 8.0, 8.0):
        clock.advance(rest - 0.01)
        assert not breaker.admit()
        clock.advance(0.02)
        breaker.failed(admitted(breaker))
    clock.advance(8.0)
    breaker.succeeded(admitted(breaker))
    for _ in range(3):
        breaker.failed(admitted(breaker))
    clock.advance(2.0)
    assert breaker.admit()


def test_a_try_that_was_given_up_says_nothing() -> None:
    """The next call may try at once."""
    clock = ManualClock()
    breaker = broken(clock)
    clock.advance(2.0)
    breaker.release(admitted(breaker))
    assert breaker.open
    assert breaker.admit()


def test_calls_from_before_it_opened_change_nothing() -> None:
    """Neither a late failure nor a late success decides about the call that tries the peer."""
    clock = ManualClock()
    breaker = Breaker(clock, failures=1, rest_s=2.0)
    early, late, doomed = (admitted(breaker) for _ in range(3))
    breaker.failed(doomed)
    clock.advance(2.0)
    probe = admitted(breaker)
    breaker.failed(early)
    breaker.succeeded(late)
    assert breaker.open
    assert not breaker.admit()
    breaker.succeeded(probe)
    assert not breaker.open


class Calls(RuleBasedStateMachine):
    """Any number of calls at once, with any outcomes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.breaker = Breaker(self.clock)
        self.under_way: list[tuple[Permit, bool]] = []

    @rule()
    def call(self) -> None:
        was_open = self.breaker.open
        permit = self.breaker.admit()
        if permit is not None:
            self.under_way.append((permit, was_open))

    @rule(which=st.integers(0, 9), outcome=st.sampled_from(["succeeded", "failed", "release"]))
    def end(self, which: int, outcome: str) -> None:
        if self.under_way:
            permit, _ = self.under_way.pop(which % len(self.under_way))
            getattr(self.breaker, outcome)(permit)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def at_most_one_tries(self) -> None:
        assert sum(trying for _, trying in self.under_way) <= 1

    @invariant()
    def it_never_stays_shut(self) -> None:
        if not self.under_way:
            self.clock.advance(31)
            self.breaker.release(admitted(self.breaker))


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
