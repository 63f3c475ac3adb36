"""What can go wrong with a session, in the gateway's own terms; its edges translate it for their peers."""

from typing import Final

from gateway.sessions.model import Status


class UndertoneError(Exception):
    """Base of every error that a caller of the gateway's own code is expected to handle."""

    code: str = "internal"
    """Stable name, told to clients."""


class NotFound(UndertoneError):
    """There is no such session, or it is none of the caller's business: the two can't be told apart."""

    code = "session_not_found"

    def __init__(self, message: str = "there is no such session") -> None:
        super().__init__(message)


class SessionGone(UndertoneError):
    """The session is over; its events can be read for a while, but nobody can join it any more."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"the session is {status}")
        self.status = status
        """`closed`, `expired` or `failed`."""
        self.code = "session_expired" if status is Status.EXPIRED else "session_closed"


class Unauthorized(UndertoneError):
    """A credential was presented, and it is not good for this."""

    code = "unauthorized"


class InvalidKeyHash(Unauthorized):
    """A namespace was named, and what was presented is the hash of none of its keys; or there is none."""

    code = "invalid_key_hash"

    def __init__(self, message: str = "invalid encryption key hash") -> None:
        super().__init__(message)


class LimitExceeded(UndertoneError):
    """A quota is used up."""

    code = "session_limit"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds after which another try has a chance."""


class Conflict(UndertoneError):
    """Somebody else changed it first; read again and decide again."""

    code = "conflict"


class AlreadyExists(Conflict):
    """The identity is taken."""

    code = "already_exists"


class UnknownCursor(Conflict):
    """The place a listing was to go on from is not there any more; begin again."""

    code = "unknown_cursor"

    def __init__(self) -> None:
        super().__init__("the session to go on from is gone; list from the beginning")


class StoreUnavailable(UndertoneError):
    """The store can't be reached, or doesn't take writes now; the same may work a little later."""

    code = "store_unavailable"


class StoreUnsuitable(UndertoneError):
    """The store can't be used as it is: somebody has to change it, or the settings."""

    code = "store_unsuitable"


STORE_ERRORS: Final = (StoreUnavailable, StoreUnsuitable)
"""What a store may raise once it was found to do: whoever must wait for it waits for either."""


class BadDocument(UndertoneError):
    """What the store has is damaged, or was written by a newer version."""

    code = "bad_document"
