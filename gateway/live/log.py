"""The event log of a session, and the cursors that read it.

The log is the short, replayable tail of what a session said: bounded in number, bytes and age. Whoever
reads it (the owner's socket, an observer, an SSE stream) holds a cursor, which is a sequence number and
nothing more, so a reader costs the session nothing. Cursors read only what the store has committed.
"""

from collections.abc import Callable, Sequence

from gateway.clock import Clock
from gateway.sessions.ports import Entry, EventStore, Tail, UnknownSession
from gateway.sessions.tail import BoundedTail
from protocol.events import DurableEvent, Transcript


class Evicted(Exception):
    """The events after a cursor are no longer held."""

    def __init__(self, after: int, oldest: int) -> None:
        super().__init__(f"events {after + 1} to {oldest - 1} are no longer held")
        self.after = after
        """The last sequence number the reader had."""
        self.oldest = oldest
        """The oldest sequence number still held."""


class EventLog:
    """One session's events, numbered from 1 without holes, each encoded once per encoding.

    Args:
        store: where what is said here goes; None where another node says it, and `receive` is told.
    """

    def __init__(
        self,
        session_id: str,
        store: EventStore | None,
        clock: Clock,
        tail: BoundedTail,
    ) -> None:
        self.session_id = session_id
        self._store = store
        self._clock = clock
        self._tail = tail
        self._listeners: list[Callable[[], None]] = []
        self._committed = 0
        self.volume = 0
        """Bytes of all events said here so far, in msgpack, those no longer held included."""
        self.timestamp = 0.0
        """Seconds of session audio at the newest event said here."""
        self.epoch = ""
        """Identity of this stream of events; it changes only when the server lost history."""
        if store is not None:
            self.epoch = store.open(session_id, self._on_commit)
            self._committed = store.committed(session_id)
        self._next = self._committed + 1

    @property
    def written_here(self) -> bool:
        """Whether this node says what is in it."""
        return self._store is not None

    @property
    def next_seq(self) -> int:
        """The number the next durable event must carry."""
        return self._next

    @property
    def top(self) -> int:
        """The number of the newest event, committed or not; 0 where there is none."""
        return self._next - 1

    @property
    def committed(self) -> int:
        """Cursors read up to here."""
        return self._committed

    @property
    def oldest(self) -> int:
        """The number of the oldest event held; `next_seq` where none is."""
        self._tail.expire(self._clock.monotonic())
        return self._tail.oldest if len(self._tail) else self._next

    def append(self, event: DurableEvent) -> Entry:
        """Add `event`, which must carry `next_seq` (ValueError otherwise). Synchronous.

        Raises:
            UnknownSession: another node says what is in this log.
        """
        if self._store is None:
            raise UnknownSession
        if event.seq != self._next:
            raise ValueError(f"event {event.seq} where {self._next} was due")
        now = self._clock.monotonic()
        final = not isinstance(event, Transcript) or event.is_final
        # Encoded with that: what can't be written must not take a number.
        entry = Entry(event.seq, event.type, final, event.timestamp, now, event)
        self._next += 1
        self.volume += entry.size
        self.timestamp = event.timestamp
        self._tail.append(entry, now)
        self._store.append(self.session_id, entry)
        return entry

    def read(self, after: int, limit: int = 64) -> Sequence[Entry]:
        """At most `limit` committed entries after the cursor `after`.

        Raises:
            Evicted: the entry after the cursor is no longer held.
        """
        if after >= self._committed:
            return ()
        oldest = self.oldest
        if after + 1 < oldest:
            raise Evicted(after, oldest)
        found = self._tail.since(after, limit)
        if self._committed >= self._tail.top:
            return found
        return [entry for entry in found if entry.seq <= self._committed]

    def adopt(self, store: EventStore, held: Tail) -> bool:
        """What is in this log is said here from now on, after what is `held`. False as of `receive`."""
        fits = self.receive(held)
        self._store = store
        self.epoch = store.open(self.session_id, self._on_commit)
        return fits

    def give_up(self) -> None:
        """Another node says what is in this log from now on; what was not committed here was not said."""
        self._store = None
        self.volume -= self._tail.drop_after(self._committed)
        self._next = self._committed + 1

    def receive(self, tail: Tail) -> bool:
        """What another node has said. False where readers can't go on from what they have: history was lost.

        Raises:
            ValueError: what is in this log is said here.
        """
        if self._store is not None:
            raise ValueError("this log is written here")
        lost = bool(self.epoch) and (tail.epoch != self.epoch or tail.top < self._committed)
        self.epoch = tail.epoch
        if lost:
            self._tail.restart()
            self._committed = 0
        self._take(tail.entries)
        self._committed = max(self._committed, tail.top)
        self._next = self._committed + 1
        for wake in tuple(self._listeners):
            wake()
        return not lost

    def _take(self, entries: Sequence[Entry]) -> None:
        """Add entries that are committed, but for those that are there."""
        now = self._clock.monotonic()
        for entry in entries:
            if len(self._tail) and entry.seq <= self._tail.top:
                continue
            if self._tail.top and entry.seq != self._tail.top + 1:
                self._tail.restart()
            self._tail.append(entry, now)
            self.volume += entry.size
            self.timestamp = entry.timestamp
            self._committed = max(self._committed, entry.seq)

    def held(self) -> Sequence[Entry]:
        """All that can be replayed, what is not committed yet included."""
        self._tail.expire(self._clock.monotonic())
        return self._tail.since(0)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called at each commit; returns the call that ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def _on_commit(self, seq: int) -> None:
        self._committed = max(self._committed, seq)
        for wake in tuple(self._listeners):
            wake()
