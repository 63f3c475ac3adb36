"""The gateway's own errors."""

import pytest

from gateway.errors import (
    AlreadyExists,
    Conflict,
    InvalidKeyHash,
    LimitExceeded,
    NotFound,
    SessionGone,
    Unauthorized,
    UndertoneError,
    UnknownCursor,
)
from gateway.sessions.model import Status
from gateway.sessions.notes import TooManyCheckpoints
from protocol.errors import ErrorCode


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound(), "session_not_found"),
        (SessionGone(Status.EXPIRED), "session_expired"),
        (SessionGone(Status.CLOSED), "session_closed"),
        (SessionGone(Status.FAILED), "session_closed"),
        (Unauthorized("no"), "unauthorized"),
        (LimitExceeded("too many", 3.0), "session_limit"),
        (Conflict("again"), "conflict"),
        (AlreadyExists("taken"), "already_exists"),
        (UnknownCursor(), "unknown_cursor"),
        (InvalidKeyHash(), "invalid_key_hash"),
        (TooManyCheckpoints("too many"), "too_many_checkpoints"),
    ],
)
def test_each_error_has_its_stable_code_and_a_sentence(error: UndertoneError, code: str) -> None:
    """Clients branch on the code; people read the message."""
    assert error.code == code
    assert str(error)


def test_what_a_socket_is_told_uses_the_protocol_s_codes() -> None:
    """The errors of attaching have the same names on the wire and over HTTP."""
    for error in (NotFound(), SessionGone(Status.EXPIRED), SessionGone(Status.CLOSED), Unauthorized("no")):
        assert error.code in set(ErrorCode)
