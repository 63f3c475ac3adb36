"""What can be done with a session.

Every change is decided on what was just read and decided anew on conflict, and nothing is remembered but by
the stores: any number of services may work on the same ones.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeAlias

from gateway.clock import Clock
from gateway.errors import LimitExceeded, NotFound, SessionGone, Unauthorized, UnknownCursor
from gateway.sessions.desk import TicketDesk
from gateway.sessions.editor import Editor
from gateway.sessions.lifecycle import (
    Activity,
    Input,
    expired,
    retention_over,
)
from gateway.sessions.limits import Limits, quotas_for, retry_after
from gateway.sessions.model import Session, Status, Timers, new_session_id
from gateway.sessions.notes import Milestone, Notes, attached, passed
from gateway.sessions.ports import EventStore, QuotaReached, SessionFilter, SessionStore, TicketStore
from gateway.sessions.shared import Superseded
from gateway.sessions.tickets import Role, digest, new_secret, resumes, still_good
from gateway.sessions.wanted import Attached, Created, NewSession
from protocol.control import SessionConfig
from protocol.events import Summary

__all__ = ["ActivityOf", "Attached", "Created", "NewSession", "SessionService"]

_ANY = SessionFilter()
_SLICE = 100
"""Sessions looked at before others get their turn: half a millisecond."""
_NO_LIMITS = Limits()
_MAYBE_WATCHED = Activity(subscribers=1, last_activity=None)

ActivityOf: TypeAlias = Callable[[str], Activity | None]
"""What goes on in a session, by id; None where it is not held here."""


class SessionService:
    """The use cases.

    Without keys (open mode) a session's id is the permission, and no credential is needed; one that is
    presented must be right all the same.
    """

    def __init__(
        self,
        store: SessionStore,
        tickets: TicketStore,
        events: EventStore,
        clock: Clock,
        timers: Timers,
        *,
        max_sessions_per_user: int | None = None,
        activity: ActivityOf = lambda _: _MAYBE_WATCHED,
        node: str | None = None,
    ) -> None:
        # Where nobody tells who subscribes, a detached session may have observers: it is left to the reaper.
        self._store = store
        self._editor = Editor(store, clock)
        self._desk = TicketDesk(tickets, clock)
        self._tickets = tickets
        self._events = events
        self._clock = clock
        self._timers = timers
        self._limits = Limits(max_sessions_per_user=max_sessions_per_user)
        self._activity = activity
        self._node = node
        self.notes = Notes(self._editor, clock)

    @property
    def timers(self) -> Timers:
        """How long a session may be in what condition."""
        return self._timers

    # Making and finding -----------------------------------------------------------------------------------

    async def create(self, wanted: NewSession, limits: Limits = _NO_LIMITS) -> Created:
        """A new session and its first ticket. What `limits` leave open, the settings say.

        Raises:
            LimitExceeded: its user, or its namespace, has as many as the limit allows.
        """
        now, wall = self._clock.monotonic(), self._clock.time()
        session = Session(
            id=new_session_id(),
            namespace_id=wanted.namespace_id,
            user_id=wanted.user_id,
            device_type=wanted.device_type,
            client_version=wanted.client_version,
            legacy=wanted.legacy,
            metadata=wanted.metadata,
            context=wanted.context,
            audio=wanted.audio,
            config=wanted.config,
            created_at=wall,
            updated_at=wall,
            created_mono=now,
            seen_mono=now,
        )
        session = passed(session, Milestone.CREATED, wall)
        await self._create(session, limits.or_else(self._limits))
        return Created(session, await self.ticket(session.id, Role.OWNER))

    async def get(self, session_id: str, *, namespace: str | None = None) -> Session:
        """The session as it is now, over or not.

        Raises:
            NotFound: there is none, it is another namespace's, or it has been over for too long.
        """
        session = await self._store.get(session_id)
        if session is None or (namespace is not None and session.namespace_id != namespace):
            raise NotFound
        current = await self._up_to_date(session)
        if current is None:
            raise NotFound
        return current

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        """At most `limit` sessions, newest first, that were created before session `after`.

        A filter by status goes by what the store has: what time has brought since the reaper's last pass
        takes a session out of its list at once, but into another one only with the next pass.

        Raises:
            UnknownCursor: `after` is not there any more.
        """
        found: list[Session] = []
        page = await self._store.list(wanted, limit, after)
        room = limit
        while True:
            for index, session in enumerate(page, start=1):
                current = await self._up_to_date(session)
                if current is not None and wanted.matches(current):
                    found.append(current)
                if not index % _SLICE:
                    await asyncio.sleep(0)
            if len(page) < room or len(found) == limit:
                return found
            room = limit - len(found)
            page = await self._older(page, wanted, room)

    async def _older(self, than: Sequence[Session], wanted: SessionFilter, limit: int) -> Sequence[Session]:
        """Those after the last of a page, some of which may have been deleted meanwhile."""
        for session in reversed(than):
            with contextlib.suppress(UnknownCursor):
                return await self._store.list(wanted, limit, session.id)
        raise UnknownCursor

    async def count(self, wanted: SessionFilter = _ANY) -> int:
        """How many sessions the store has, those that are over included."""
        return await self._store.count(wanted)

    # Permission -------------------------------------------------------------------------------------------

    async def ticket(self, session_id: str, role: Role) -> str:
        """A ticket for one attach in that role, soon; of a session that is there, as whoever asks knows."""
        return await self._desk.issue(session_id, role, self._timers.ticket_ttl_s)

    async def pass_for_return(self, session_id: str) -> str:
        """What lets an observer come back once, for as long as the session may last; a ticket, too."""
        return await self._desk.issue(session_id, Role.OBSERVER, self._timers.session_ttl_s)

    async def prove(self, session_id: str, role: Role, credential: str) -> str | None:
        """Check a credential without a word about the session; returns what `attach` is still to be given.

        Raises:
            Unauthorized: it is not good for this session and role, or there is no such session.
        """
        try:
            session: Session | None = await self.get(session_id)
        except NotFound:
            session = None
        return await self._desk.prove(session, session_id, role, credential)

    # Coming and going -------------------------------------------------------------------------------------

    async def attach(
        self,
        session_id: str,
        role: Role = Role.OWNER,
        *,
        credential: str | None = None,
        namespace: str | None = None,
    ) -> Attached:
        """Take a place in a session. Of owners that attach at the same time, the latest has it.

        `credential` is a ticket, which is used up, or a resume token. Each owner's attach makes a new resume
        token; the one before stays good until `confirm`, as the reply with the new one may get lost.

        Raises:
            NotFound: as `get`.
            SessionGone: it is over.
            Unauthorized: the credential is not good for this session and role.
        """
        session = await self.get(session_id, namespace=namespace)
        if session.over:
            raise SessionGone(session.status)
        presented = None if credential is None else digest(credential)
        if presented is not None and not resumes(session, presented):
            await self._desk.redeem(presented, session_id, role)
            presented = None
        if role is Role.OBSERVER:
            return Attached(await self._attach_observer(session_id), None, False)
        return await self._attach_owner(session_id, presented)

    async def revisit(self, session_id: str, credential: str | None = None) -> Session:
        """The session, over or not, for somebody who only wants to read what is left of it.

        Raises:
            NotFound: as `get`.
            Unauthorized: the credential is not good for this session.
        """
        session = await self.get(session_id)
        if credential is not None and not resumes(session, digest(credential)):
            await self._desk.redeem(digest(credential), session_id, Role.OBSERVER)
        return session

    async def confirm(self, session_id: str, attaches: int | None = None) -> None:
        """The owner has spoken, so it has its resume token: the one before is worth nothing any more.

        With `attaches`, that of its session when it attached, an owner that was replaced confirms nothing.
        """

        def decide(session: Session) -> Session:
            if session.previous_resume_hash is None or _outdated(session, attaches):
                return session
            return replace(session, previous_resume_hash=None)

        await self._editor.change_if_there(session_id, decide)

    async def lose(self, session_id: str, attaches: int | None = None) -> None:
        """The owner's socket is gone. Nothing happens where the session is not live any more.

        With `attaches`, that of its session when it attached, an owner that was replaced loses nothing.
        """

        def decide(session: Session) -> Session:
            if session.status is not Status.LIVE or _outdated(session, attaches):
                return session
            lost = self._editor.advance(session, Input.LOSE)
            return passed(lost, Milestone.DETACHED, self._clock.time())

        await self._editor.change_if_there(session_id, decide)

    async def observe(self, session_id: str, *, namespace: str | None = None) -> Session:
        """Somebody begins to watch, which keeps the session from expiring; one that is over can be read too.

        Raises:
            NotFound: as `get`.
        """
        session = await self.get(session_id, namespace=namespace)
        if session.over:
            return session
        return await self._editor.change(session_id, self._editor.if_able(Input.OBSERVE))

    async def unobserve(self, session_id: str) -> None:
        """Somebody stopped watching. Nothing happens where the session is over."""
        await self._editor.change_if_there(session_id, self._editor.if_able(Input.UNOBSERVE))

    async def configure(self, session_id: str, config: SessionConfig, attaches: int | None = None) -> None:
        """Keep the settings now in force. Nothing happens where the session is over.

        Raises:
            Superseded: as `drain`.
        """

        def decide(session: Session) -> Session:
            if session.over:
                return session
            _refuse_outdated(session, attaches)
            return self._touched(session, config=config)

        await self._editor.change_if_there(session_id, decide)

    async def heartbeat(self, session_id: str) -> None:
        """The node that holds the session is there. Nothing happens where the session is over."""

        def decide(session: Session) -> Session:
            return session if session.over else replace(session, seen_mono=self._clock.monotonic())

        await self._editor.change_if_there(session_id, decide)

    # Ending -----------------------------------------------------------------------------------------------

    async def drain(self, session_id: str, attaches: int | None = None) -> None:
        """Its owner wants it to end, and draining has begun. Nothing happens where it is over.

        `attaches` is that of its session when the owner attached; None where its application asks.

        Raises:
            Superseded: a later attach has the session, and nothing has changed.
        """
        able = self._editor.if_able(Input.END)

        def decide(session: Session) -> Session:
            if not session.over:
                _refuse_outdated(session, attaches)
            return able(session)

        await self._editor.change_if_there(session_id, decide)

    async def end(
        self, session_id: str, summary: Summary, counts: Mapping[str, int] | None = None
    ) -> Session | None:
        """Draining is over: the session is closed, unless it is over already, and its final counts are kept.
        Nothing happens where it goes on at another node.

        `counts` are the statistics that are not in the summary. Returns the session, None where it is gone.
        """
        final = _final(summary, counts or {})

        def decide(session: Session) -> Session:
            elsewhere = session.node not in (None, self._node)
            if elsewhere and session.status in (Status.LIVE, Status.DETACHED):
                return session
            closed = session if session.over else self._closed(session)
            return closed if closed.summary is not None else self._touched(closed, summary=final)

        return await self._editor.change_if_there(session_id, decide)

    async def drained(self, session_id: str) -> Session | None:
        """There is nothing left to drain and nobody who can sum up: the session is closed without counts."""

        def decide(session: Session) -> Session:
            return self._closed(session) if session.status is Status.DRAINING else session

        return await self._editor.change_if_there(session_id, decide)

    async def expire(self, session: Session, found: Input) -> Session | None:
        """Do to `session`, exactly as it was read, what time has brought; None where it has changed since."""
        return await self._editor.try_advance(session, found)

    async def orphaned(self, session: Session) -> Session | None:
        """Do to `session`, exactly as it was read, what its node can't any more: nobody is attached there,
        and nothing drains it. It is nobody's then. None where it has changed since."""
        moved = session
        if session.status is Status.LIVE:
            moved = passed(self._editor.advance(session, Input.LOSE), Milestone.DETACHED, self._clock.time())
        elif session.status is Status.DRAINING:
            moved = self._editor.advance(session, Input.FAIL)
        return await self._editor.try_change(session, replace(moved, node=None))

    async def readopt(self, session_id: str, *, owned: bool) -> None:
        """This node holds the session after all: others had taken it for gone (`orphaned`). `owned`: its
        owner is attached. Nothing happens where it is over, or another node's by now."""

        def decide(session: Session) -> Session:
            if session.over or session.node is not None:
                return session
            if not owned or session.status is not Status.DETACHED:
                return replace(session, node=self._node)
            now = self._clock.monotonic()
            return replace(session, node=self._node, status=Status.LIVE, live_mono=now, seen_mono=now)

        await self._editor.change_if_there(session_id, decide)

    async def revive(self, session_id: str, *, owned: bool) -> None:
        """Something was heard before the drain of an idle session began; `owned`: it still has its owner."""

        def decide(session: Session) -> Session:
            if session.status is not Status.DRAINING or session.end_reason != Input.IDLE:
                return session
            revived = self._editor.advance(session, Input.REVIVE)
            if owned:
                return revived
            return passed(self._editor.advance(revived, Input.LOSE), Milestone.DETACHED, self._clock.time())

        await self._editor.change_if_there(session_id, decide)

    async def delete(self, session_id: str, *, namespace: str | None = None) -> Session:
        """Forget the session, its events and its tickets, at once. Returns what it was.

        Raises:
            NotFound: as `get`.
        """
        session = await self.get(session_id, namespace=namespace)
        await self.purge(session_id)
        return session

    async def purge(self, session_id: str) -> None:
        """Forget whatever is left of a session. The session goes first, so that nobody can enter any more."""
        await self._store.delete(session_id)
        await self._tickets.revoke(session_id)
        await self._events.purge(session_id)

    async def purge_tickets(self) -> int:
        """Forget tickets that have expired; returns how many that were."""
        return await self._desk.purge()

    async def overview(self, limit: int, after: str | None = None) -> Sequence[Session]:
        """A page of all sessions as the store has them, for the reaper: nothing is brought up to date.

        Raises:
            UnknownCursor: `after` is not there any more.
        """
        return await self._store.list(_ANY, limit, after)

    async def peek(self, session_id: str) -> Session | None:
        """One session, likewise."""
        return await self._store.get(session_id)

    # Within -----------------------------------------------------------------------------------------------

    async def _create(self, session: Session, limits: Limits) -> None:
        quotas = quotas_for(session, limits)
        while True:
            try:
                return await self._store.create(session, *quotas)
            except QuotaReached as full:
                # Some of those that count may be overdue, and only nobody has looked.
                counted = [await self._up_to_date(one) for one in full.counted]
                theirs = [one for one in counted if one is not None and not one.over]
                if len(theirs) < len(counted):
                    continue
                wait = retry_after(theirs, self._clock.monotonic(), self._timers)
                whose = "namespace" if full.quota.everybody else "user"
                message = f"this {whose} has {full.quota.at_most} sessions, as many as allowed"
                raise LimitExceeded(message, wait) from None

    async def _attach_observer(self, session_id: str) -> Session:
        def decide(session: Session) -> Session:
            if session.over:
                raise SessionGone(session.status)
            return self._editor.advance(session, Input.OBSERVE)

        return await self._editor.change(session_id, decide)

    async def _attach_owner(self, session_id: str, resumed_with: str | None) -> Attached:
        secret = new_secret()
        replaced, before = False, None

        def decide(session: Session) -> Session:
            nonlocal replaced, before
            if session.over:
                raise SessionGone(session.status)
            if resumed_with is not None and not resumes(session, resumed_with):
                raise Unauthorized("this resume token is not good any more")
            replaced, before = session.status is Status.LIVE, session.node
            return replace(
                attached(self._editor.advance(session, Input.ATTACH), self._clock.time()),
                node=self._node,
                resume_hash=digest(secret),
                previous_resume_hash=still_good(session, resumed_with),
            )

        session = await self._editor.change(session_id, decide)
        return Attached(session, secret, replaced, before)

    async def _up_to_date(self, session: Session) -> Session | None:
        """The session after what time has brought; None where it can't be read any more."""
        if not session.over and self._overdue(session) is not None:

            def decide(read: Session) -> Session:
                found = self._overdue(read)
                return read if found is None else self._editor.advance(read, found)

            changed = await self._editor.change_if_there(session.id, decide)
            if changed is None:
                return None
            session = changed
        return None if retention_over(session, self._clock.monotonic(), self._timers) else session

    def _overdue(self, session: Session) -> Input | None:
        activity = self._activity(session.id)
        subscribers = activity.subscribers if activity is not None else 0
        return expired(session, self._clock.monotonic(), subscribers=subscribers, timers=self._timers)

    def _closed(self, session: Session) -> Session:
        return self._editor.advance(self._editor.advance(session, Input.END), Input.DRAINED)

    def _touched(self, session: Session, **changes: Any) -> Session:
        return replace(session, updated_at=self._clock.time(), **changes)


def _outdated(session: Session, attaches: int | None) -> bool:
    return attaches is not None and attaches != session.attaches


def _refuse_outdated(session: Session, attaches: int | None) -> None:
    if _outdated(session, attaches):
        raise Superseded


def _final(summary: Summary, counts: Mapping[str, int]) -> dict[str, Any]:
    said = asdict(summary)
    for about_the_event in ("seq", "session_id", "timestamp"):
        del said[about_the_event]
    return {**counts, **said}
