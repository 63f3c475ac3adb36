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
            replaced.end_with(replaced_error())
        return self.owner is reader

    def displace_owner(self) -> None:
        """The owner is attached to another node, or another connection of it is."""
        if self.owner is not None:
            self.owner.end_with(replaced_error())

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
            if farewell.word is not None and reader.farewell is None:
                reader.reply(farewell.word, last=True)
            reader.finish(farewell.code, farewell.reason)


def replaced_error() -> ProtocolError:
    """What an owner is told whose session has a later one."""
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
        self._end: asyncio.Future[Summary | None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._abandoned = False

    @property
    def session_id(self) -> str:
        return self.log.session_id

    @property
    def ending(self) -> bool:
        """Whether the end has begun."""
        return self._end is not None

    def cut_short(self) -> int:
        """Have the partial window classified now; returns its number, for `flushed`."""
        self.pipeline.cut_short()
        return self.pipeline.last_window

    async def flushed(self, number: int) -> None:
        """Wait until all events up to window `number` were said, words included."""
        await self._settled(number)
        if self._captions is not None:
            await self._captions.flush()

    def begin_finish(self, farewell: Farewell = ENDED) -> asyncio.Future[Summary | None]:
        """Begin to drain: the last windows, their events, the summary; then dismiss the readers.

        It happens once, whoever asks, and goes on where the one who asked is gone. Returns what becomes the
        summary, or None as soon as there will be none here: the session was abandoned.
        """
        return self._begin(self._drain_s, farewell)

    async def finish(self, farewell: Farewell = ENDED) -> Summary | None:
        """Drain, and wait for it; None where the session was abandoned, before or meanwhile."""
        return await asyncio.shield(self.begin_finish(farewell))

    async def abort(self) -> Summary | None:
        """End at once: what is pending becomes a gap. Returns what `finish` does."""
        if not self._abandoned:
            self.pipeline.abort()
            self.hurry()
        return await asyncio.shield(self._begin(0.0, ENDED))

    async def depart(self, patience_s: float) -> None:
        """The node goes away: say what is to be said of the audio so far, and take no more in.

        What has no answer after `patience_s`, or when hurried, becomes a gap. The session isn't over then,
        but one whose end has begun is brought to it.
        """
        self.pipeline.suspend()
        if self._end is None:
            await self._settle(patience_s)
        if self._end is not None:
            await asyncio.shield(self._end)

    def abandon(self) -> None:
        """The session is another node's now: hear no more of it, and say nothing. Nobody waits for its end
        here any longer."""
        self._abandoned = True
        for task in (self._ending, self._settling):
            if task is not None:
                task.cancel()
        if self._end is not None and not self._end.done():
            self._end.set_result(None)
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

    def _begin(self, patience_s: float, farewell: Farewell) -> asyncio.Future[Summary | None]:
        if self._end is None:
            self._end = asyncio.get_running_loop().create_future()
            if self._abandoned:
                self._end.set_result(None)
            else:
                self._ending = self._spawn(self._finish(patience_s, farewell))
                self._ending.add_done_callback(self._ended)
        return self._end

    def _ended(self, ending: asyncio.Task[Summary]) -> None:
        assert self._end is not None
        if self._end.done():
            return  # abandoned
        if ending.cancelled():
            self._end.set_result(None)
        elif (error := ending.exception()) is not None:
            self._end.set_exception(error)
            self._end.exception()  # it is logged as the task's, where nobody waits for it
        else:
            self._end.set_result(ending.result())

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
        """Wait for the last windows and words, and give up what is missing then. It happens once, and not
        where the session is abandoned."""
        if self._abandoned:
            return
        if self._settling is None:
            self._settling = self._spawn(self._wind_up(patience_s))
        await asyncio.wait((self._settling,))
        if not self._settling.cancelled():
            self._settling.result()

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
