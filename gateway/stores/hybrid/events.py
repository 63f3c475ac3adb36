"""Events of the sessions that this node owns on their way to the store, and those of others on theirs here.

What a session says waits in its outbox until the store has it, and only then is it read: whoever saw an event
finds it again on any node. One commit takes along all sessions that have something to say; while it is on its
way the next one gathers. Where the store is away, sessions go on in memory: what they say is read at once,
the outbox keeps as much of it as a reader may come back for, and the store is given it when it is back.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.errors import STORE_ERRORS, StoreUnavailable
from gateway.sessions.ports import Entry, OnCommit, RecordPage, Tail, UnknownSession
from gateway.sessions.shared import (
    Commit,
    Committed,
    Held,
    Loss,
    Sink,
    StreamBounds,
    StreamStore,
    Superseded,
    Writer,
)
from gateway.stores.hybrid.following import Followers
from gateway.stores.hybrid.outbox import Own

log = logging.getLogger(__name__)

AT_ONCE: Final = 128
"""Sessions in one commit."""
EVENTS: Final = 2_000
"""Events in one commit. All that one session has to say goes along, though it were more: whatever is
committed without the standing after it is said again by whoever takes the session over just then."""
_PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0)
"""Between tries to reach a store that is away; the last one from then on."""
_PATIENCE_S: Final = 3.0
"""Seconds without an answer after which a store counts as away, however long its driver waits."""
_MENDED_S: Final = 60.0
"""A stream that was begun anew and can't be written to within that time again is beyond help."""
_FAREWELL_S: Final = 5.0
"""How long a node that goes waits for the store to take what is left."""
_SILENT: Final = StoreUnavailable("it doesn't answer")
_END: Final = 2**53
"""After any event."""
_BOUNDS: Final = StreamBounds()
_NOBODY: Final = "-"
"""No session's id: asked for where the answer tells only that there is one."""


class Observer(Protocol):
    """Is told what the metrics tell."""

    def committed(self, sessions: int, events: int) -> None: ...
    def store_away(self, away: bool) -> None: ...
    def dropped_events(self, events: int) -> None: ...
    def claimed(self, taken: bool) -> None: ...
    def lost_session(self, how: str) -> None: ...


async def _nothing_there(_: str) -> bool:
    return False


async def _no_snapshot(_: str) -> bytes | None:
    return None


