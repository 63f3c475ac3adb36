"""What the client raises about its connection: one class for each thing that a caller can do about it."""

from protocol.events import Error


class ClientError(Exception):
    """Base of what this client raises about its connection."""


class ConnectFailed(ClientError):
    """No session came about.

    Attributes:
        reason: one sentence for people.
        status: HTTP status, where the server answered with one.
        code: WebSocket close code, where the server accepted first and refused then.
        error: the server's `error` event, likewise.
        retry_after_s: seconds that the server asked for (`Retry-After`, RFC 9110 section 10.2.3).
        foreign: whoever answered does not speak the protocol.
    """

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        *,
        code: int | None = None,
        error: Error | None = None,
        retry_after_s: float | None = None,
        foreign: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code
        self.error = error
        self.retry_after_s = retry_after_s
        self.foreign = foreign


class _Ended(ClientError):
    """A connection or session that is over.

    Attributes:
        code: close code; 1006 where there was none.
        reason: the close frame's reason, or what broke.
        error_event: the last fatal `error` event, if one came.
    """

    what = "connection"

    def __init__(self, code: int, reason: str, error_event: Error | None = None) -> None:
        detail = error_event.message if error_event is not None else reason
        super().__init__(f"{self.what} closed with {code}" + (f": {detail}" if detail else ""))
        self.code = code
        self.reason = reason
        self.error_event = error_event


class ConnectionLost(_Ended):
    """The connection ended before the session did; `protocol.close.reconnect(code)` says what to do.

    Only clients that don't resume by themselves raise it.
    """


class SessionGone(_Ended):
    """The session can't be resumed: it is over, somebody else has it, or it was out of reach for too long."""

    what = "session"
