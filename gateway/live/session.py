"""A live session: its pipeline, its readers, and its orderly end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.live.captions import Captions, Spawn
from gateway.live.log import EventLog
from gateway.live.pipeline import Pipeline
from gateway.live.reader import Reader, RepliesOverflow
from protocol.close import CloseCode
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event, Summary

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What readers are told when a session is over."""

    code: CloseCode
    reason: str
    word: Event | None = None
    """Said before the close."""

    @classmethod
    def of(cls, error: ProtocolError) -> "Farewell":
        """The end that `error` brings."""
        return cls(error.close_code, error.code, error.to_event())


ENDED = Farewell(CloseCode.NORMAL, "ended")
"""The end that was asked for."""


class Audience:
    """Who reads a session: at most one owner, any number of observers."""

    def __init__(self) -> None:
        self.owner: Reader | None = None
        self.observers: set[Reader] = set()
        self._left = asyncio.Event()

    @property
    def count(self) -> int:
        """Readers attached now."""
        return len(self.observers) + (self.owner is not None)

    @property
    def owner_backlog(self) -> int:
        """Events that the owner has not read yet."""
        return self.owner.backlog if self.owner is not None else 0

    def tell_owner(self, event: Event) -> None:
        """Say something to the owner only; nobody is told where there is none."""
        if self.owner is None:
            return
        say(self.owner, event)

    def seat_owner(self, reader: Reader) -> bool:
        """Make `reader` the owner; one that was there is told and closed. Whether there was one."""
        before, self.owner = self.owner, reader
        if before is None:
            return False
        before.end_with(
            ProtocolError(ErrorCode.REPLACED, "another connection took this session over", fatal=True)
        )
        return True

    def leave(self, reader: Reader) -> bool:
        """`reader` is gone. Whether it was the owner."""
        reader.close()
        self._left.set()
        self.observers.discard(reader)
        if self.owner is not reader:
            return False
        self.owner = None
        return True

    async def vacated(self) -> None:
        """Wait until nobody is attached."""
        while self.count:
            self._left.clear()
            await self._left.wait()

    def dismiss(self, farewell: Farewell) -> None:
        """End every reader's connection after what was said so far."""
        for reader in (*self.observers, *([self.owner] if self.owner else [])):
            if farewell.word is not None:
                reader.reply(farewell.word, last=True)
            reader.finish(farewell.code, farewell.reason)


class LiveSession:
    """What one node holds of one session while it is not over."""

    def __init__(
        self,
        event_log: EventLog,
        pipeline: Pipeline,
        audience: Audience,
        captions: Captions | None,
        *,
        drain_s: float,
        spawn: Spawn,
        on_finished: Callable[[Summary], Awaitable[None]],
        truncated: Callable[[], Awaitable[bool]],
    ) -> None:
        self.log = event_log
        self.pipeline = pipeline
        self.audience = audience
        self._captions = captions
        self._drain_s = drain_s
        self._spawn = spawn
        self._on_finished = on_finished
        self._truncated = truncated
        self._ending: asyncio.Task[Summary] | None = None

    @property
    def session_id(self) -> str:
        return self.log.session_id

    @property
    def ending(self) -> bool:
        """Whether the end has begun."""
        return self._ending is not None

    def cut_short(self) -> int:
        """Have the partial window classified now; returns its number, for `flushed`."""
        self.pipeline.cut_short()
        return self.pipeline.last_window

    async def flushed(self, number: int) -> None:
        """Wait until all events up to window `number` were said, words included."""
        await self._settled(number)
        if self._captions is not None:
            await self._captions.flush()

    def begin_finish(self, farewell: Farewell = ENDED) -> asyncio.Task[Summary]:
        """Begin to drain: the last windows, their events, the summary; then dismiss the readers.

        It happens once, whoever asks, and goes on where the one who asked is gone.
        """
        if self._ending is None:
            self._ending = self._spawn(self._finish(self._drain_s, farewell))
        return self._ending

    async def finish(self, farewell: Farewell = ENDED) -> Summary:
        """Drain, and wait for it."""
        return await asyncio.shield(self.begin_finish(farewell))

    async def abort(self) -> Summary:
        """End at once: what is pending becomes a gap."""
        self.pipeline.abort()
        if self._ending is None:
            self._ending = self._spawn(self._finish(0.0, ENDED))
        return await asyncio.shield(self._ending)

    def keep(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` to its end even if the socket that asked for it goes."""
        self._spawn(work)

    async def _finish(self, patience_s: float, farewell: Farewell) -> Summary:
        self.pipeline.stop_accepting()
        if patience_s > 0:
            await self._drain(patience_s)
        if self.pipeline.ledger.pending_samples:
            self.pipeline.abort()
        if self._captions is not None:
            await self._captions.aclose()
        summary = self.pipeline.announcer.summarise(
            self.pipeline.ledger, record_truncated=await self._truncated()
        )
        await self._on_finished(summary)
        self.audience.dismiss(farewell)
        return summary

    async def _drain(self, patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s):
                await self._settled(self.pipeline.last_window)
                if self._captions is not None:
                    await self._captions.flush()
        except TimeoutError:
            log.warning("a session did not drain in time", extra={"session_id": self.session_id})
            if self._captions is not None and self._captions.pending_from is not None:
                self._captions.warn("the last words came too late to be transcribed")

    async def _settled(self, number: int) -> None:
        """Wait until every window up to `number` has had its answer or was given up."""
        done = asyncio.Event()

        def check() -> None:
            if self.pipeline.settled_to(number):
                done.set()

        unlisten = self.pipeline.on_settle(check)
        try:
            check()
            await done.wait()
        finally:
            unlisten()


def say(reader: Reader, event: Event) -> None:
    """Say something to one reader; one that lets its replies pile up is told so and dismissed."""
    try:
        reader.reply(event)
    except RepliesOverflow:
        reader.end_with(
            ProtocolError(ErrorCode.READER_TOO_SLOW, "its replies are not being read", fatal=True)
        )