class HybridEventStore:
    """Implements `gateway.sessions.shared.SharedEvents` over a stream store.

    Args:
        node_id: this node's.
        bounds: how much of one session waits for a store that is away.
        on_stored: is given what the store has of a session that it had not: events, and maybe a snapshot.
    """

    def __init__(
        self,
        streams: StreamStore,
        node_id: str,
        clock: Clock,
        observer: Observer,
        *,
        bounds: StreamBounds = _BOUNDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_stored: Callable[[Own, Sequence[Entry], bytes | None], None] = lambda *_: None,
    ) -> None:
        self._streams = streams
        self._node_id = node_id
        self._observer = observer
        self._bounds = bounds
        self._sleep = sleep
        self._on_stored = on_stored
        self._own: dict[str, Own] = {}
        self._to_forget: dict[str, None] = {}
        self._dirty: dict[str, Own] = {}
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._running: list[asyncio.Task[None]] = []
        self._followers = Followers(streams, clock, sleep)
        self.is_away = False
        """Whether the store can't be reached; what is said is in this node's memory only."""
        self.on_away: Callable[[bool], None] = lambda _: None
        """Called when that changes."""
        self.restore: Callable[[str], Awaitable[bool]] = _nothing_there
        """Gives the store a session that it has lost; whether that could be done."""
        self.recall: Callable[[str], Awaitable[bytes | None]] = _no_snapshot
        """Where a session stood whose stream the store has lost, as the audit trail has it."""
        self.on_taken: Callable[[str, str], None] = lambda *_: None
        """Told of each session that was claimed from another node, or deleted here, and of that node."""

    def start(self) -> None:
        """Begin to commit and to follow."""
        for name, work in (("commit", self._run()), ("follow", self._followers.run())):
            self._running.append(asyncio.create_task(work, name=name))

    @property
    def tasks(self) -> Sequence["asyncio.Task[None]"]:
        """Those that must not end by themselves."""
        return tuple(self._running)

    async def aclose(self) -> None:
        """Give the store what it doesn't have yet, if it takes it soon, and end."""
        if self._running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._idle.wait()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # Being the writer -------------------------------------------------------------------------------------

    async def claim(self, session_id: str, turn: int) -> Held:
        """See `SharedEvents.claim`."""
        claim = await self._streams.claim(session_id, self._node_id, turn)
        tail = claim.tail
        taken = claim.previous not in (None, self._node_id)
        self._observer.claimed(taken)
        if claim.previous is not None:
            self.tell(session_id, claim.previous)
        self._dirty.pop(session_id, None)
        self._own[session_id] = Own(
            session_id, self._node_id, claim.epoch, claim.gen, turn, tail.top, self._bounds
        )
        snapshot = claim.snapshot
        if snapshot is None and not tail.top:
            snapshot = await self.recall(session_id)
        return Held(tail, snapshot)

    def owns(self, session_id: str) -> bool:
        """Whether this node is the writer, as far as it knows."""
        return session_id in self._own

    def open(self, session_id: str, on_commit: OnCommit) -> str:
        own = self._stream(session_id)
        own.on_commit = on_commit
        return own.epoch

    def attend(self, session_id: str, writer: Writer) -> None:
        """See `SharedEvents.attend`."""
        self._stream(session_id).writer = writer

    def append(self, session_id: str, entry: Entry) -> None:
        own = self._stream(session_id)
        lost = own.add(entry)
        if lost:
            self._observer.dropped_events(lost)
        if self.is_away:
            own.publish(entry.seq)
        self._touch(own)

    def progress(self, session_id: str) -> None:
        """See `SharedEvents.progress`."""
        own = self._own.get(session_id)
        if own is not None:
            self._touch(own)

    def committed(self, session_id: str) -> int:
        return self._stream(session_id).committed

    def stored(self, session_id: str) -> int:
        """See `SharedEvents.stored`."""
        return self._stream(session_id).stored

    def tell(self, session_id: str, node_id: str) -> None:
        """See `SharedEvents.tell`."""
        if node_id != self._node_id:
            self.on_taken(session_id, node_id)

    def lose(self, session_ids: Iterable[str]) -> None:
        """Others have claimed these sessions' streams, as the store says."""
        for session_id in session_ids:
            self.progress(session_id)  # it may have been claimed back meanwhile: a commit finds out

    def recheck(self) -> None:
        """Find out what became of streams of which nothing was committed since this was called last: one that
        is quiet here may be another node's, or deleted, by now."""
        for own in self._own.values():
            if not own.heard_of:
                self._touch(own)
            own.heard_of = False

    # Reading ----------------------------------------------------------------------------------------------

    async def tail(self, session_id: str, after: int) -> Tail:
        return await self._streams.tail(session_id, after)

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        return await self._streams.record(session_id, after, limit)

    async def standing(self, session_id: str) -> bytes | None:
        """See `SharedEvents.standing`."""
        return await self._streams.snapshot(session_id)

    async def follow(self, session_id: str, sink: Sink) -> Callable[[], None]:
        """See `SharedEvents.follow`."""
        return await self._followers.follow(session_id, sink)

    async def purge(self, session_id: str) -> None:
        self._own.pop(session_id, None)
        self._dirty.pop(session_id, None)
        try:
            await self._streams.forget(session_id)
        except StoreUnavailable:
            self._to_forget[session_id] = None
            self._wake()

    # Committing -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Commit what there is, until cancelled."""
        tries = 0
        while True:
            await self._news.wait()
            try:
                await self._commit_some()
            except Exception as error:
                # A store that refuses everything helps no more than one that is away.
                if not isinstance(error, STORE_ERRORS):
                    log.exception("the store can't be written to")
                self._note_away(error)
                await self._pause(tries)
                tries += 1
            else:
                tries = 0
                self._note_back()
            if not self._dirty and not self._to_forget:
                self._idle.set()
                if not self.is_away:  # else the store is asked until it is back
                    self._news.clear()

    async def _pause(self, tries: int) -> None:
        await self._sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])

    async def _commit_some(self) -> None:
        batch = self._next_batch()
        commits = [self._commit_of(own) for own in batch]
        silent = asyncio.get_running_loop().call_later(_PATIENCE_S, self._note_away, _SILENT)
        try:
            if self.is_away and not commits:
                await self._streams.snapshot(_NOBODY)
            outcomes = await self._outcomes(commits)
        except Exception:
            for own in batch:
                self._again(own)
            raise
        finally:
            silent.cancel()
        away: StoreUnavailable | None = None
        for own, commit, outcome in zip(batch, commits, outcomes, strict=True):
            try:
                if isinstance(outcome, Exception):
                    await self._mend(own, outcome, alone=len(commits) == 1)
                else:
                    await self._take(own, commit, outcome)
            except StoreUnavailable as error:
                self._again(own)
                away = error
            except Exception:
                # One session's defect stays with it.
                log.exception("a commit's outcome failed", extra={"session_id": own.session_id[:8]})
        self._observer.committed(len(commits), sum(len(one.entries) for one in commits))
        if away is not None:
            raise away
        for session_id in tuple(self._to_forget):
            await self._streams.forget(session_id)
            self._to_forget.pop(session_id, None)

    async def _outcomes(self, commits: Sequence[Commit]) -> Sequence[Committed | Exception]:
        """What became of each, or why it can't be done: where all at once can't, they are tried one by one.

        Raises:
            Exception: nobody's can be done.
        """
        if not commits:
            return ()
        try:
            return await self._streams.commit(commits)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(commits) == 1:
                return [error]
        outcomes: list[Committed | Exception] = []
        for commit in commits:
            try:
                outcomes += await self._streams.commit([commit])
            except StoreUnavailable:
                raise
            except Exception as error:
                outcomes.append(error)
        failed = [one for one in outcomes if isinstance(one, Exception)]
        if len(failed) == len(outcomes):
            raise failed[0]
        return outcomes

    async def _mend(self, own: Own, error: Exception, *, alone: bool) -> None:
        """The store has something that keeps this session's events out: its stream is begun anew with what is
        held here. Where that is of no use it goes to nobody, and whoever comes back finds out.

        Args:
            alone: nobody else's could be tried: it may be the store that takes nothing.

        Raises:
            StoreUnavailable: as it seems.
        """
        now = asyncio.get_running_loop().time()
        if own.mended is None or now - own.mended >= _MENDED_S:
            own.mended = now
            log.error(
                "a stream can't be written to", exc_info=error, extra={"session_id": own.session_id[:8]}
            )
            try:
                if await self.restore(own.session_id):
                    await self._streams.forget(own.session_id)
                    await self._begin_again(own)
                    return
            except StoreUnavailable:
                raise
            except Exception as other:
                error = other
        if alone:
            raise StoreUnavailable("it takes nothing") from error
        self._lost(own, Loss.REVERTED)

    def _next_batch(self) -> Sequence[Own]:
        """Those that go along now, the longest waiting first."""
        batch: list[Own] = []
        events = 0
        for own in islice(self._dirty.values(), AT_ONCE):
            events += own.waiting
            if batch and events > EVENTS:
                break
            batch.append(own)
        for own in batch:
            del self._dirty[own.session_id]
        return batch

    def _commit_of(self, own: Own) -> Commit:
        """What is to be made safe of a session; its events also where its standing can't be had."""
        try:
            return own.commit()
        except Exception:
            log.exception("a session's standing can't be kept", extra={"session_id": own.session_id[:8]})
            return own.commit(standing=False)

    async def _take(self, own: Own, commit: Commit, outcome: Committed) -> None:
        own.heard_of = True
        match outcome:
            case Committed.DONE:
                own.restarting = False
                if commit.entries:
                    self._done(own, commit.entries[-1].seq)
                self._on_stored(own, commit.entries, commit.snapshot)
            case Committed.MISPLACED:
                own.restarting = False
                await self._place(own)
            case Committed.UNKNOWN:
                await self._begin_again(own)
            case Committed.FENCED | Committed.REVERTED if own.restarting:
                await self._begin_again(own)  # maybe by its own claim, whose answer got lost
            case Committed.REVERTED:
                log.warning("the store has lost a claim", extra={"session_id": own.session_id[:8]})
                self._lost(own, Loss.REVERTED)
            case Committed.GONE:
                self._lost(own, Loss.DELETED)
            case _:
                self._lost(own, Loss.TAKEN)

    async def _place(self, own: Own) -> None:
        """The store has another top than was thought: the answer to an earlier commit got lost, or events
        that it had taken."""
        try:
            top = (await self._streams.tail(own.session_id, _END)).top
        except UnknownSession:
            self._again(own)  # it went just now: a commit finds out how
            return
        if top > own.top:  # nobody but this node can have written that, and it has not
            log.error("a stream is ahead of its writer", extra={"session_id": own.session_id[:8]})
            self._lost(own, Loss.TAKEN)
            return
        if top < own.stored:
            log.warning("the store has lost events", extra={"session_id": own.session_id[:8]})
            own.fall_back(top)
        else:
            self._on_stored(own, self._done(own, top), None)
        self._again(own)  # where it stands now was not kept

    async def _begin_again(self, own: Own) -> None:
        """The store has lost the stream: it is begun anew with what is still held here, in the same epoch."""
        log.warning("the store has lost a session", extra={"session_id": own.session_id[:8]})
        if self._own.get(own.session_id) is not own or not await self.restore(own.session_id):
            self._lost(own, Loss.DELETED)
            return
        own.restarting = True
        try:
            claim = await self._streams.claim(own.session_id, self._node_id, own.turn, own.epoch)
        except Superseded:
            self._lost(own, Loss.TAKEN)
            return
        if claim.tail.top or claim.epoch != own.epoch:  # another node was quicker
            self._lost(own, Loss.TAKEN)
            return
        own.begin_again(claim.gen)
        self._again(own)

    def _done(self, own: Own, to: int) -> Sequence[Entry]:
        taken = own.done(to)
        own.publish(to)
        if own.waiting:
            self._again(own)
        return taken

    def _again(self, own: Own) -> None:
        """There is more of it to commit, unless it was claimed anew or forgotten meanwhile."""
        if self._own.get(own.session_id) is own:
            self._touch(own)

    def _touch(self, own: Own) -> None:
        self._dirty[own.session_id] = own
        self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._news.set()

    def _lost(self, own: Own, loss: Loss) -> None:
        if self._own.get(own.session_id) is not own:
            return
        del self._own[own.session_id]
        self._dirty.pop(own.session_id, None)
        self._observer.lost_session(loss.value)
        log.info("lost a session", extra={"session_id": own.session_id[:8], "how": loss.value})
        if own.writer is not None:
            own.writer.lost(loss, unseen=own.committed > own.stored)

    def _note_away(self, error: Exception) -> None:
        if self.is_away:
            return
        self.is_away = True
        log.warning("the store is away; sessions go on in memory", extra={"reason": str(error)})
        self._observer.store_away(True)
        for own in tuple(self._own.values()):
            own.publish(own.top)
        self.on_away(True)

    def _note_back(self) -> None:
        if self.is_away:
            self.is_away = False
            log.warning("the store is back, and is given what was said meanwhile")
            self._observer.store_away(False)
            self.lose(tuple(self._own))  # it may have lost some of them
            self.on_away(False)

    def _stream(self, session_id: str) -> Own:
        try:
            return self._own[session_id]
        except KeyError:
            raise UnknownSession from None
