"""Subprotocol names, and what a client's offer comes to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from protocol.errors import ErrorCode, ProtocolError

PROTOCOL = "undertone.v1"
"""The value of `welcome.protocol`."""


class Encoding(StrEnum):
    """How events are written on the wire."""

    MSGPACK = "msgpack"
    JSON = "json"


SUBPROTOCOLS: dict[str, Encoding] = {f"{PROTOCOL}.{encoding}": encoding for encoding in Encoding}
"""What a client may offer in `Sec-WebSocket-Protocol`."""

TICKET_PREFIX = "undertone.ticket."
"""A client without headers (a browser) authenticates by offering this prefix and a ticket."""

MAX_TICKET_CHARS = 512
"""Characters of base64url."""

_TICKET = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TICKET_CHARS}}}\Z")


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What opening handshake and server agreed on."""

    encoding: Encoding
    subprotocol: str | None
    """The name to answer with; None where the client offered none, or none that is known."""
    ticket: str | None
    """Still to be verified; never to be echoed or logged."""
    refusal: ProtocolError | None = None
    """What is wrong with the offer: to be told in `encoding`, under `subprotocol`, as the last word."""


def negotiate(offered: Sequence[str]) -> Negotiated:
    """Choose the first known subprotocol in the client's order; msgpack where none was offered.

    A ticket alone counts as none offered (RFC 6455 section 1.9 allows a server to select none). The refusal
    is `unauthorized` where a ticket is malformed or there are two, `unsupported_subprotocol` where only
    unknown names were offered. Both are fatal.
    """
    tickets = [name.removeprefix(TICKET_PREFIX) for name in offered if name.startswith(TICKET_PREFIX)]
    names = [name for name in offered if not name.startswith(TICKET_PREFIX)]
    chosen = next((name for name in names if name in SUBPROTOCOLS), None)
    encoding = Encoding.MSGPACK if chosen is None else SUBPROTOCOLS[chosen]
    if len(tickets) > 1 or not all(map(_TICKET.match, tickets)):
        return Negotiated(encoding, chosen, None, _NO_TICKET)
    if names and chosen is None:
        return Negotiated(encoding, None, None, _UNKNOWN)
    return Negotiated(encoding, chosen, tickets[0] if tickets else None)


_NO_TICKET = ProtocolError(
    ErrorCode.UNAUTHORIZED, "the ticket is not one base64url word", param="ticket", fatal=True
)
_UNKNOWN = ProtocolError(
    ErrorCode.UNSUPPORTED_SUBPROTOCOL, f"known are {', '.join(SUBPROTOCOLS)}", fatal=True
)
