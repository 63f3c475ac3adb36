"""What sessions need of a store: three ports, and the values that pass through them.

Every adapter raises only the errors named here; what its own driver raises is translated at its edge.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import msgpack  # type: ignore[import-untyped]
import orjson

from gateway.errors import BadDocument, NotFound
from gateway.sessions.model import Session, Status
from gateway.sessions.tickets import Role
from protocol.codec import decode_event, encode_event
from protocol.events import DurableEvent, Event, UnknownEvent
from protocol.version import Encoding

# Sessions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are meant; None means any."""

    namespace_id: str | None = None
    user_id: str | None = None
    device_type: str | None = None
    status: Status | None = None

    def matches(self, session: Session) -> bool:
        """Whether `session` is meant."""
        return (
            (self.namespace_id is None or session.namespace_id == self.namespace_id)
            and (self.user_id is None or session.user_id == self.user_id)
            and (self.device_type is None or session.device_type == self.device_type)
            and (self.status is None or session.status is self.status)
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """How many sessions that are not over one user of one tenant may have, or all its users together."""

    namespace_id: str | None
    user_id: str | None
    """None: sessions that name no user, which count as one user's."""
    at_most: int
    everybody: bool = False
    """Count the sessions of every user of the tenant."""


MAX_COUNTED = 100
"""Sessions told by `QuotaReached`."""


class QuotaReached(Exception):
    """The session was not created: there are as many as the quota allows."""

    def __init__(self, counted: Sequence[Session], quota: Quota) -> None:
        super().__init__(f"{quota.at_most} sessions count already")
        self.counted = counted
        """`MAX_COUNTED` of those that count at most, the oldest; first those that have no owner, which may be
        overdue: a store doesn't know about time."""
        self.quota = quota
        """The one that is reached."""


class SessionStore(Protocol):
    """Keeps sessions, each changed by whoever read it last.

    One that can't be read concerns nobody else: lists pass over it and tell it once in the log, counts may
    have it, and it can be deleted.
    """

    async def create(self, session: Session, *quotas: Quota) -> None:
        """Keep a new session. Counting against every one of `quotas` and keeping it are one atomic step.

        Raises:
            AlreadyExists: there is one with this id.
            QuotaReached: there is no room for it in one of them.
        """
        ...

    async def get(self, session_id: str) -> Session | None:
        """The session, or None.

        Raises:
            BadDocument: it is there and can't be read.
        """
        ...

    async def update(self, session: Session, expected_version: int) -> Session:
        """Replace the session of the same id; returns it with the new version, `expected_version + 1`.

        Raises:
            Conflict: the kept one has another version, or is gone. Nothing was changed.
        """
        ...

    async def delete(self, session_id: str) -> bool:
        """Forget the session. Whether there was one."""
        ...

    async def list(
        self, wanted: SessionFilter = SessionFilter(), limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        """At most `limit` sessions, newest first, that were created before session `after`.

        Raises:
            UnknownCursor: `after` is not there any more.
        """
        ...

    async def count(self, wanted: SessionFilter = SessionFilter()) -> int:
        """How many sessions are meant."""
        ...

    async def ids(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        """All sessions of a namespace (None: of none) or of one of its users, in no order; also those that
        can't be read, as long as it is known whose they are."""
        ...


# Events ---------------------------------------------------------------------------------------------------


def _json_of(packed: bytes) -> bytes:
    """An event in JSON that is there in msgpack."""
    # orjson leaves its whole work buffer, 8 KiB, behind the bytes it returns; only a copy sheds it.
    return bytes(memoryview(orjson.dumps(msgpack.unpackb(packed))))


class Entry:
    """One durable event in a log: bytes, which take half the memory of what they say. Encoded at most once
    per encoding however many read it.

    Raises:
        ProtocolError: nothing that can be written (see `encode_event`).
    """

    __slots__ = ("_json", "_msgpack", "at", "final", "seq", "size", "timestamp", "type")

    def __init__(
        self, seq: int, type: str, final: bool, timestamp: float, at: float, event: DurableEvent | bytes
    ) -> None:
        # An event that was encoded before is bytes.
        self.seq = seq
        """From 1, +1 each, per session."""
        self.type = type
        """The event's type, as on the wire."""
        self.final = final
        """Nothing will replace it, so it belongs in the record: all but interim transcripts."""
        self.timestamp = timestamp
        """Seconds of session audio."""
        self.at = at
        """Monotonic seconds when it was made."""
        self._msgpack = event if isinstance(event, bytes) else encode_event(event, Encoding.MSGPACK)
        self._json: bytes | None = None
        self.size = len(self._msgpack)
        """Bytes it counts for against every bound: its length in msgpack."""

    @staticmethod
    def kept(seq: int, final: bool, at: float, packed: bytes) -> "Entry":
        """One that a store gives back: `packed` is the event in msgpack, as it was encoded here.

        Raises:
            BadDocument: it can't be read.
        """
        try:
            said = msgpack.unpackb(packed)
            event_type, timestamp = said["type"], said["timestamp"]
        except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            raise BadDocument(f"event {seq} can't be read") from error
        return Entry(seq, event_type, final, timestamp, at, packed)

    def __repr__(self) -> str:
        """Without what it says, which belongs in no log line."""
        return f"Entry(seq={self.seq}, type={self.type!r}, size={self.size})"

    def encoded(self, encoding: Encoding) -> bytes:
        """The message on the wire, JSON as UTF-8."""
        if encoding is Encoding.MSGPACK:
            return self._msgpack
        if self._json is None:
            self._json = _json_of(self._msgpack)
        return self._json

    def event(self) -> Event | UnknownEvent:
        """What it says; see `Recorded.event`."""
        return decode_event(self._msgpack, Encoding.MSGPACK)


@dataclass(frozen=True, slots=True)
class Tail:
    """What can be replayed after a cursor."""

    epoch: str
    """Identity of the stream; it changes only when the server lost history."""
    oldest: int
    """Number of the oldest event held; `top + 1` where none is."""
    top: int
    """Number of the newest committed event; 0 where there is none."""
    entries: Sequence[Entry]
    """In order, without holes; begins at the oldest held where the next one is gone."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One final event in a session's record: bytes, which take half the memory of what they say."""

    seq: int
    """As in the log."""
    data: bytes = field(repr=False)
    """The event in msgpack."""

    def encoded(self, encoding: Encoding) -> bytes:
        """The message on the wire, JSON as UTF-8; the same bytes as in the log."""
        if encoding is Encoding.MSGPACK:
            return self.data
        return _json_of(self.data)

    def event(self) -> Event | UnknownEvent:
        """What it says.

        Raises:
            ProtocolError: not every event that could be written can be read back, such as one with a number
                that was not finite.
        """
        return decode_event(self.data, Encoding.MSGPACK)


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A stretch of a session's record."""

    entries: Sequence[Recorded]
    """Final events in order; their numbers may have holes where interim transcripts were."""
    top: int
    """Number of the newest event in the record; 0 where there is none."""
    truncated: bool
    """The record reached its bound; later events are missing from it."""


class UnknownSession(NotFound):
    """The store has no events of this session: it never opened, or they were purged."""


OnCommit: TypeAlias = Callable[[int], None]
"""Told the highest number that is safe to read."""


class EventStore(Protocol):
    """Keeps each session's events. Appending never waits; reading goes only as far as is committed."""

    def open(self, session_id: str, on_commit: OnCommit) -> str:
        """Begin, or take over, a session's stream; returns its epoch.

        A stream that is there already keeps its epoch and its events: numbering goes on after `committed`,
        and `on_commit` takes the place of the one before.
        """
        ...

    def append(self, session_id: str, entry: Entry) -> None:
        """Add the next event; `on_commit` is called once it is safe, before or after this returns.

        Raises:
            UnknownSession: the stream is not open.
            ValueError: its number does not follow. Nothing was added.
        """
        ...

    def committed(self, session_id: str) -> int:
        """Number of the newest event that is safe; 0 where there is none.

        Raises:
            UnknownSession: the stream is not open.
        """
        ...

    async def tail(self, session_id: str, after: int) -> Tail:
        """What is held after number `after`.

        Raises:
            UnknownSession: the stream is not open.
        """
        ...

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        """At most `limit` final events that follow number `after`.

        Raises:
            UnknownSession: the stream is not open.
        """
        ...

    async def purge(self, session_id: str) -> None:
        """Forget everything of the session; nothing happens where there is nothing."""
        ...


# Tickets --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TicketGrant:
    """What a ticket is good for."""

    session_id: str
    role: Role
    expires_mono: float
    """Seconds, as the sessions' clock has it, from which it is worth nothing."""


class TicketStore(Protocol):
    """Keeps single-use tickets, by hash only."""

    async def issue(self, ticket_hash: str, grant: TicketGrant) -> None:
        """Keep a ticket. At the store's bound the oldest ticket goes, and is counted; at a session's its own
        oldest."""
        ...

    async def redeem(self, ticket_hash: str, now: float) -> TicketGrant | None:
        """Use the ticket up: of many attempts exactly one gets its grant, and none once it expired."""
        ...

    async def revoke(self, session_id: str) -> None:
        """Make every ticket of the session worthless."""
        ...

    async def purge(self, now: float) -> int:
        """Forget what has expired; returns how many that were."""
        ...
