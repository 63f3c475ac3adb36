"""Allocations as a state machine: none leaked, none used after it was given back, one in use per scope."""

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from gateway.classify.orchestrator.desk import Allocation, Desk
from gateway.classify.orchestrator.grant import Sidecar
from gateway.clock import ManualClock

TTL_S = 100.0
SCOPES = ("a", "b", "c")


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
            scope, self.desk.made(str(self.made), Sidecar(f"http://{self.made % 3}"), asked_at), self.now
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
        self.desk.unusable(scope, self.desk.made(str(self.made), None, self.now), self.now)

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

    @rule(scope=st.sampled_from(SCOPES))
    def what_is_coming_answers(self, scope: str) -> None:
        if self.desk.coming(scope) is not None:
            self.desk.change_over(scope)

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
        """And at most one more is coming, which isn't used."""
        for scope in SCOPES:
            live = self.desk.route(scope, self.now)
            assert live is None or scope in live.scopes
            coming = self.desk.coming(scope)
            assert coming is None or (scope in coming.scopes and coming is not live)
            held = self.desk._held.values()
            assert sum(scope in one.scopes for one in held) <= (1 if coming is None else 2)

    @invariant()
    def who_wants_one_is_looked_after(self) -> None:
        """It waits, is asked for, or is looked at before its time is over."""
        looks = set(self.desk._renewals)
        for scope, place in self.desk._places.items():
            waits = scope in self.desk._waiting or scope in self.desk._renewing or place.asking
            assert waits or (place.live is not None and (place.look_at, scope) in looks)
            assert place.live is not None or place.coming is None

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
