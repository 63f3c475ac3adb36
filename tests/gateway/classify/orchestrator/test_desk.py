"""Allocations as a state machine: none leaked, none used after it was given back, one in use per scope."""

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from gateway.classify.orchestrator.desk import (
    LONGEST_PAUSE_S,
    MOST_ASKS,
    RELEASE_TRIES,
    RENEWAL,
    Allocation,
    Desk,
)
from gateway.clock import ManualClock

TTL_S = 100.0
SCOPES = ("a", "b", "c")


def desk() -> Desk:
    return Desk(TTL_S, random.Random(3))


def grant(desk: Desk, scope: str, now: float, id: str = "1", url: str = "http://one") -> Allocation:
    made = desk.made(id, url, now)
    desk.granted(scope, made, now)
    return made


def test_a_scope_asks_once_and_its_windows_go_there_when_granted() -> None:
    """Until then, and after its time, they go nowhere."""
    its = desk()
    assert its.want("a")
    assert not its.want("a")
    assert its.due(0.0).ask == ("a",)
    assert its.due(0.0).ask == ()
    assert its.route("a", 0.0) is None
    made = grant(its, "a", 0.0)
    assert its.route("a", TTL_S - 0.1) is made
    assert its.route("a", TTL_S) is None


def test_it_is_renewed_before_its_time_is_over_and_the_old_one_goes_when_nobody_uses_it() -> None:
    """For a moment two are held, and windows go to the newer one."""
    its = desk()
    its.want("a")
    its.due(0.0)
    old = grant(its, "a", 0.0)
    wait = its.wait_s(0.0)
    assert wait is not None
    assert RENEWAL[0] * TTL_S <= wait <= RENEWAL[1] * TTL_S + 0.01
    assert its.due(wait).ask == ("a",)
    assert its.route("a", wait) is old
    its.enter(old)
    new = grant(its, "a", wait, "2", "http://two")
    assert its.route("a", wait) is new
    assert its.due(wait).release == ()
    its.leave(old)
    assert its.due(wait).release == (old,)
    its.released(old)
    assert its.held == 1


def test_a_renewal_that_gives_the_same_one_again_makes_its_time_longer() -> None:
    """It is not given back then."""
    its = desk()
    its.want("a")
    its.due(0.0)
    grant(its, "a", 0.0)
    its.due(80.0)
    grant(its, "a", 80.0)
    assert its.route("a", 150.0) is not None
    assert (its.due(81.0).release, its.held) == ((), 1)


def test_a_node_that_cannot_have_any_tries_ever_more_rarely_with_one_request() -> None:
    """However many sessions wait; one success opens the door for all."""
    its, now = desk(), 0.0
    for number in range(100):
        its.want(str(number))
    asked = its.due(now).ask
    assert len(asked) == MOST_ASKS
    for scope in asked:
        its.refused(scope, now)
    pauses = []
    for _ in range(12):
        wait = its.wait_s(now)
        assert wait is not None
        assert its.due(now + wait / 2 - 0.01).ask == ()
        now += wait
        pauses.append(wait)
        (scope,) = its.due(now).ask
        assert its.due(now + 1_000).ask == ()
        its.refused(scope, now)
    assert pauses[-1] <= LONGEST_PAUSE_S + 0.01
    assert pauses[-1] > pauses[0]
    now += LONGEST_PAUSE_S
    (scope,) = its.due(now).ask
    grant(its, scope, now)
    assert len(its.due(now).ask) == MOST_ASKS


def test_one_that_comes_too_late_is_given_back_at_once() -> None:
    """Its session is over, or the node is going."""
    its = desk()
    its.want("a")
    its.due(0.0)
    its.drop("a")
    made = grant(its, "a", 1.0)
    assert its.due(1.0).release == (made,)
    its.want("b")
    its.due(1.0)
    its.close()
    late = grant(its, "b", 1.0, "2")
    assert its.due(1.0).release == (late,)
    assert not its.want("c")


def test_giving_back_is_tried_a_few_times() -> None:
    """After that the allocation's own time ends it."""
    its, now = desk(), 0.0
    its.want("a")
    its.due(now)
    made = grant(its, "a", now)
    its.drop("a")
    for number in range(RELEASE_TRIES):
        assert its.due(now).release == (made,)
        assert its.kept(made, now) is (number < RELEASE_TRIES - 1)
        now += its.wait_s(now) or 0.0
    assert its.settled


