"""The event log of a session, and the cursors that read it.

The log is the short, replayable tail of what a session said: bounded in number, bytes and age. Whoever
reads it (the owner's socket, an observer, an SSE stream) holds a cursor, which is a sequence number and
nothing more, so a reader costs the session nothing. Cursors read only what the store has committed.
"""

from collections.abc import Callable, Sequence

from gateway.clock import Clock
from gateway.sessions.ports import Entry, EventStore
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
    """One session's events, numbered from 1 without holes, each encoded once per encoding."""

    def __init__(self, session_id: str, store: EventStore, clock: Clock, tail: BoundedTail) -> None:
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
        self.epoch = store.open(session_id, self._on_commit)
        """Identity of this stream of events; it changes only when the server lost history."""
        self._committed = store.committed(session_id)
        self._next = self._committed + 1

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
        """Add `event`, which must carry `next_seq` (ValueError otherwise). Synchronous."""
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
        if self._committed >= self.top:
            return found
        return [entry for entry in found if entry.seq <= self._committed]

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called at each commit; returns the call that ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def _on_commit(self, seq: int) -> None:
        self._committed = max(self._committed, seq)
        for wake in self._listeners:
            wake()
