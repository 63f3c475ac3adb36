"""Collects what time has brought to sessions. What is due is a pure decision; here it is only acted upon."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from gateway.clock import Clock
from gateway.errors import STORE_ERRORS, UnknownCursor
from gateway.sessions.lifecycle import Activity, Input, due, retention_over
from gateway.sessions.model import Session, Status, Timers
from gateway.sessions.service import ActivityOf, SessionService
from gateway.sessions.shared import Whose
from gateway.sessions.unreadable import Unreadable

__all__ = ["Action", "Activity", "Decision", "ReapReport", "Reaper", "decide", "interval"]

log = logging.getLogger(__name__)

_PAGE = 250
"""Sessions looked at before others get their turn: half a millisecond, and four where all are overdue."""
_AT_ONCE = 64
"""Live sessions that are being ended at the same time."""
_PATIENCE_S = 30.0
"""Seconds for one live session to end; the next pass tries again."""

OnDecision: TypeAlias = Callable[[Session, Input], Awaitable[None]]
OnPurged: TypeAlias = Callable[[str], None]
WhoseOf: TypeAlias = Callable[[Session], Whose]

_Ending: TypeAlias = tuple[Session, Input]


class Action(StrEnum):
    """What the reaper does to a session."""

    EXPIRE = "expire"
    """Move it on as its timer says; what is live of it is told."""
    COLLECT = "collect"
    """It is over or draining, but still live here: tell that again."""
    CLOSE = "close"
    """It is draining, and nothing is live that could drain."""
    KEEP = "keep"
    """It is held here: note it, so that nobody takes it for lost."""
    WATCH = "watch"
    """It has no owner but is observed: note it, so that its timer begins when the last observer goes."""
    PURGE = "purge"
    """It has been over for long enough."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done to one session."""

    session: Session
    action: Action
    reason: Input | None = None
    """What ended or ends it; None where nothing does."""


@dataclass(frozen=True, slots=True)
class ReapReport:
    """What one pass did."""

    seen: int = 0
    """Sessions looked at."""
    expired: int = 0
    """Sessions that a timer moved on."""
    collected: int = 0
    """Live sessions that were told to end, again those of earlier passes."""
    revived: int = 0
    """Idle sessions that were heard from just in time."""
    closed: int = 0
    """Draining sessions with nothing live, closed."""
    orphaned: int = 0
    """Sessions of nodes that are gone, looked after from now on."""
    kept: int = 0
    """Sessions whose heartbeat was noted."""
    purged: int = 0
    """Sessions forgotten."""
    conflicts: int = 0
    """Sessions that changed while being decided about, and were left alone."""
    failed: int = 0
    """Live sessions that did not end in order; the next pass tries again."""
    tickets: int = 0
    """Expired tickets forgotten."""


def decide(sessions: Iterable[Session], now: float, activity: ActivityOf, timers: Timers) -> list[Decision]:
    """What is to be done to which of `sessions` at `now`, monotonic seconds."""
    found = (_decide(session, now, activity(session.id), timers) for session in sessions)
    return [decision for decision in found if decision is not None]


def interval(timers: Timers) -> float:
    """Seconds between passes: half the shortest timer, within 1 to 30."""
    shortest = min(
        timers.connect_deadline_s, timers.detached_ttl_s, timers.idle_ttl_s, timers.closed_retention_s
    )
    return min(max(shortest / 2, 1.0), 30.0)


