"""Error codes and the one exception of this package. Each code answers whose fault it is and what to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from protocol.close import CloseCode

if TYPE_CHECKING:
    from protocol.events import Error


class Fault(StrEnum):
    """Who caused an error."""

    CLIENT = "client"
    SERVER = "server"


class ErrorCode(StrEnum):
    """Stable names of what can go wrong; `error.code` on the wire and `code` in REST problems."""

    UNAUTHORIZED = "unauthorized"
    SESSION_NOT_FOUND = "session_not_found"
    SESSION_EXPIRED = "session_expired"
    SESSION_CLOSED = "session_closed"
    REPLACED = "replaced"
    UNSUPPORTED_SUBPROTOCOL = "unsupported_subprotocol"
    MALFORMED_MESSAGE = "malformed_message"
    UNKNOWN_MESSAGE = "unknown_message"
    MESSAGE_TOO_LARGE = "message_too_large"
    INVALID_FIELD = "invalid_field"
    UNSUPPORTED_AUDIO = "unsupported_audio"
    INVALID_AUDIO = "invalid_audio"
    INCOMPLETE_SAMPLE = "incomplete_sample"
    AUDIO_AFTER_END = "audio_after_end"
    POSITION_BEHIND = "position_behind"
    FLOOD = "flood"
    OVERRUN = "overrun"
    READ_ONLY = "read_only"
    IDLE_TIMEOUT = "idle_timeout"
    OVERLOADED = "overloaded"
    READER_TOO_SLOW = "reader_too_slow"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL = "internal"

    @property
    def fault(self) -> Fault:
        """Whose fault it is."""
        return _SPECS[self].fault

    @property
    def advice(self) -> str:
        """What the peer should do, in one sentence."""
        return _SPECS[self].advice

    @property
    def close_code(self) -> CloseCode:
        """The close code that follows where the error is fatal."""
        return _SPECS[self].close


@dataclass(frozen=True, slots=True)
class _Spec:
    fault: Fault
    close: CloseCode
    advice: str


def _client(close: CloseCode, advice: str) -> _Spec:
    return _Spec(Fault.CLIENT, close, advice)


def _server(close: CloseCode, advice: str) -> _Spec:
    return _Spec(Fault.SERVER, close, advice)


_SPECS: dict[ErrorCode, _Spec] = {
    ErrorCode.UNAUTHORIZED: _client(CloseCode.UNAUTHORIZED, "Get a new ticket or key, then connect again."),
    ErrorCode.SESSION_NOT_FOUND: _client(CloseCode.NOT_FOUND, "Create a session."),
    ErrorCode.SESSION_EXPIRED: _client(CloseCode.NOT_FOUND, "Create a session."),
    ErrorCode.SESSION_CLOSED: _client(CloseCode.NOT_FOUND, "Create a session; this one only reads."),
    ErrorCode.REPLACED: _client(CloseCode.REPLACED, "Leave the session to the newer socket."),
    ErrorCode.UNSUPPORTED_SUBPROTOCOL: _client(
        CloseCode.PROTOCOL_VIOLATION, "Offer a subprotocol of the list, or none."
    ),
    ErrorCode.MALFORMED_MESSAGE: _client(CloseCode.PROTOCOL_VIOLATION, "Send one valid JSON object."),
    ErrorCode.UNKNOWN_MESSAGE: _client(CloseCode.PROTOCOL_VIOLATION, "Send only the listed message types."),
    ErrorCode.MESSAGE_TOO_LARGE: _client(CloseCode.MESSAGE_TOO_BIG, "Send smaller messages."),
    ErrorCode.INVALID_FIELD: _client(CloseCode.PROTOCOL_VIOLATION, "Correct the field named in `param`."),
    ErrorCode.UNSUPPORTED_AUDIO: _client(
        CloseCode.PROTOCOL_VIOLATION, "Send raw PCM in the session's format, without a container."
    ),
    ErrorCode.INVALID_AUDIO: _client(
        CloseCode.PROTOCOL_VIOLATION, "Send finite samples; the frame became a gap."
    ),
    ErrorCode.INCOMPLETE_SAMPLE: _client(
        CloseCode.PROTOCOL_VIOLATION, "Send whole samples; the rest of one was dropped."
    ),
    ErrorCode.AUDIO_AFTER_END: _client(CloseCode.PROTOCOL_VIOLATION, "Send no audio after `end`."),
    ErrorCode.POSITION_BEHIND: _client(
        CloseCode.PROTOCOL_VIOLATION, "Go on from `welcome.next_sample`; older audio is trimmed."
    ),
    ErrorCode.FLOOD: _client(CloseCode.FLOOD, "Send at real time, or use `delivery: lossless`."),
    ErrorCode.OVERRUN: _client(CloseCode.OVERRUN, "Never send past `limit`."),
    ErrorCode.READ_ONLY: _client(CloseCode.PROTOCOL_VIOLATION, "Attach as the owner to send this."),
    ErrorCode.IDLE_TIMEOUT: _client(CloseCode.NOT_FOUND, "Send audio or `ping` while a session is in use."),
    ErrorCode.OVERLOADED: _server(CloseCode.OVERLOADED, "Connect again with resume after a pause."),
    ErrorCode.READER_TOO_SLOW: _client(
        CloseCode.READER_TOO_SLOW, "Read faster, then connect again with resume."
    ),
    ErrorCode.STORE_UNAVAILABLE: _server(
        CloseCode.STORE_UNAVAILABLE, "Connect again with resume after a pause."
    ),
    ErrorCode.INTERNAL: _server(CloseCode.INTERNAL, "Connect again with resume; report it if it persists."),
}


class ProtocolError(Exception):
    """A peer, or what it sent, broke the contract; becomes an `error` event.

    Attributes:
        code: which rule was broken.
        message: one sentence for people, free of what the peer sent beyond names of fields.
        param: the field or parameter at fault, where there is one.
        fatal: the connection can't go on; `close_code` says with which code it ends.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, param: str | None = None, fatal: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.fatal = fatal

    def __str__(self) -> str:
        where = f" ({self.param})" if self.param is not None else ""
        return f"{self.code}{where}: {self.message}"

    @property
    def close_code(self) -> CloseCode:
        """The close code to use where the error is fatal."""
        return self.code.close_code

    def to_event(self) -> "Error":
        """The `error` event that tells the peer."""
        from protocol.events import Error  # events needs this module for its own validation

        return Error(code=self.code, message=self.message, param=self.param, fatal=self.fatal)


def invalid_field(param: str, message: str) -> ProtocolError:
    """The commonest error: field `param` has a wrong type or value."""
    return ProtocolError(ErrorCode.INVALID_FIELD, message, param=param)
