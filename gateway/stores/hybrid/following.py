"""Streams that other nodes write, read here by one cursor each, whoever many read them here."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.clock import Clock
from gateway.errors import STORE_ERRORS, StoreUnavailable
from gateway.sessions.ports import Tail, UnknownSession
from gateway.sessions.shared import Sink, StreamStore

log = logging.getLogger(__name__)

WAIT_S: Final = 0.1
"""Seconds that one question for news may wait: so much later is a new reader's stream asked about."""
GRACE_S: Final = 5.0
"""For so long a stream that is there no more may come back: its writer gives it to a store that lost it."""
_PAUSE_S: Final = 0.5
"""Before the store is asked again where it is away."""


@dataclass(slots=True, eq=False)
class _Followed:
    cursor: int = 0
    epoch: str = ""
    gone_at: float | None = None
    sinks: list[Sink] = field(default_factory=list)

    def tell(self, tail: Tail | None, now: float) -> None:
        if tail is None:
            if not self.epoch:
                return  # it has not begun yet
            if self.gone_at is None:
                self.gone_at = now
            if now - self.gone_at < GRACE_S:
                return
            self.cursor, self.epoch = 0, ""
        else:
            self.cursor, self.epoch, self.gone_at = tail.top, tail.epoch, None
        for sink in tuple(self.sinks):
            sink(tail)


class Followers:
    """Everybody here who reads what is said on other nodes."""

    def __init__(self, streams: StreamStore, clock: Clock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._streams = streams
        self._clock = clock
        self._sleep = sleep
        self._followed: dict[str, _Followed] = {}
        self._any = asyncio.Event()

    async def follow(self, session_id: str, sink: Sink) -> Callable[[], None]:
        """See `SharedEvents.follow`."""
        try:
            tail: Tail | None = await self._streams.tail(session_id, 0)
        except UnknownSession:
            tail = None
        if tail is not None:
            sink(tail)  # where it is behind the others' cursor, the next news tells what is missing
        followed = self._followed.get(session_id)
        if followed is None:
            followed = self._followed[session_id] = _Followed()
            if tail is not None:
                followed.cursor, followed.epoch = tail.top, tail.epoch
        followed.sinks.append(sink)
        if tail is not None:
            followed.cursor = min(followed.cursor, tail.top)
        self._any.set()

        def stop() -> None:
            followed.sinks.remove(sink)
            if not followed.sinks and self._followed.get(session_id) is followed:
                del self._followed[session_id]

        return stop

    async def run(self) -> None:
        """Ask for news, until cancelled."""
        while True:
            if not self._followed:
                self._any.clear()
                await self._any.wait()
            cursors = {session_id: one.cursor for session_id, one in self._followed.items()}
            try:
                news = await self._news(cursors)
            except Exception as error:
                if not isinstance(error, STORE_ERRORS):
                    log.exception("asking for news failed")
                await self._sleep(_PAUSE_S)
                continue
            for session_id in cursors:
                followed = self._followed.get(session_id)
                if followed is None:
                    continue
                if session_id in news:
                    self._tell(session_id, followed, news[session_id])
                else:
                    followed.gone_at = None  # it is there, and quiet
            if news and all(tail is None for tail in news.values()):
                await self._sleep(WAIT_S)  # those that have not begun don't make anybody wait

    async def _news(self, cursors: Mapping[str, int]) -> Mapping[str, Tail | None]:
        """Of all at once, or, where that can't be told, of each: one that is damaged is as good as gone."""
        try:
            return await self._streams.newer(cursors, WAIT_S)
        except StoreUnavailable:
            raise
        except Exception:
            if len(cursors) == 1:
                raise
        news: dict[str, Tail | None] = {}
        failed: list[Exception] = []
        for session_id, cursor in cursors.items():
            try:
                news |= await self._streams.newer({session_id: cursor}, 0.0)
            except StoreUnavailable:
                raise
            except Exception as error:
                failed.append(error)
                news[session_id] = None
        if len(failed) == len(cursors):
            raise failed[0]
        await self._sleep(WAIT_S)
        return news

    def _tell(self, session_id: str, followed: _Followed, tail: Tail | None) -> None:
        try:
            followed.tell(tail, self._clock.monotonic())
        except Exception:
            # One reader's defect stays with it.
            log.exception("a followed stream could not be told", extra={"session_id": session_id[:8]})
