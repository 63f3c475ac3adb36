"""Sessions that other nodes may hold: claimed for an owner who comes here, followed for whoever only reads.

an owner comes ─────► claimed ──► live here ──► claimed elsewhere ──► followed, while somebody reads it here
an observer comes ──► live here, or else followed
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from gateway.live.captions import Spawn
from gateway.live.session import ENDED, Farewell, LiveSession
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry, Tail
from gateway.sessions.shared import Held, Loss, SharedEvents
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Summary

log = logging.getLogger(__name__)

GONE = Farewell.of(ProtocolError(ErrorCode.SESSION_NOT_FOUND, "the session was deleted", fatal=True))
"""The end of a session that somebody deleted on another node."""
HISTORY_LOST = Farewell.of(
    ProtocolError(ErrorCode.STORE_UNAVAILABLE, "what was said last was lost", fatal=True)
)
"""Readers have seen what no other node knows of: they come back, and are told."""


class Builder(Protocol):
    """Makes live sessions, as the registry does."""

    def build(self, session: Session, held: Held, followed: LiveSession | None) -> LiveSession:
        """One that is live here and goes on from what is `held`, with the readers of the one `followed`."""
        ...

    def build_followed(self, session: Session) -> LiveSession:
        """One that another node holds: its log is told from there, and it hears nothing itself."""
        ...

    def drop(self, session_id: str) -> LiveSession | None:
        """Let go of one that is live here, without a word; None where none is."""
        ...


@dataclass(slots=True, eq=False)
class _Followed:
    live: LiveSession
    stop: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class _Writer:
    """Answers for a session that is live here."""

    sharing: "Sharing"
    live: LiveSession

    def snapshot(self) -> bytes:
        return self.live.pipeline.snapshot().packed()

    def history(self) -> Sequence[Entry]:
        return self.live.log.held()

    def lost(self, loss: Loss, *, unseen: bool) -> None:
        self.sharing.lost(self.live.session_id, loss, unseen=unseen)


class Sharing:
    """What this node has of sessions that others may have, too."""

    def __init__(self, events: SharedEvents, builder: Builder, spawn: Spawn) -> None:
        self.events = events
        self._builder = builder
        self._spawn = spawn
        self._followed: dict[str, _Followed] = {}
        self._claims: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._followed)

    def __iter__(self) -> Iterator[LiveSession]:
        return (one.live for one in tuple(self._followed.values()))

    def followed(self, session_id: str) -> LiveSession | None:
        """What is followed here of a session that another node holds."""
        found = self._followed.get(session_id)
        return None if found is None else found.live

    async def claim(self, session: Session, found: LiveSession | None, before: str | None) -> LiveSession:
        """The live session for an owner who attached here.

        Args:
            found: the one that is live here, as far as this node knows.
            before: the node that the owner before was attached to.

        Raises:
            Superseded: a later attach, on another node, has it already.
            StoreUnavailable: it can't be claimed now.
        """
        current = before is None or before == session.node
        if found is not None and current and self.events.owns(session.id):
            return found
        shown = self._shown(session.id)
        held = await self.events.claim(session.id, session.attaches)
        left = self._builder.drop(session.id)  # what is here of it is not how it went on elsewhere
        if left is not None:
            self._let_go(left, unseen=left.log.committed > shown)
        followed = self._followed.pop(session.id, None)
        if followed is not None:
            left = followed.live
            if followed.stop is not None:
                followed.stop()
        live = self._builder.build(session, held, left)
        self.events.attend(session.id, _Writer(self, live))
        live.pipeline.on_settle(lambda: self.events.progress(session.id))
        log.info("claimed", extra={"session_id": session.id, "events": live.log.top})
        return live

    @asynccontextmanager
    async def alone(self, session_id: str) -> AsyncIterator[None]:
        """One at a time claims a session here, or begins to follow it."""
        lock, users = self._claims.get(session_id, (asyncio.Lock(), 0))
        self._claims[session_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._claims[session_id]
            if users == 1:
                del self._claims[session_id]
            else:
                self._claims[session_id] = (lock, users - 1)

    def _shown(self, session_id: str) -> int:
        """Number of the newest event said here that other nodes can see."""
        return self.events.stored(session_id) if self.events.owns(session_id) else 0

    async def follow(self, session: Session) -> LiveSession:
        """What an observer here reads of a session that another node holds, or that nobody came to yet. To be
        called by one at a time (see `alone`).

        Raises:
            StoreUnavailable: it can't be read now.
        """
        found = self._followed.get(session.id)
        if found is None:
            found = self._followed[session.id] = _Followed(self._builder.build_followed(session))
            try:
                await self._begin(found)
            except BaseException:
                self._followed.pop(session.id, None)
                raise
        return found.live

    def left(self, live: LiveSession) -> None:
        """A reader has left; a session that nobody here reads any more is followed no longer."""
        found = self._followed.get(live.session_id)
        if found is not None and found.live is live and not live.audience.count:
            self._end(found)

    def discard(self, session_id: str) -> None:
        """Follow a session no longer: it is forgotten."""
        found = self._followed.get(session_id)
        if found is not None:
            found.live.audience.dismiss(GONE)
            self._end(found)

    def lost(self, session_id: str, loss: Loss, *, unseen: bool) -> None:
        """A session that was live here is so no longer; see `Writer.lost`.

        Where another node has taken it, its owner is told that it was replaced, and who observes it here goes
        on, unless what was read here is `unseen` elsewhere. Where the claim is lost, all may come back.
        """
        live = self._builder.drop(session_id)
        if live is None:
            return
        if loss is not Loss.TAKEN:
            live.abandon()
            live.log.give_up()
            live.audience.dismiss(GONE if loss is Loss.DELETED else HISTORY_LOST)
            return
        self._let_go(live, unseen=unseen)
        if not unseen and live.audience.count:
            found = self._followed[session_id] = _Followed(live)
            self._spawn(self._go_on(found))

    def _let_go(self, live: LiveSession, *, unseen: bool) -> None:
        """What is live here goes on elsewhere: hear no more of it. Who observes it may go on, too, unless
        what was read here is `unseen` there."""
        live.abandon()
        live.log.give_up()
        live.audience.displace_owner()
        if unseen:
            live.audience.dismiss(HISTORY_LOST)

    async def _go_on(self, found: _Followed) -> None:
        try:
            await self._begin(found)
        except Exception:
            found.live.audience.dismiss(HISTORY_LOST)
            self._end(found)
            raise

    async def _begin(self, found: _Followed) -> None:
        stop = await self.events.follow(found.live.session_id, lambda tail: self._receive(found, tail))
        found.stop = stop
        if self._followed.get(found.live.session_id) is not found:
            stop()  # nobody wanted it any more

    def _receive(self, found: _Followed, tail: Tail | None) -> None:
        live = found.live
        if self._followed.get(live.session_id) is not found:
            return  # it is live here by now, or nobody reads it any more
        if tail is None:
            live.audience.dismiss(GONE)
        elif not live.log.receive(tail):
            live.audience.dismiss(HISTORY_LOST)
        elif any(entry.type == Summary.type for entry in tail.entries):
            live.audience.dismiss(ENDED)

    def _end(self, found: _Followed) -> None:
        if self._followed.get(found.live.session_id) is found:
            del self._followed[found.live.session_id]
        if found.stop is not None:
            found.stop()
