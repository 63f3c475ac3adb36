"""What can be done with a session.

Every change is decided on what was just read and decided anew on conflict, and nothing is remembered but by
the stores: any number of services may work on the same ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from gateway.clock import Clock
from gateway.errors import LimitExceeded, NotFound, SessionGone, Unauthorized
from gateway.sessions import limits
from gateway.sessions.editor import Editor
from gateway.sessions.lifecycle import (
    Activity,
    Input,
    expired,
    retention_over,
)
from gateway.sessions.model import Session, Status, Timers, new_session_id
from gateway.sessions.ports import (
    EventStore,
    QuotaReached,
    SessionFilter,
    SessionStore,
    TicketGrant,
    TicketStore,
)
from gateway.sessions.tickets import Role, digest, new_secret, resumes, still_good
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.events import Summary

_ANY = SessionFilter()
_MAYBE_WATCHED = Activity(subscribers=1, last_activity=None)

ActivityOf: TypeAlias = Callable[[str], Activity | None]
"""What goes on in a session, by id; None where it is not held here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What somebody wants."""

    namespace_id: str | None = None
    user_id: str | None = None
    device_type: str | None = None
    client_version: str | None = None
    audio: AudioFormat = field(default_factory=AudioFormat)
    config: SessionConfig = field(default_factory=SessionConfig)


@dataclass(frozen=True, slots=True)
class Created:
    """A new session, and the way in."""

    session: Session
    ticket: str = field(repr=False)
    """Good for one attach of an owner; told once, and kept as a hash only."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A place in a session."""

    session: Session
    resume_token: str | None = field(repr=False)
    """The credential of the next attach; None for an observer."""
    replaced: bool
    """An earlier owner was attached, as far as is known."""


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
    ) -> None:
        # Where nobody tells who subscribes, a detached session may have observers: it is left to the reaper.
        self._store = store
        self._editor = Editor(store, clock)
        self._tickets = tickets
        self._events = events
        self._clock = clock
        self._timers = timers
        self._max_per_user = max_sessions_per_user
        self._activity = activity

    @property
    def timers(self) -> Timers:
        """How long a session may be in what condition."""
        return self._timers

    # Making and finding -----------------------------------------------------------------------------------

    async def create(self, wanted: NewSession) -> Created:
        """A new session and its first ticket.

        Raises:
            LimitExceeded: its user has as many as the limit allows.
        """
        now, wall = self._clock.monotonic(), self._clock.time()
        session = Session(
            id=new_session_id(),
            namespace_id=wanted.namespace_id,
            user_id=wanted.user_id,
            device_type=wanted.device_type,
            client_version=wanted.client_version,
            audio=wanted.audio,
            config=wanted.config,
            created_at=wall,
            updated_at=wall,
            created_mono=now,
            seen_mono=now,
        )
        await self._create(session)
        ticket = new_secret()
        expires = now + self._timers.ticket_ttl_s
        await self._tickets.issue(digest(ticket), TicketGrant(session.id, Role.OWNER, expires))
        return Created(session, ticket)

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
        while len(found) < limit:
            room = limit - len(found)
            page = await self._store.list(wanted, room, after)
            for session in page:
                current = await self._up_to_date(session)
                if current is not None and wanted.matches(current):
                    found.append(current)
            if len(page) < room:
                break
            after = page[-1].id
        return found

    async def count(self, wanted: SessionFilter = _ANY) -> int:
        """How many sessions the store has, those that are over included."""
        return await self._store.count(wanted)

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
            await self._redeem(presented, session_id, role)
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
            await self._redeem(digest(credential), session_id, Role.OBSERVER)
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
            return self._editor.advance(session, Input.LOSE)

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

    async def configure(self, session_id: str, config: SessionConfig) -> None:
        """Keep the settings now in force. Nothing happens where the session is over."""

        def decide(session: Session) -> Session:
            return session if session.over else self._touched(session, config=config)

        await self._editor.change_if_there(session_id, decide)

    async def heartbeat(self, session_id: str) -> None:
        """The node that holds the session is there. Nothing happens where the session is over."""

        def decide(session: Session) -> Session:
            return session if session.over else replace(session, seen_mono=self._clock.monotonic())

        await self._editor.change_if_there(session_id, decide)

    # Ending -----------------------------------------------------------------------------------------------

    async def drain(self, session_id: str) -> None:
        """Its owner wants it to end, and draining has begun. Nothing happens where it is over."""
        await self._editor.change_if_there(session_id, self._editor.if_able(Input.END))

    async def end(
        self, session_id: str, summary: Summary, counts: Mapping[str, int] | None = None
    ) -> Session | None:
        """Draining is over: the session is closed, unless it is over already, and its final counts are kept.

        `counts` are the statistics that are not in the summary. Returns the session, None where it is gone.
        """
        final = _final(summary, counts or {})

        def decide(session: Session) -> Session:
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

    async def revive(self, session_id: str, *, owned: bool) -> None:
        """Something was heard before the drain of an idle session began; `owned`: it still has its owner."""

        def decide(session: Session) -> Session:
            if session.status is not Status.DRAINING or session.end_reason != Input.IDLE:
                return session
            revived = self._editor.advance(session, Input.REVIVE)
            return revived if owned else self._editor.advance(revived, Input.LOSE)

        await self._editor.change_if_there(session_id, decide)

    async def delete(self, session_id: str, *, namespace: str | None = None) -> None:
        """Forget the session, its events and its tickets, at once.

        Raises:
            NotFound: as `get`.
        """
        await self.get(session_id, namespace=namespace)
        await self.purge(session_id)

    async def purge(self, session_id: str) -> None:
        """Forget whatever is left of a session. The session goes first, so that nobody can enter any more."""
        await self._store.delete(session_id)
        await self._tickets.revoke(session_id)
        await self._events.purge(session_id)

    async def purge_tickets(self) -> int:
        """Forget tickets that have expired; returns how many that were."""
        return await self._tickets.purge(self._clock.monotonic())

    async def overview(self, limit: int, after: str | None = None) -> Sequence[Session]:
        """A page of all sessions as the store has them, for the reaper: nothing is brought up to date.

        Raises:
            UnknownCursor: `after` is not there any more.
        """
        return await self._store.list(_ANY, limit, after)

    # Within -----------------------------------------------------------------------------------------------

    async def _create(self, session: Session) -> None:
        quota = limits.quota_for(session, self._max_per_user)
        if quota is None:
            await self._store.create(session)
            return
        try:
            await self._store.create(session, quota)
        except QuotaReached as full:
            # Some of those that count may be overdue, and only nobody has looked.
            counted = [await self._up_to_date(one) for one in full.counted]
            try:
                await self._store.create(session, quota)
            except QuotaReached:
                theirs = [one for one in counted if one is not None]
                wait = limits.retry_after(theirs, self._clock.monotonic(), self._timers)
                message = f"this user has {quota.at_most} sessions, as many as allowed"
                raise LimitExceeded(message, wait) from None

    async def _redeem(self, presented: str, session_id: str, role: Role) -> None:
        grant = await self._tickets.redeem(presented, self._clock.monotonic())
        if grant is None or grant.session_id != session_id:
            raise Unauthorized("this ticket or token is not good for this session, or not any more")
        if role is Role.OWNER and grant.role is not Role.OWNER:
            raise Unauthorized("this ticket only lets an observer in")

    async def _attach_observer(self, session_id: str) -> Session:
        def decide(session: Session) -> Session:
            if session.over:
                raise SessionGone(session.status)
            return self._editor.advance(session, Input.OBSERVE)

        return await self._editor.change(session_id, decide)

    async def _attach_owner(self, session_id: str, resumed_with: str | None) -> Attached:
        secret = new_secret()
        replaced = False

        def decide(session: Session) -> Session:
            nonlocal replaced
            if session.over:
                raise SessionGone(session.status)
            if resumed_with is not None and not resumes(session, resumed_with):
                raise Unauthorized("this resume token is not good any more")
            replaced = session.status is Status.LIVE
            return replace(
                self._editor.advance(session, Input.ATTACH),
                resume_hash=digest(secret),
                previous_resume_hash=still_good(session, resumed_with),
            )

        session = await self._editor.change(session_id, decide)
        return Attached(session, secret, replaced)

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


def _final(summary: Summary, counts: Mapping[str, int]) -> dict[str, Any]:
    said = asdict(summary)
    for about_the_event in ("seq", "session_id", "timestamp"):
        del said[about_the_event]
    return {**counts, **said}
