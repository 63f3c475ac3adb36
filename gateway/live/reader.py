"""A reader: a cursor in an event log, and the messages meant for this reader alone.

Replies (`configured`, `pong`, `flow`, …) are not in the log. Each is kept with the log position at which it
was said, so that a reader sees it after exactly the events that came before it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.live.log import EventLog, Evicted
from gateway.sessions.ports import Entry
from protocol.close import CloseCode
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event, Flow

MAX_REPLIES = 256
"""Replies that may wait for a reader; one that lets more pile up is not reading."""
MAX_LAG_EVENTS = 256
"""Events that a socket's reader may be behind; what it came back for (the replay) is not counted."""
MAX_LAG_BYTES = 128 * 1024
"""The same in bytes of msgpack."""


class RepliesOverflow(Exception):
    """A reader let more than `MAX_REPLIES` replies pile up."""


@dataclass(slots=True)
class _Reply:
    after: int
    event: Event


@dataclass(frozen=True, slots=True)
class Ending:
    """How the reader's connection is to end, once it has read everything up to `after`."""

    code: CloseCode
    reason: str
    after: int


class Reader:
    """One consumer of a session. `take` decides what is next; `wait` sleeps until there is something.

    Args:
        log: what is read.
        after: where from: the last event that the reader has.
        bounded: whether falling too far behind ends the connection (with 4101, to be resumed), so that no
            peer that doesn't read is kept for long. Otherwise only the log's own bounds apply.
    """

    def __init__(self, log: EventLog, after: int, *, bounded: bool = False) -> None:
        self._log = log
        self.after = after
        """Sequence number of the last event taken."""
        self._bounded = bounded
        self._replay_to = log.committed
        self._volume = log.volume
        self._replies: list[_Reply] = []
        self.farewell: Ending | None = None
        """How it ends, if it was told to; set by `finish` alone."""
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._unlisten: Callable[[], None] | None = log.listen(self._on_commit)
        self.on_stopped: Callable[[], None] | None = None
        """Called once when the connection was told to end, so that it stops listening to its peer."""
        self.on_news: Callable[[], None] | None = None
        """Called when there may be something to take, for whoever doesn't sleep in `wait`; must not raise."""

    @property
    def backlog(self) -> int:
        """Events that this reader has not taken yet."""
        return self._log.committed - self.after

    @property
    def lag_events(self) -> int:
        """Events said since this reader came that it has not taken."""
        return self._log.committed - max(self.after, self._replay_to)

    @property
    def lag_bytes(self) -> int:
        """The same in bytes of msgpack."""
        return self._log.volume - self._volume

    def reply(self, event: Event, *, last: bool = False) -> None:
        """Say something to this reader only. A newer `flow` takes the place of one not yet taken.

        Raises:
            RepliesOverflow: too many replies wait already, and this is not the `last`.
        """
        if self.farewell is not None and not last:
            return
        if self._replies and isinstance(event, Flow):
            self._replies = [kept for kept in self._replies if not isinstance(kept.event, Flow)]
        if len(self._replies) >= MAX_REPLIES and not last:
            raise RepliesOverflow
        self._replies.append(_Reply(self._log.top, event))
        self._tell()

    def finish(self, code: CloseCode, reason: str = "") -> None:
        """End the connection after what was said so far. The first reason given stands."""
        if self.farewell is not None:
            return
        self.farewell = Ending(code, reason, self._log.top)
        self._tell()
        if self.on_stopped is not None:
            self.on_stopped()

    def end_with(self, error: ProtocolError) -> None:
        """Tell why, however many replies wait, and end the connection with the code that belongs to it. The
        first reason given stands, and no other is told."""
        if self.farewell is not None:
            return
        self.reply(error.to_event(), last=True)
        self.finish(error.close_code, error.code)

    def take(self, limit: int = 64) -> Sequence[Entry | Event]:
        """What is next, in order; empty where nothing is.

        Raises:
            Evicted: this reader fell out of the log; `skip_to` goes on from the oldest held.
        """
        self._news = False
        # What was to come before may have been given up since.
        until = min(self._replies[0].after, self._log.top) if self._replies else None
        if until is not None and until <= self.after:
            return (self._replies.pop(0).event,)
        entries = self._log.read(self.after, limit)
        if until is not None:
            entries = [entry for entry in entries if entry.seq <= until]
        self._taken(entries)
        return entries

    def skip_to(self, after: int) -> None:
        """Move the cursor forward, past events that are no longer held or that the reader has already."""
        if after <= self.after:
            return
        try:
            self._taken(self._log.read(self.after, after - self.after))
        except Evicted:
            self._volume = self._log.volume
        self.after = max(self.after, after)

    @property
    def done(self) -> bool:
        """Whether everything before the farewell was taken."""
        if self.farewell is None or self._replies:
            return False
        return self.after >= min(self.farewell.after, self._log.top)

    def _taken(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self.after = entries[-1].seq
        self._volume += sum(entry.size for entry in entries if entry.seq > self._replay_to)

    def _tell(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self.on_news is not None:
            self.on_news()

    def _on_commit(self) -> None:
        self._tell()
        if not self._bounded or self.farewell is not None:
            return
        if self.lag_events > MAX_LAG_EVENTS or self.lag_bytes > MAX_LAG_BYTES:
            told = f"{self.lag_events} events ({self.lag_bytes} bytes) are waiting to be read"
            self.end_with(ProtocolError(ErrorCode.READER_TOO_SLOW, told, fatal=True))

    def wait(self) -> "asyncio.Future[None]":
        """Done when there may be something to take; one may wait for it at a time."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            if self._news:
                waiter.set_result(None)
        return waiter

    def close(self) -> None:
        """Stop listening to the log. May be called twice."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
