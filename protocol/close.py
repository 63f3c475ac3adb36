"""WebSocket close codes, and whether to come back after each.

4000–4099 mean "don't come back unchanged", 4100–4199 "come back with resume after a pause" (the ranges of
centrifuge's `disconnect.go`); the codes below 4000 are RFC 6455 section 7.4.1 and its IANA registry.
"""

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """Why a WebSocket was closed."""

    NORMAL = 1000
    GOING_AWAY = 1001
    MESSAGE_TOO_BIG = 1009
    INTERNAL = 1011
    SERVICE_RESTART = 1012
    UNAUTHORIZED = 4001
    NOT_FOUND = 4004
    REPLACED = 4005
    PROTOCOL_VIOLATION = 4008
    FLOOD = 4009
    OVERRUN = 4010
    OVERLOADED = 4100
    READER_TOO_SLOW = 4101
    STORE_UNAVAILABLE = 4102

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        return _MEANINGS[self]


class Reconnect(StrEnum):
    """What a client should do after a close."""

    NEVER = "never"
    """The same request would fail again, or the session is over."""
    RESUME = "resume"
    """Connect again with resume after a pause (exponential, jittered)."""
    AFTER_DRAIN = "after_drain"
    """Connect again with resume after `drain.retry_after_ms`, to `drain.reconnect_url` where given."""


_MEANINGS = {
    CloseCode.NORMAL: "The session ended as asked; `summary` came before.",
    CloseCode.GOING_AWAY: "The peer is going away without notice.",
    CloseCode.MESSAGE_TOO_BIG: "A message was larger than the limit.",
    CloseCode.INTERNAL: "The server failed; the fault is not the client's.",
    CloseCode.SERVICE_RESTART: "This node is going away; `drain` came before.",
    CloseCode.UNAUTHORIZED: "The credential is missing, malformed, wrong, used or expired.",
    CloseCode.NOT_FOUND: "There is no such session, or it has ended.",
    CloseCode.REPLACED: "Another socket of the same owner took over.",
    CloseCode.PROTOCOL_VIOLATION: "The client broke the protocol.",
    CloseCode.FLOOD: "The client sent far faster than real time.",
    CloseCode.OVERRUN: "The client sent past its lossless `limit`.",
    CloseCode.OVERLOADED: "The server has no capacity now.",
    CloseCode.READER_TOO_SLOW: "The client fell too far behind in reading events.",
    CloseCode.STORE_UNAVAILABLE: "The session's state can't be reached now.",
}

_RECONNECT = {
    CloseCode.GOING_AWAY: Reconnect.RESUME,
    CloseCode.INTERNAL: Reconnect.RESUME,
    CloseCode.SERVICE_RESTART: Reconnect.AFTER_DRAIN,
}

NO_CLOSE_FRAME = 1006
"""What RFC 6455 section 7.1.5 calls a connection lost without a close frame; never on the wire."""


def reconnect(code: int) -> Reconnect:
    """Advice for any close code, also one this version doesn't know: the range decides."""
    if code == NO_CLOSE_FRAME or 4100 <= code <= 4199:
        return Reconnect.RESUME
    try:
        return _RECONNECT.get(CloseCode(code), Reconnect.NEVER)
    except ValueError:
        return Reconnect.NEVER
