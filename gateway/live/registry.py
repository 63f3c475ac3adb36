"""The live sessions of this node: made when somebody attaches, kept readable until they are purged."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.classify.notices import Notices
from gateway.clock import Clock
from gateway.errors import STORE_ERRORS, BadDocument, Conflict, SessionGone
from gateway.live.announcer import Announcer
from gateway.live.backends import Backend, Backends
from gateway.live.bulletin import Bulletin
from gateway.live.captions import Captions
from gateway.live.log import EventLog
from gateway.live.pipeline import Nowhere, Pipeline
from gateway.live.places import Places
from gateway.live.session import Audience, LiveSession
from gateway.live.sharing import GONE, HISTORY_LOST, Sharing
from gateway.live.snapshot import Snapshot
from gateway.sessions.lifecycle import Activity
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import EventStore, UnknownSession
from gateway.sessions.shared import Held, SharedEvents
from gateway.sessions.tail import BoundedTail
from gateway.telemetry.metrics import Telemetry
from protocol.events import Event, Summary, Task

log = logging.getLogger(__name__)

T = TypeVar("T")

OnFinished = Callable[[str, Summary, Mapping[str, int]], Awaitable[object]]
"""Told a session's id, its closing account and its statistics."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How much of a session's events can be replayed."""

    events: int = 512
    bytes: int = 256 * 1024
    seconds: float = 120.0


class Tasks:
    """Background tasks with one owner, who ends them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work`; what it raises is logged, once."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def aclose(self) -> None:
        """Cancel what still runs and wait for it."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task failed", exc_info=error)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What listens to a live session, and what the session was told of that."""

    backend: Backend
    pipeline: Pipeline
    bulletin: Bulletin


class LiveRegistry:
    """Finds, makes and ends live sessions. Everything but the ends is synchronous."""

    def __init__(
        self,
        *,
        backends: Backends,
        events: EventStore,
        clock: Clock,
        telemetry: Telemetry,
        bounds: LogBounds = LogBounds(),
        drain_s: float = 10.0,
        on_finished: OnFinished,
        max_sessions: int = 5_000,
        connect_deadline_s: float = 30.0,
        shared: SharedEvents | None = None,
    ) -> None:
        self._backends = backends
        self._events = events
        self._clock = clock
        self._telemetry = telemetry
        self._bounds = bounds
        self._drain_s = drain_s
        self._on_finished = on_finished
        self._live: dict[str, LiveSession] = {}
        self.places = Places(max_sessions, connect_deadline_s, self.__len__, clock)
        self._logs: dict[str, EventLog] = {}
        self._heard: dict[str, _Heard] = {}
        self._tasks = Tasks()
        self._sharing = None if shared is None else Sharing(shared, self, self._tasks.spawn)
        self.notices = Notices()
        """How what all sessions depend on is: the store."""

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(self._live.values())

    def get(self, session_id: str) -> LiveSession | None:
        """The live session, if it is here and not over."""
        return self._live.get(session_id)

    def log(self, session_id: str) -> EventLog | None:
        """The event log, of a session that is over too until it is discarded."""
        return self._logs.get(session_id)

    @property
    def held(self) -> Sequence[str]:
        """Ids of the sessions that are live here, or were and can still be read."""
        return tuple(self._logs)

    def activity(self, session_id: str) -> Activity | None:
        """What goes on in a session; None where it is not held here."""
        found = self._live.get(session_id)
        if found is None:
            return None
        return Activity(found.audience.count, found.pipeline.traffic.last_activity)

    def counts(self, session_id: str) -> Mapping[str, int] | None:
        """The statistics of a session that is live here; None where it is not."""
        found = self._live.get(session_id)
        return None if found is None else found.pipeline.counts()

    async def counts_now(self, session: Session) -> Mapping[str, int]:
        """The statistics of a session, wherever it is live; those of another node are a moment old.

        Raises:
            StoreUnavailable: they can't be read now.
        """
        here = self.counts(session.id)
        if here is not None or session.over or self._sharing is None:
            return session.counts if here is None else here
        packed = await self._sharing.events.standing(session.id)
        try:
            return session.counts if packed is None else Snapshot.unpack(packed).tally()
        except BadDocument:
            return session.counts

    def tell_owner(self, session: Session) -> None:
        """Have the node that holds `session` look whether it still does: it was deleted here."""
        if self._sharing is not None and session.node is not None:
            self._sharing.events.tell(session.id, session.node)

    def answers(self, session_id: str) -> bool:
        """Whether what listens to a session can answer now; to one that is not live here, whether any can."""
        heard = self._heard.get(session_id)
        return self._backends.answers if heard is None else heard.backend.ear.answers

    def bulletins(self, source: Notices) -> Iterator[Bulletin]:
        """Those of the sessions which hear of these notices."""
        for heard in tuple(self._heard.values()):
            backend = heard.backend
            if (
                source is self.notices
                or backend.ear.notices is source
                or (backend.scribe and backend.scribe.notices is source)
            ):
                yield heard.bulletin

    def announce_task(self, session_id: str, task_id: str, task_type: str, state: str) -> None:
        """Say in a session's log what became of one of its tasks, even after its summary.

        A session that nobody came to has no log, and nobody to tell.
        """
        live, event_log = self._live.get(session_id), self._logs.get(session_id)
        if live is not None:
            live.pipeline.announcer.task(task_id, task_type, state, live.pipeline.ledger.next_sample)
            return
        if event_log is None:
            return
        event = Task(
            seq=event_log.next_seq,
            session_id=session_id,
            timestamp=event_log.timestamp,
            task_id=task_id,
            task_type=task_type,
            state=state,
        )
        with contextlib.suppress(UnknownSession):  # it is being purged just now
            event_log.append(event)
            self._telemetry.event(Task.type)

    def open(self, session: Session) -> LiveSession:
        """The live session of `session`, made now if this is the first attach."""
        live = self._live.get(session.id)
        if live is None:
            event_log = EventLog(session.id, self._events, self._clock, self._new_tail())
            live = self._live[session.id] = self._build(session, event_log, Audience())
            self.places.release(session.id)  # by now it holds its place itself
        return live

    def join(self, session: Session) -> LiveSession:
        """The same for one who attaches.

        Raises:
            SessionGone: it was draining, and is done with that.
        """
        if session.status is Status.DRAINING and session.id not in self._live:
            raise SessionGone(Status.CLOSED)
        return self.open(session)

    async def take(self, session: Session, before: str | None) -> LiveSession:
        """The same for an owner, wherever the session is live; `before` as of `Attached`.

        Raises:
            SessionGone: it was draining, and is done with that.
            Superseded: a later attach, on another node, has it already.
            StoreUnavailable: it can't be claimed now.
        """
        if self._sharing is None:
            return self.join(session)
        async with self._sharing.alone(session.id):
            if session.status is Status.DRAINING and session.id not in self._live:
                return await self._sharing.follow(session)  # no more audio: only something left to read
            return await self._sharing.claim(session, self._live.get(session.id), before)

    async def listen(self, session: Session) -> LiveSession:
        """The same for an observer, who claims nothing.

        Raises:
            SessionGone, StoreUnavailable: as `take`.
        """
        if self._sharing is None:
            return self.join(session)
        async with self._sharing.alone(session.id):
            if session.id in self._live:
                return self.join(session)
            return await self._sharing.follow(session)

    async def read(self, session: Session) -> EventLog | None:
        """The event log of a session that is over, to read what is left of it; None where nothing is.

        Raises:
            StoreUnavailable: it can't be read now.
        """
        found = self._logs.get(session.id)
        if found is not None or self._sharing is None:
            return found
        event_log = EventLog(session.id, None, self._clock, self._new_tail())
        with contextlib.suppress(UnknownSession):
            event_log.receive(await self._sharing.events.tail(session.id, 0))
            return event_log
        return None

    def left(self, live: LiveSession) -> None:
        """One of its readers has left."""
        if self._sharing is not None:
            self._sharing.left(live)

    def holds(self, live: LiveSession) -> bool:
        """Whether anything may still be said in it, here or elsewhere."""
        if self._live.get(live.session_id) is live:
            return True
        return self._sharing is not None and self._sharing.followed(live.session_id) is live

    @property
    def followed(self) -> tuple[LiveSession, ...]:
        """What is read here of sessions that other nodes hold."""
        return () if self._sharing is None else tuple(self._sharing)

    def discard(self, session_id: str) -> None:
        """Forget a session that is over, or was deleted: whoever is attached still is told so."""
        if self._sharing is not None:
            self._sharing.discard(session_id)
        live = self.drop(session_id)
        self.places.release(session_id)
        if live is not None:
            live.abandon()
            live.log.give_up()
            live.audience.dismiss(GONE)

    async def aclose(self) -> None:
        """End every task of every session. What is pending is not classified any more."""
        await self._tasks.aclose()
        self._live.clear()
        self._logs.clear()
        self._heard.clear()

    def _unhear(self, session_id: str) -> None:
        """Give back what listened to a session, once none of its windows is there any more."""
        heard = self._heard.pop(session_id, None)
        if heard is not None:
            heard.pipeline.when_landed(lambda: self._backends.leave(heard.backend, session_id))

    # Making ----------------------------------------------------------------------------------------------

    def build(self, session: Session, held: Held, followed: LiveSession | None) -> LiveSession:
        """See `Builder`."""
        assert self._sharing is not None
        event_log = EventLog(session.id, None, self._clock, self._new_tail())
        audience = Audience()
        if followed is not None:
            event_log, audience = followed.log, followed.audience
        if not event_log.adopt(self._sharing.events, held.tail):
            audience.dismiss(HISTORY_LOST)
        live = self._live[session.id] = self._build(session, event_log, audience, _snapshot(held))
        self.places.release(session.id)
        return live

    def build_followed(self, session: Session) -> LiveSession:
        """See `Builder`."""
        event_log = EventLog(session.id, None, self._clock, self._new_tail())
        announcer, audience = Announcer(event_log, session.audio, self._telemetry), Audience()
        pipeline = Pipeline(
            audio=session.audio,
            config=session.config,
            announcer=announcer,
            scheduler=Nowhere(),
            clock=self._clock,
            telemetry=self._telemetry,
            tell=_nobody,  # whoever claims it here tells its owner
            owner_backlog=lambda: 0,
            namespace=session.namespace_id,
        )
        pipeline.ended = True
        return self._session(event_log, pipeline, audience, None, _never)

    def drop(self, session_id: str) -> LiveSession | None:
        """See `Builder`."""
        live = self._live.pop(session_id, None)
        self._logs.pop(session_id, None)
        self._unhear(session_id)
        return live

    def _new_tail(self) -> BoundedTail:
        return BoundedTail(self._bounds.events, self._bounds.bytes, self._bounds.seconds)

    def _build(
        self,
        session: Session,
        event_log: EventLog,
        audience: Audience,
        snapshot: Snapshot | None = None,
    ) -> LiveSession:
        self._logs[session.id] = event_log
        announcer = Announcer(event_log, session.audio, self._telemetry)
        backend, captions = self._backends.enter(session.namespace_id), None
        if backend.transcriber is not None:
            captions = Captions(
                backend.transcriber, announcer, session.audio, session.config, self._tasks.spawn
            )
        pipeline = Pipeline(
            audio=session.audio,
            config=session.config,
            announcer=announcer,
            scheduler=backend.ear.scheduler,
            clock=self._clock,
            telemetry=self._telemetry,
            tell=audience.tell_owner,
            owner_backlog=lambda: audience.owner_backlog,
            captions=captions,
            namespace=session.namespace_id,
            own_words=backend.own_words,
        )
        if snapshot is not None:
            pipeline.restore(snapshot)

        async def finished(summary: Summary) -> None:
            try:
                await self._on_finished(session.id, summary, pipeline.counts())
            except (*STORE_ERRORS, BadDocument, Conflict):
                # Its readers are told all the same; whoever looks after the store finds it draining.
                log.warning("the end of a session could not be kept", extra={"session_id": session.id})
            log.info("ended", extra={"session_id": session.id, **pipeline.ledger.counts()})
            # The log stays readable; the ring and the analysis state go. By its pipeline, as what is called
            # by a session had better not hold it.
            current = self._live.get(session.id)
            if current is not None and current.pipeline is pipeline:
                del self._live[session.id]
                self._unhear(session.id)

        live = self._session(event_log, pipeline, audience, captions, finished)
        bulletin = Bulletin(announcer, lambda: pipeline.ledger.next_sample, lambda: live.ending)
        self._heard[session.id] = _Heard(backend, pipeline, bulletin)
        bulletin.tell_all((self.notices, *(part.notices for part in backend.parts)))
        return live

    def _session(
        self,
        event_log: EventLog,
        pipeline: Pipeline,
        audience: Audience,
        captions: Captions | None,
        finished: Callable[[Summary], Awaitable[None]],
    ) -> LiveSession:
        async def truncated() -> bool:
            try:
                return (await self._events.record(event_log.session_id, limit=1)).truncated
            except (*STORE_ERRORS, BadDocument):
                return True  # what was said last is not in it yet, and may never be

        return LiveSession(
            event_log,
            pipeline,
            audience,
            captions,
            drain_s=self._drain_s,
            spawn=self._tasks.spawn,
            on_finished=finished,
            truncated=truncated,
        )


def _snapshot(held: Held) -> Snapshot | None:
    """Where the session stood; None where it has not begun, or that can't be read."""
    if held.snapshot is None:
        return None
    try:
        return Snapshot.unpack(held.snapshot)
    except BadDocument:
        log.exception("a session's standing can't be read: its audio begins anew")
        return None


def _nobody(_: Event) -> None:
    """What is followed has no owner here."""


async def _never(_: Summary) -> None:
    """What is followed ends elsewhere."""
