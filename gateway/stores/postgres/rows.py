"""A session as a row: its document, and beside it what is looked for."""

import logging
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from gateway.errors import BadDocument
from gateway.sessions.document import decode_session, encode_session
from gateway.sessions.model import Session
from gateway.stores.postgres.columns import column, maybe_column, seconds, whole

log = logging.getLogger(__name__)

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


def readable(rows: Iterable[tuple[str, str]]) -> Iterator[Session]:
    """The sessions of ids and documents; what can't be read is passed over, and told in the log."""
    for session_id, document in rows:
        try:
            yield decode_session(document)
        except BadDocument as error:
            log.warning("a session was passed over: %s", error, extra={"session_id": session_id[:8]})
