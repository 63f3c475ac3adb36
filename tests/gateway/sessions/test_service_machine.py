"""Any order of events over a service and its reaper: a state machine that checks every promise after each."""

import asyncio
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.errors import NotFound, SessionGone, Unauthorized
from gateway.sessions.lifecycle import TRANSITIONS, Activity
from gateway.sessions.model import TERMINAL, Session, Status
from gateway.sessions.service import NewSession
from gateway.sessions.tickets import Role, digest, resumes
from tests.gateway.sessions.kit import Node, summary

REACHABLE = {status: {status} for status in Status}
for _ in Status:
    for (before, _given), after in TRANSITIONS.items():
        REACHABLE[before] |= REACHABLE[after]


class Life(RuleBasedStateMachine):
    """What a client, observers, the wall clock and the reaper may do to sessions, in any order."""

    sessions: Bundle[str] = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.node = Node()
        self.seen: dict[str, Session] = {}
        self.subscribers: dict[str, int] = {}
        self.latest: dict[str, str] = {}
        """The resume token that the client has received."""

    def teardown(self) -> None:
        self.runner.close()

    def do(self, work: Any) -> Any:
        """Run one use case; one that finds its session over or gone has done what it should."""
        try:
            return self.runner.run(work)
        except (SessionGone, NotFound):
            return None

    def held(self, session_id: str) -> None:
        """Show the node how many subscribe, where somebody attached."""
        self.node.hear(session_id, self.subscribers[session_id])

    @rule(target=sessions)
    def create(self) -> str:
        """Somebody makes a session, with its first ticket unused."""
        session_id: str = self.do(self.node.service.create(NewSession())).session.id
        self.subscribers[session_id] = 0
        return session_id

    @rule(session_id=sessions, with_token=st.booleans(), reply_lost=st.booleans())
    def attach(self, session_id: str, with_token: bool, reply_lost: bool) -> None:
        """An owner comes, by token or by the id alone; its welcome may get lost."""
        token = self.latest.get(session_id) if with_token else None
        attached = self.do(self.node.service.attach(session_id, credential=token))
        if attached is None:
            return
        assert attached.session.status in (Status.LIVE, Status.DRAINING)
        self.subscribers[session_id] = max(self.subscribers[session_id], 1)
        self.held(session_id)
        if session_id not in self.latest or not reply_lost:
            self.latest[session_id] = attached.resume_token
            self.do(self.node.service.confirm(session_id))

    @rule(session_id=sessions)
    def stranger(self, session_id: str) -> None:
        """An invented credential never gets anybody in."""
        with suppress(Unauthorized):
            assert self.do(self.node.service.attach(session_id, credential="invented")) is None

    @rule(session_id=sessions)
    def lose(self, session_id: str) -> None:
        """The owner's socket is gone."""
        if session_id in self.node.live:
            self.subscribers[session_id] = 0
            self.node.live[session_id] = Activity(0, self.node.live[session_id].last_activity)
        self.do(self.node.service.lose(session_id))

    @rule(session_id=sessions)
    def observe(self, session_id: str) -> None:
        """An observer comes."""
        if self.do(self.node.service.attach(session_id, Role.OBSERVER)) is not None:
            self.subscribers[session_id] += 1
            self.held(session_id)

    @rule(session_id=sessions)
    def speak(self, session_id: str) -> None:
        """Audio, a ping or a control message."""
        if self.node.live.get(session_id) is not None and self.subscribers[session_id]:
            self.held(session_id)

    @rule(session_id=sessions)
    def drain(self, session_id: str) -> None:
        """The client sends `end`."""
        self.do(self.node.service.drain(session_id))

    @rule(session_id=sessions)
    def end(self, session_id: str) -> None:
        """Draining is done."""
        self.do(self.node.service.end(session_id, summary(session_id)))
        self.node.live.pop(session_id, None)

    @rule(session_id=consumes(sessions))
    def delete(self, session_id: str) -> None:
        """Somebody deletes it."""
        self.do(self.node.service.delete(session_id))
        self.node.live.pop(session_id, None)

    @rule(seconds=st.sampled_from([0.5, 29.0, 31.0, 89.0, 91.0, 301.0, 901.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        """Both clocks go on."""
        self.node.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3_600.0, 3_600.0]))
    def wall_clock_steps(self, seconds: float) -> None:
        """Somebody corrects the date."""
        self.node.clock.step_wall(seconds)

    @rule()
    def reap(self) -> None:
        """A pass of the reaper: after it nothing overdue is left, and nothing live of what is over."""
        self.do(self.node.reaper.pass_once())
        assert self.do(self.node.reaper.pass_once()).expired == 0
        for session in self.do(self.node.store.list(limit=1_000)):
            assert not (session.over and session.id in self.node.live)
            assert session.status is not Status.DRAINING or session.id in self.node.live

    @invariant()
    def every_promise_holds(self) -> None:
        """Statuses move along the table only, ends are final, and nothing ends before its time."""
        now = self.node.clock.monotonic()
        timers = self.node.timers
        for session in self.do(self.node.store.list(limit=1_000)):
            before = self.seen.get(session.id, session)
            assert session.status in REACHABLE[before.status]
            assert session.version >= before.version
            assert session.over == (session.ended_mono is not None)
            if before.over:
                assert (session.status, session.ended_mono) == (before.status, before.ended_mono)
            if session.over and not before.over:
                self.check_end(session, before, now)
            self.seen[session.id] = session
        gone = self.seen.keys() - {one.id for one in self.do(self.node.store.list(limit=1_000))}
        for session_id in gone:
            last = self.seen.pop(session_id)
            if last.over and last.ended_mono is not None and session_id in self.node.purged:
                assert now - last.ended_mono >= timers.closed_retention_s

    def check_end(self, session: Session, before: Session, now: float) -> None:
        """Each timer had its time."""
        timers = self.node.timers
        match session.end_reason:
            case "connect_deadline":
                assert before.attaches == 0
                assert now - session.created_mono >= timers.connect_deadline_s
            case "detached_expired":
                assert self.subscribers[session.id] == 0
                assert before.detached_mono is not None
                assert now - before.detached_mono >= timers.detached_ttl_s
            case "idle":
                assert before.live_mono is not None
                assert now - before.live_mono >= timers.idle_ttl_s
            case "total_expired":
                assert now - session.created_mono >= timers.session_ttl_s
            case "end" | "stale":
                pass
            case other:
                raise AssertionError(f"ended by {other}")

    @invariant()
    def nobody_is_locked_out(self) -> None:
        """The token a client has received is good, however many replies were lost since."""
        for session in self.do(self.node.store.list(limit=1_000)):
            token = self.latest.get(session.id)
            if token is not None and session.status not in TERMINAL:
                assert resumes(session, digest(token))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