def test_one_whose_sidecar_fails_is_given_back_and_another_is_asked_for() -> None:
    """By everybody who shared it, after a pause."""
    its = desk()
    for scope in ("a", "b"):
        its.want(scope)
    its.due(0.0)
    made = grant(its, "a", 0.0)
    grant(its, "b", 0.0)
    its.suspect(made, 1.0)
    assert its.route("a", 1.0) is None
    assert its.due(1.0).release == (made,)
    assert set(its.due(3.0).ask) < {"a", "b"}


class DeskMachine(RuleBasedStateMachine):
    """A desk before an orchestrator that grants, refuses, shares, loses requests and forgets nothing."""

    asks: Bundle[str] = Bundle("asks")
    releases: Bundle[Allocation] = Bundle("releases")
    calls: Bundle[Allocation] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.desk = Desk(TTL_S, random.Random(1))
        self.theirs: dict[str, float] = {}
        """What the orchestrator holds, and until when."""
        self.open: list[str] = []
        self.given_up: set[str] = set()
        self.closed = False
        self.made = 0

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @rule(scope=st.sampled_from(SCOPES))
    def want(self, scope: str) -> None:
        self.desk.want(scope)

    @rule(scope=st.sampled_from(SCOPES))
    def drop(self, scope: str) -> None:
        self.desk.drop(scope)

    @rule(seconds=st.floats(0.01, 80))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for id in [id for id, until in self.theirs.items() if until <= self.now]:
            del self.theirs[id]

    @rule(target=asks)
    def ask(self) -> Any:
        due = self.desk.due(self.now)
        for one in due.release:
            assert not one.users
            assert not one.scopes
            assert one.id in self.theirs or one.expires_at <= self.now
            self.pending.append(one)
        for one in due.gone:
            assert one.expires_at <= self.now
        self.open += due.ask
        return multiple(*due.ask)

    @property
    def pending(self) -> list[Allocation]:
        found: list[Allocation] = self.__dict__.setdefault("_pending", [])
        return found

    def _answer(self) -> str | None:
        return self.open.pop(0) if self.open else None

    @rule(took=st.floats(0, 5))
    def grant(self, took: float) -> None:
        scope = self._answer()
        if scope is None:
            return
        self.made += 1
        asked_at = self.now
        self.clock.advance(took)
        self.theirs[str(self.made)] = self.now + TTL_S
        self.desk.granted(
            scope, self.desk.made(str(self.made), f"http://{self.made % 3}", asked_at), self.now
        )

    @rule()
    def refuse(self) -> None:
        scope = self._answer()
        if scope is not None:
            self.desk.refused(scope, self.now)

    @rule()
    def grant_something_useless(self) -> None:
        scope = self._answer()
        if scope is None:
            return
        self.made += 1
        self.theirs[str(self.made)] = self.now + TTL_S
        self.desk.unusable(scope, self.desk.made(str(self.made), "", self.now), self.now)

    @rule(works=st.booleans())
    def give_back(self, works: bool) -> None:
        if not self.pending:
            return
        one = self.pending.pop(0)
        if works:
            self.theirs.pop(one.id, None)
            self.desk.released(one)
        elif not self.desk.kept(one, self.now):
            self.given_up.add(one.id)

    @rule(target=calls, scope=st.sampled_from(SCOPES))
    def call(self, scope: str) -> Any:
        found = self.desk.route(scope, self.now)
        if found is None:
            return multiple()
        assert found.id in self.theirs, "used after it was given back, or its time was over"
        assert found not in self.pending
        self.desk.enter(found)
        return found

    @rule(one=calls)
    def call_ends(self, one: Allocation) -> None:
        if one.users:
            self.desk.leave(one)

    @rule(one=calls)
    def sidecar_fails(self, one: Allocation) -> None:
        if one.scopes:
            self.desk.suspect(one, self.now)

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self) -> None:
        self.closed = True
        self.desk.close()

    @invariant()
    def one_in_use_per_scope(self) -> None:
        for scope in SCOPES:
            live = self.desk.route(scope, self.now)
            assert live is None or scope in live.scopes
            held = self.desk._held.values()
            assert sum(scope in one.scopes for one in held) <= 1

    def teardown(self) -> None:
        """Whatever happened: at the end everything is given back, but for what could not be."""
        self.desk.close()
        for _ in range(200):
            for one in tuple(self.desk._held.values()):
                one.users = 0
            self.ask()
            self.grant(0.0)
            self.give_back(True)
            if self.desk.settled:
                break
            self.clock.advance(0.5)
        assert self.desk.settled
        assert set(self.theirs) <= self.given_up


TestDesk = DeskMachine.TestCase
TestDesk.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
