"""The bounded, contiguous tail of a sequence of events, shared by every event log that keeps one."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from gateway.sessions.ports import Entry


class BoundedTail:
    """The newest entries, bounded in number, bytes and age. What passes a bound goes, the oldest first.

    The newest entry is kept even where it alone passes the bound in bytes; only age removes it.
    """

    def __init__(self, max_events: int, max_bytes: int, max_age_s: float) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._top = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    @property
    def top(self) -> int:
        """The number of the newest entry there ever was; 0 before the first."""
        return self._top

    @property
    def oldest(self) -> int:
        """The number of the oldest entry held; `top + 1` where none is."""
        return self._top + 1 - len(self._entries)

    def append(self, entry: Entry, now: float) -> None:
        """Add the next entry and drop what passes a bound. Amortised constant time.

        Raises:
            ValueError: its number does not follow. The first entry may have any.
        """
        if self._top and entry.seq != self._top + 1:
            raise ValueError(f"event {entry.seq} where {self._top + 1} was due")
        entries = self._entries
        self._bytes += entry.size
        entries.append(entry)
        self._top = entry.seq
        while len(entries) > 1 and (
            len(entries) > self._max_events
            or self._bytes > self._max_bytes
            or entries[0].at < now - self._max_age_s
        ):
            self._drop()

    def drop_after(self, seq: int) -> int:
        """Forget what follows number `seq`, as if it had never been there; returns its bytes."""
        before = self._bytes
        while self._entries and self._entries[-1].seq > seq:
            self._bytes -= self._entries.pop().size
        self._top = min(self._top, seq)
        return before - self._bytes

    def restart(self) -> None:
        """Forget everything; the next entry may have any number."""
        self._entries.clear()
        self._bytes = self._top = 0

    def expire(self, now: float) -> None:
        """Drop what is older than the bound at `now`, monotonic seconds."""
        horizon = now - self._max_age_s
        while self._entries and self._entries[0].at < horizon:
            self._drop()

    def since(self, after: int, limit: int | None = None) -> Sequence[Entry]:
        """At most `limit` entries that follow number `after`, in order, or from the oldest held on."""
        start = max(after + 1 - self.oldest, 0)
        count = len(self._entries) - start
        if count <= 0:
            return ()
        wanted = count if limit is None else min(limit, count)
        if start <= count - wanted:
            return list(islice(self._entries, start, start + wanted))
        # A deque is walked from its nearer end: readers are usually close to the newest entry.
        newest = list(islice(reversed(self._entries), count))
        newest.reverse()
        return newest[:wanted]

    def _drop(self) -> None:
        self._bytes -= self._entries.popleft().size
