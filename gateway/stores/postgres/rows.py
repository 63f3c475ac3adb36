"""A session as a row: its document, and beside it what is looked for."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from gateway.errors import BadDocument
from gateway.sessions.document import decode_session, encode_session
from gateway.sessions.model import Session
from gateway.sessions.unreadable import Unreadable
from gateway.stores.postgres.columns import column, maybe_column, seconds, whole
from gateway.stores.postgres.connection import Row

THERE: Final = "deleted_at IS NULL AND document IS NOT NULL"
"""Neither deleted, nor only a place for what came before it."""

Values: TypeAlias = tuple[
    str, int, str | None, str | None, str | None, str, bool, str | None, float, float, str
]


def values(session: Session) -> Values:
    """Id, version, namespace, user, device type, status, whether over, node, created, updated, document.

    Raises:
        BadDocument: the session can't be written as JSON.
    """
    return (
        column(session.id),
        whole(session.version),
        maybe_column(session.namespace_id),
        maybe_column(session.user_id),
        maybe_column(session.device_type),
        session.status.value,
        session.over,
        maybe_column(session.node),
        seconds(session.created_at),
        seconds(session.updated_at),
        encode_session(session).decode(),
    )


def session_of(row: Row) -> Session:
    """The session of a row's `id`, `version` and `document`.

    Raises:
        BadDocument: it can't be read, or is another one than the columns tell of: no update would be taken.
    """
    session = decode_session(row["document"])
    if column(session.id) != row["id"]:
        raise BadDocument("a session's document is another session's")
    if whole(session.version) != row["version"]:
        raise BadDocument("a session's document has another version than its row")
    return session


def readable(rows: Iterable[Row], unreadable: Unreadable) -> list[Session]:
    """The sessions of rows, but for those that can't be read."""
    found: list[Session] = []
    for row in rows:
        with unreadable.passed_over(row["id"]):
            found.append(session_of(row))
    return found