class Reaper:
    """Looks at every session, time and again; only at those `held` here where somebody else looks at
    the others.

    `activity` tells what goes on in a session held here. `on_decision` ends one that is live here, and
    `on_purged` lets go of what is still readable of it.
    """

    def __init__(
        self,
        service: SessionService,
        clock: Clock,
        timers: Timers,
        *,
        activity: ActivityOf,
        on_decision: OnDecision,
        on_purged: OnPurged = lambda _: None,
        whose: WhoseOf = lambda _: Whose.OURS,
        held: Callable[[], Sequence[str] | None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._service = service
        self._clock = clock
        self._timers = timers
        self._activity = activity
        self._on_decision = on_decision
        self._on_purged = on_purged
        self._whose = whose
        self._held = held
        self._sleep = sleep
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._unreadable = Unreadable()

    async def run(self) -> None:
        """Pass after pass until cancelled; one that fails is logged, and the next one makes up for it."""
        pause = interval(self._timers)
        while True:
            await self._sleep(pause)
            try:
                report = await self.pass_once()
            except STORE_ERRORS:
                continue  # whoever looks after the store tells it
            except Exception:
                log.exception("a reaper's pass failed")
            else:
                log.debug("reaped", extra={"report": report})

    async def pass_once(self) -> ReapReport:
        """Look at every session once.

        Cancelling it leaves each session either as it was or moved on; live ones not told yet are told by the
        next pass.
        """
        tally: Counter[str] = Counter()
        endings: list[_Ending] = []
        async for page in self._pages():
            tally["seen"] += len(page)
            whose = [(session, self._whose(session)) for session in page]
            for orphan in (session for session, kind in whose if kind is Whose.ORPHANED):
                with self._unreadable.passed_over(orphan.id):
                    await self._adopt(orphan, tally)
            ours = [session for session, kind in whose if kind is Whose.OURS]
            for decision in decide(ours, self._clock.monotonic(), self._activity, self._timers):
                with self._unreadable.passed_over(decision.session.id):
                    ending = await self._apply(decision, tally)
                    if ending is not None:
                        endings.append(ending)
        await self._end_all(endings, tally)
        tally["tickets"] = await self._service.purge_tickets()
        return ReapReport(**tally)

    async def _pages(self) -> AsyncIterator[Sequence[Session]]:
        """Each is read before the last one is acted upon: whoever is purged is no place to go on from."""
        held = self._held()
        if held is not None:
            for start in range(0, len(held), _AT_ONCE):
                yield await self._looked_up(held[start : start + _AT_ONCE])
            return
        page = await self._service.overview(_PAGE)
        while page:
            following: Sequence[Session] = ()
            if len(page) == _PAGE:
                with contextlib.suppress(UnknownCursor):  # deleted just now: the rest is for the next pass
                    following = await self._service.overview(_PAGE, page[-1].id)
            yield page
            page = following
            await asyncio.sleep(0)

    async def _looked_up(self, session_ids: Sequence[str]) -> Sequence[Session]:
        """Those of the ids that are there and can be read; what is not there was deleted elsewhere."""
        return [one for one in await asyncio.gather(*map(self._look_up, session_ids)) if one is not None]

    async def _look_up(self, session_id: str) -> Session | None:
        found: Session | None = None
        with self._unreadable.passed_over(session_id):
            found = await self._service.peek(session_id)
            if found is None:
                self._on_purged(session_id)
        return found

    async def _apply(self, decision: Decision, tally: Counter[str]) -> _Ending | None:
        """Do what the store has to know; returns what a live session has to be told."""
        session = decision.session
        match decision:
            case Decision(action=Action.EXPIRE, reason=Input() as reason):
                return await self._expire(session, reason, tally)
            case Decision(action=Action.COLLECT, reason=Input() as reason):
                return session, reason
            case Decision(action=Action.CLOSE):
                await self._service.drained(session.id)
                tally["closed"] += 1
            case Decision(action=Action.KEEP):
                await self._service.heartbeat(session.id)
                tally["kept"] += 1
            case Decision(action=Action.WATCH):
                await self._service.observe(session.id)
                tally["kept"] += 1
            case Decision(action=Action.PURGE):
                await self._service.purge(session.id)
                self._on_purged(session.id)
                tally["purged"] += 1
        return None

    async def _adopt(self, session: Session, tally: Counter[str]) -> None:
        """Its node is gone: somebody may come back to it elsewhere, or its time runs from now on."""
        if session.over:
            if retention_over(session, self._clock.monotonic(), self._timers):
                await self._service.purge(session.id)
                self._on_purged(session.id)
                tally["purged"] += 1
            return
        if await self._service.orphaned(session) is None:
            tally["conflicts"] += 1
        else:
            tally["orphaned"] += 1

    async def _expire(self, session: Session, reason: Input, tally: Counter[str]) -> _Ending | None:
        moved = await self._service.expire(session, reason)
        if moved is None:
            tally["conflicts"] += 1
            return None
        activity = self._activity(moved.id)
        if activity is not None and reason is Input.IDLE and self._heard_of(session, activity):
            await self._service.revive(moved.id, owned=activity.subscribers > 0)
            tally["revived"] += 1
            return None
        tally["expired"] += 1
        if activity is not None:
            return moved, reason
        if moved.status is Status.DRAINING:
            await self._service.drained(moved.id)
        return None

    def _heard_of(self, session: Session, activity: Activity) -> bool:
        """Whether a session found idle is not idle after all, now that the store has the decision."""
        return _due(session, self._clock.monotonic(), activity, self._timers) is None

    async def _end_all(self, endings: Sequence[_Ending], tally: Counter[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for session, reason in endings:
                group.create_task(self._end(session, reason, tally))

    async def _end(self, session: Session, reason: Input, tally: Counter[str]) -> None:
        try:
            async with self._slots, asyncio.timeout(_PATIENCE_S):
                await self._on_decision(session, reason)
        except Exception:
            tally["failed"] += 1
            log.exception("a live session could not be ended", extra={"session_id": session.truncated_id})
        else:
            tally["collected"] += 1


def _decide(session: Session, now: float, activity: Activity | None, timers: Timers) -> Decision | None:
    if session.over or session.status is Status.DRAINING:
        return _decide_ended(session, now, activity, timers)
    found = _due(session, now, activity, timers)
    if found is not None:
        return Decision(session, Action.EXPIRE, found)
    if activity is None:
        return None
    watched = session.status is Status.DETACHED and activity.subscribers > 0
    if watched and now - (session.detached_mono or 0.0) >= timers.detached_ttl_s / 2:
        return Decision(session, Action.WATCH)
    if now - session.seen_mono >= timers.stale_ttl_s / 4:
        return Decision(session, Action.KEEP)
    return None


def _decide_ended(session: Session, now: float, activity: Activity | None, timers: Timers) -> Decision | None:
    # A newer gateway may know more reasons.
    reason = Input(session.end_reason) if session.end_reason in set(Input) else Input.END
    if activity is not None:
        return Decision(session, Action.COLLECT, reason)
    if not session.over:
        return Decision(session, Action.CLOSE, reason)
    return Decision(session, Action.PURGE, reason) if retention_over(session, now, timers) else None


def _due(session: Session, now: float, activity: Activity | None, timers: Timers) -> Input | None:
    if activity is None:
        return due(session, now, subscribers=0, last_activity=None, timers=timers)
    return due(
        session,
        now,
        subscribers=activity.subscribers,
        last_activity=activity.last_activity,
        timers=timers,
    )
