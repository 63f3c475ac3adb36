"""The breaker against its rule, and against a plain model of it."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.classify.breaker import CALLS, PROBE_S, WINDOW_S, Breaker, Permit, State

BEGIN = 1_000.0


def fail(breaker: Breaker, times: int, now: float = BEGIN) -> None:
    for _ in range(times):
        breaker.failed(breaker.begin(now), now)


def succeed(breaker: Breaker, times: int, now: float = BEGIN) -> None:
    for _ in range(times):
        breaker.succeeded(breaker.begin(now), now)


def test_it_opens_at_half_of_twenty() -> None:
    """Not at nineteen calls, however bad, nor at nine failures of twenty; at ten of twenty it does."""
    few, most, half = Breaker(), Breaker(), Breaker()
    fail(few, CALLS - 1)
    assert few.state is State.CLOSED
    succeed(most, 11)
    fail(most, 9)
    assert most.state is State.CLOSED
    succeed(half, 10)
    fail(half, 10)
    assert half.state is State.OPEN
    assert not half.admits(BEGIN)


def test_old_failures_are_forgotten() -> None:
    """What is more than ten seconds ago counts for nothing."""
    breaker = Breaker()
    fail(breaker, CALLS - 1)
    fail(breaker, 1, BEGIN + WINDOW_S)
    assert breaker.state is State.CLOSED
    assert breaker.counted(BEGIN + WINDOW_S) == (1, 1)


def test_one_probe_a_second() -> None:
    """The first a second after it opened; while it is out, and for a second, there is no other."""
    breaker = Breaker()
    breaker.trip(BEGIN)
    assert not breaker.admits(BEGIN + PROBE_S - 0.001)
    now = BEGIN + PROBE_S
    probe = breaker.begin(now)
    assert breaker.state is State.HALF_OPEN
    assert not breaker.admits(now + 100)
    breaker.failed(probe, now + 0.1)
    assert not breaker.admits(now + 0.9)
    assert breaker.admits(now + PROBE_S)


def test_a_good_probe_closes_it() -> None:
    """With a clean record."""
    breaker = Breaker()
    fail(breaker, CALLS)
    breaker.succeeded(breaker.begin(BEGIN + 1), BEGIN + 1)
    assert breaker.state is State.CLOSED
    assert breaker.counted(BEGIN + 1) == (0, 0)


def test_a_probe_that_was_given_up_shows_nothing() -> None:
    """It stays open, and another probe comes a second after that one."""
    breaker = Breaker()
    breaker.trip(BEGIN)
    breaker.abandoned(breaker.begin(BEGIN + 1))
    assert breaker.state is State.OPEN
    assert not breaker.admits(BEGIN + 1.5)
    assert breaker.admits(BEGIN + 2)


def test_what_was_begun_before_counts_for_nothing_after() -> None:
    """A late answer neither closes an open breaker nor blackens one that has closed again."""
    breaker = Breaker()
    late = [breaker.begin(BEGIN) for _ in range(40)]
    breaker.trip(BEGIN)
    breaker.succeeded(late.pop(), BEGIN)
    assert not breaker.admits(BEGIN)
    breaker.succeeded(breaker.begin(BEGIN + 1), BEGIN + 1)
    breaker.succeeded(late.pop(), BEGIN + 1)
    for permit in late:
        breaker.failed(permit, BEGIN + 1)
    assert breaker.state is State.CLOSED
    assert breaker.counted(BEGIN + 1) == (0, 0)


def test_somebody_is_there_again() -> None:
    """Then the probe needs no waiting."""
    breaker = Breaker()
    breaker.trip(BEGIN)
    breaker.probe_now(BEGIN + 0.1)
    assert breaker.probes(BEGIN + 0.1)


class Machine(RuleBasedStateMachine):
    """Calls begin, end in any order and late, and time passes; a list of what happened is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = BEGIN
        self.out: list[Permit] = []
        self.closed_since: deque[tuple[float, bool]] = deque()
        self.probes: list[float] = []

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.admits(self.now))
    @rule()
    def begin(self) -> None:
        expected = self.breaker.probes(self.now)
        permit = self.breaker.begin(self.now)
        assert permit.probe == expected
        if permit.probe:
            assert not self.probes or self.now - self.probes[-1] >= PROBE_S
            self.probes.append(self.now)
        self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(
        which=st.integers(0, 1_000), how=st.sampled_from(["well", "badly", "not"]), times=st.integers(1, 25)
    )
    def end(self, which: int, how: str, times: int) -> None:
        """Ends one call, or many in a row that begin and end at once."""
        permit = self.out.pop(which % len(self.out))
        for _ in range(times):
            self._end(permit, how)
            if not self.breaker.admits(self.now) or self.breaker.state is not State.CLOSED:
                break
            permit = self.breaker.begin(self.now)

    def _end(self, permit: Permit, how: str) -> None:
        before = self.breaker.state
        if how == "not":
            self.breaker.abandoned(permit)
            assert self.breaker.state is (
                State.OPEN if before is State.HALF_OPEN and permit.probe else before
            )
            return
        (self.breaker.succeeded if how == "well" else self.breaker.failed)(permit, self.now)
        if before is State.CLOSED:
            self._expect_closed(how == "badly", counted=True)
        elif permit.probe and before is State.HALF_OPEN:
            assert self.breaker.state is (State.CLOSED if how == "well" else State.OPEN)
            self.closed_since.clear()
        else:
            assert self.breaker.state is before

    def _expect_closed(self, failed: bool, *, counted: bool) -> None:
        self.closed_since.append((self.now, failed))
        seen = [bad for at, bad in self.closed_since if int(at) > int(self.now) - WINDOW_S]
        opens = failed and len(seen) >= CALLS and 2 * sum(seen) >= len(seen)
        if self.breaker.state is State.CLOSED and self.breaker.counted(self.now)[0] < len(seen):
            self.closed_since.pop()  # it was begun before the breaker closed last: it counts for nothing
            return
        assert self.breaker.state is (State.OPEN if opens else State.CLOSED)
        if opens:
            self.closed_since.clear()

    @rule()
    def trip(self) -> None:
        if self.breaker.state is State.CLOSED:
            self.closed_since.clear()
        self.breaker.trip(self.now)

    @invariant()
    def never_more_failures_than_calls(self) -> None:
        calls, failures = self.breaker.counted(self.now)
        assert 0 <= failures <= calls

    @invariant()
    def only_closed_or_due_admits(self) -> None:
        if self.breaker.state is State.HALF_OPEN:
            assert not self.breaker.admits(self.now)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
