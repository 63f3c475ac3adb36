"""A live session: its pipeline, its readers, and its orderly end."""

import asyncio
import contextlib
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
        self._seat = 0

    @property
    def count(self) -> int:
        """Readers attached now."""
        return len(self.observers) + (self.owner is not None)

    @property
    def readers(self) -> tuple[Reader, ...]:
        """The same, one by one; those that were told to end and haven't left yet included."""
        return (*self.observers, *([self.owner] if self.owner else ()))

    @property
    def owner_backlog(self) -> int:
        """Events that the owner has not read yet."""
        return self.owner.backlog if self.owner is not None else 0

    def tell_owner(self, event: Event) -> None:
        """Say something to the owner only; nobody is told where there is none."""
        if self.owner is None:
            return
        say(self.owner, event)

    def seat_owner(self, reader: Reader, attach: int) -> bool:
        """Make `reader` the owner, unless a later attach has the seat already. Whether it is the owner now.

        Whoever is left without the seat is told and closed. `attach` numbers the attaches as the store saw
        them: where two come at once, their sockets may get here in the other order.
        """
        replaced: Reader | None = reader
        if attach >= self._seat:
            self._seat = attach
            replaced, self.owner = self.owner, reader
        if replaced is not None:
            replaced.end_with(_replaced())
        return self.owner is reader

    def displace_owner(self) -> None:
        """The owner is attached to another node, or another connection of it is."""
        if self.owner is not None:
            self.owner.end_with(_replaced())

    def leave(self, reader: Reader) -> bool:
        """`reader` is gone. Whether it was the owner."""
        reader.close()
        self.observers.discard(reader)
        if self.owner is not reader:
            return False
        self.owner = None
        return True

    def dismiss(self, farewell: Farewell) -> None:
        """End every reader's connection after what was said so far."""
        for reader in self.readers:
            if farewell.word is not None:
                reader.reply(farewell.word, last=True)
            reader.finish(farewell.code, farewell.reason)


def _replaced() -> ProtocolError:
    return ProtocolError(ErrorCode.REPLACED, "another connection took this session over", fatal=True)


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
        self._settling: asyncio.Task[None] | None = None
        self._patience: asyncio.Timeout | None = None

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
        self.hurry()
        if self._ending is None:
            self._ending = self._spawn(self._finish(0.0, ENDED))
        return await asyncio.shield(self._ending)

    async def depart(self, patience_s: float) -> None:
        """The node goes away: say what is to be said of the audio so far, and take no more in.

        What has no answer after `patience_s`, or when hurried, becomes a gap. The session isn't over then,
        but one whose end has begun is brought to it.
        """
        self.pipeline.suspend()
        if self._ending is None:
            await self._settle(patience_s)
        if self._ending is not None:
            await asyncio.shield(self._ending)

    def abandon(self) -> None:
        """The session is another node's now: hear no more of it, and say nothing."""
        for task in (self._ending, self._settling):
            if task is not None:
                task.cancel()
        self.pipeline.abandon()
        if self._captions is not None:
            self._spawn(self._captions.aclose())

    def hurry(self) -> None:
        """Wait no longer for answers. May be called again, and before there is anything to wait for."""
        if self._patience is not None:
            with contextlib.suppress(RuntimeError):  # it is running out by itself just now
                self._patience.reschedule(asyncio.get_running_loop().time())

    def keep(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` to its end even if the socket that asked for it goes."""
        self._spawn(work)

    async def _finish(self, patience_s: float, farewell: Farewell) -> Summary:
        self.pipeline.stop_accepting()
        await self._settle(patience_s)
        if self.pipeline.ledger.pending_samples:
            self.pipeline.abort()
        summary = self.pipeline.announcer.summarise(
            self.pipeline.ledger, record_truncated=await self._truncated()
        )
        self.pipeline.cutter.release()
        await self._on_finished(summary)
        self.audience.dismiss(farewell)
        return summary

    async def _settle(self, patience_s: float) -> None:
        """Wait for the last windows and words, and give up what is missing then. It happens once."""
        if self._settling is None:
            self._settling = self._spawn(self._wind_up(patience_s))
        await asyncio.shield(self._settling)

    async def _wind_up(self, patience_s: float) -> None:
        if patience_s > 0:
            await self._drain(patience_s)
        if self.pipeline.ledger.pending_samples:
            self.pipeline.abort()
        if self._captions is not None:
            await self._captions.aclose()

    async def _drain(self, patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s) as self._patience:
                await self._settled(self.pipeline.last_window)
                if self._captions is not None:
                    await self._captions.flush()
        except TimeoutError:
            log.warning("a session did not drain in time", extra={"session_id": self.session_id})
            if self._captions is not None and self._captions.pending_from is not None:
                self._captions.warn("the last words came too late to be transcribed")
        finally:
            self._patience = None

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
