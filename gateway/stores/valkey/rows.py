"""Sessions and events as the server keeps them, and back."""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, Final, TypeAlias

from gateway.errors import BadDocument
from gateway.sessions.document import decode_session
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry, Recorded
from gateway.sessions.shared import Commit, StreamBounds
from protocol.version import Encoding

Row: TypeAlias = tuple[bytes, Sequence[bytes]]
"""An id, and names and values in turn."""

_HEAD: Final = Struct("<dB")
"""When an event was made, in the cluster's seconds, and whether it is final."""
_COMMIT: Final = Struct("<10d")


def session_of(session_id: str, said: Any) -> Session | None:
    """The session of a document's fields `d` and `v`; None where there is none.

    Raises:
        BadDocument: it can't be read, or has another version than updates go by: none would ever be taken.
    """
    if isinstance(said, BadDocument):
        raise said
    document, version = said
    if document is None:
        if version is None:
            return None
        raise BadDocument("a session has no document")
    session = decode_session(document, session_id)
    if version != b"%d" % session.version:
        raise BadDocument("a session's document has another version than its key")
    return session


def packed(entry: Entry) -> bytes:
    """What is kept of an event."""
    return _HEAD.pack(entry.at, entry.final) + entry.encoded(Encoding.MSGPACK)


def commit_head(commit: Commit, now: float, ttl_ms: int, bounds: StreamBounds) -> bytes:
    """What a commit's function is told beside the events and the snapshot."""
    return _COMMIT.pack(
        commit.gen,
        commit.entries[0].seq if commit.entries else 0,
        ttl_ms,
        now,
        bounds.events,
        bounds.bytes,
        bounds.seconds,
        bounds.record_bytes,
        commit.snapshot is not None,
        commit.after_hole,
    )


def entries(rows: Sequence[Any], after: int, top: int) -> Iterator[Entry]:
    """The events of a stretch of the log that follow `after`, up to `top`; markers are passed over.

    Raises:
        BadDocument: one can't be read.
    """
    for row_id, fields in rows:
        seq = int(row_id.rpartition(b"-")[2])
        if after < seq <= top:
            at, final = _HEAD.unpack_from(fields[1])
            yield Entry.kept(seq, bool(final), at, fields[1][_HEAD.size :])


def last_seq(rows: Sequence[Any]) -> int:
    """The number of a stretch's last event; 0 where it has none."""
    return next((seq for row in reversed(rows) if (seq := int(row[0].rpartition(b"-")[2]))), 0)


def recorded(rows: Sequence[Any]) -> list[Recorded]:
    """The events of a stretch of the record."""
    return [Recorded(int(row_id.partition(b"-")[0]), fields[1]) for row_id, fields in rows]
