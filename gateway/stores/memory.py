"""Everything in this process's memory: one node, and nothing outlives it. The event loop is the only lock."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, islice
from secrets import token_urlsafe
from typing import TypeAlias

from gateway.clock import Clock
from gateway.errors import AlreadyExists, Conflict, UnknownCursor
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import (
    MAX_COUNTED,
    Entry,
    OnCommit,
    Quota,
    QuotaReached,
    Recorded,
    RecordPage,
    SessionFilter,
    Tail,
    TicketGrant,
    UnknownSession,
)
from gateway.sessions.tail import BoundedTail
from protocol.version import Encoding

_ANY = SessionFilter()

_Count: TypeAlias = tuple[str | None, str | None, bool]
"""What a session counts for: namespace and user, and whether it is all the namespace's users together."""


class MemorySessionStore:
    """Sessions by id. Unbounded by itself: admission, quotas and the reaper bound it."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._of: dict[str | None, dict[str, None]] = {}  # ids by namespace, in the order of creation
        self._active: dict[_Count, dict[str, None]] = {}  # ids in the order of creation, not a set's

    async def create(self, session: Session, *quotas: Quota) -> None:
        if session.id in self._sessions:
            raise AlreadyExists("there is a session with this id")
        for quota in quotas:
            active = self._active.get((quota.namespace_id, quota.user_id, quota.everybody), {})
            if len(active) >= quota.at_most:
                theirs = sorted((self._sessions[one] for one in active), key=_has_owner)
                raise QuotaReached(theirs[:MAX_COUNTED], quota)
        self._of.setdefault(session.namespace_id, {})[session.id] = None
        self._keep(session)

    async def get(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    async def update(self, session: Session, expected_version: int) -> Session:
        kept = self._sessions.get(session.id)
        if kept is None or kept.version != expected_version:
            raise Conflict("the session was changed or deleted meanwhile")
        updated = replace(session, version=expected_version + 1)
        self._keep(updated)
        return updated

    async def delete(self, session_id: str) -> bool:
        session = self._sessions.pop(session_id, None)
        if session is None:
            return False
        self._release(session)
        theirs = self._of[session.namespace_id]
        del theirs[session_id]
        if not theirs:
            del self._of[session.namespace_id]
        return True

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        ids: dict[str, Session] | dict[str, None] = self._sessions
        if wanted.namespace_id is not None:
            ids = self._of.get(wanted.namespace_id, {})
        older = map(self._sessions.__getitem__, _older_than(ids, after))
        return list(islice(filter(wanted.matches, older), limit))

    async def count(self, wanted: SessionFilter = _ANY) -> int:
        return sum(map(wanted.matches, self._sessions.values()))

    async def ids(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        theirs = map(self._sessions.__getitem__, self._of.get(namespace_id, {}))
        return [one.id for one in theirs if user_id in (None, one.user_id)]

    def _keep(self, session: Session) -> None:
        self._sessions[session.id] = session
        if session.over:
            self._release(session)
            return
        for count in _counts(session):
            self._active.setdefault(count, {})[session.id] = None

    def _release(self, session: Session) -> None:
        for count in _counts(session):
            active = self._active.get(count)
            if active is not None:
                active.pop(session.id, None)
                if not active:
                    del self._active[count]


def _older_than(ids: dict[str, Session] | dict[str, None], after: str | None) -> Iterator[str]:
    """Newest first. Updating a key keeps its place, so a dict stays in the order of creation."""
    newest = reversed(ids)
    if after is None:
        return newest
    if after not in ids:
        raise UnknownCursor
    return islice(dropwhile(after.__ne__, newest), 1, None)


def _has_owner(session: Session) -> bool:
    return session.status not in (Status.CREATED, Status.DETACHED)


def _counts(session: Session) -> Iterator[_Count]:
    if session.namespace_id is not None or session.user_id is not None:
        yield session.namespace_id, session.user_id, False
    if session.namespace_id is not None:
        yield session.namespace_id, None, True


class _Record:
    """Numbers and bytes in two rows: an object for each would take more than most of them say."""

    __slots__ = ("_data", "_max_bytes", "_seqs", "_size", "truncated")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._seqs = array("q")
        self._data: list[bytes] = []
        self._size = 0
        self.truncated = False

    def add(self, entry: Entry) -> None:
        if self.truncated or self._size + entry.size > self._max_bytes:
            # Nothing after the first one missing: a record with holes would lie about what was said.
            self.truncated = True
            return
        self._size += entry.size
        self._seqs.append(entry.seq)
        self._data.append(entry.encoded(Encoding.MSGPACK))

    def page(self, after: int, limit: int) -> RecordPage:
        start = bisect_right(self._seqs, after)
        top = self._seqs[-1] if self._seqs else 0
        kept = map(Recorded, self._seqs[start : start + limit], self._data[start : start + limit])
        return RecordPage(list(kept), top, self.truncated)


@dataclass(slots=True)
class _Stream:
    epoch: str
    on_commit: OnCommit
    tail: BoundedTail
    record: _Record


class MemoryEventStore:
    """Events by session, committed at once. Past `record_bytes` a record takes no more and says so."""

    def __init__(
        self,
        clock: Clock,
        *,
        record_bytes: int = 4 * 1024 * 1024,
        tail_events: int = 512,
        tail_bytes: int = 256 * 1024,
        tail_s: float = 120.0,
    ) -> None:
        self._clock = clock
        self._record_bytes = record_bytes
        self._tail_bounds = (tail_events, tail_bytes, tail_s)
        self._streams: dict[str, _Stream] = {}

    def open(self, session_id: str, on_commit: OnCommit) -> str:
        stream = self._streams.get(session_id)
        if stream is None:
            tail, record = BoundedTail(*self._tail_bounds), _Record(self._record_bytes)
            stream = self._streams[session_id] = _Stream(token_urlsafe(9), on_commit, tail, record)
        stream.on_commit = on_commit
        return stream.epoch

    def append(self, session_id: str, entry: Entry) -> None:
        stream = self._stream(session_id)
        if entry.seq != stream.tail.top + 1:  # a stream begins at 1, whatever a tail would take
            raise ValueError(f"event {entry.seq} where {stream.tail.top + 1} was due")
        stream.tail.append(entry, entry.at)
        if entry.final:
            stream.record.add(entry)
        stream.on_commit(entry.seq)

    def committed(self, session_id: str) -> int:
        return self._stream(session_id).tail.top

    async def tail(self, session_id: str, after: int) -> Tail:
        stream = self._stream(session_id)
        tail = stream.tail
        tail.expire(self._clock.monotonic())
        return Tail(stream.epoch, tail.oldest, tail.top, tail.since(after))

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        return self._stream(session_id).record.page(after, limit)

    async def purge(self, session_id: str) -> None:
        self._streams.pop(session_id, None)

    def _stream(self, session_id: str) -> _Stream:
        try:
            return self._streams[session_id]
        except KeyError:
            raise UnknownSession from None


class MemoryTicketStore:
    """Tickets by hash, at most `capacity`: at the bound the oldest goes, as the one most likely abandoned.

    A session that is given more than `per_session` loses its own oldest, never somebody else's.
    """

    def __init__(self, capacity: int = 65_536, per_session: int = 256) -> None:
        self._capacity = capacity
        self._per_session = per_session
        self._grants: dict[str, TicketGrant] = {}
        self._of: dict[str, dict[str, None]] = {}  # hashes in the order of issue
        self.evicted = 0
        """Tickets that went because the store was full."""

    def __len__(self) -> int:
        return len(self._grants)

    async def issue(self, ticket_hash: str, grant: TicketGrant) -> None:
        self._take(ticket_hash)
        theirs = self._of.get(grant.session_id, {})
        while len(self._grants) >= self._capacity or len(theirs) >= self._per_session:
            self._take(next(iter(theirs if len(theirs) >= self._per_session else self._grants)))
            self.evicted += 1
        self._grants[ticket_hash] = grant
        self._of.setdefault(grant.session_id, {})[ticket_hash] = None

    async def redeem(self, ticket_hash: str, now: float) -> TicketGrant | None:
        grant = self._take(ticket_hash)
        return grant if grant is not None and now < grant.expires_mono else None

    async def revoke(self, session_id: str) -> None:
        for ticket_hash in tuple(self._of.get(session_id, ())):
            self._take(ticket_hash)

    async def purge(self, now: float) -> int:
        old = [one for one, grant in self._grants.items() if now >= grant.expires_mono]
        for ticket_hash in old:
            self._take(ticket_hash)
        return len(old)

    def _take(self, ticket_hash: str) -> TicketGrant | None:
        grant = self._grants.pop(ticket_hash, None)
        if grant is not None:
            hashes = self._of[grant.session_id]
            hashes.pop(ticket_hash, None)
            if not hashes:
                del self._of[grant.session_id]
        return grant
