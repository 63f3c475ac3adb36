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
    """The name to answer with; None where the client offered none."""
    ticket: str | None
    """Still to be verified; never to be echoed or logged."""


def negotiate(offered: Sequence[str]) -> Negotiated:
    """Choose the first known subprotocol in the client's order; msgpack where none was offered.

    A ticket alone counts as none offered (RFC 6455 section 1.9 allows a server to select none).

    Raises:
        ProtocolError: `unsupported_subprotocol` where only unknown ones were offered, `unauthorized` where a
            ticket is malformed or there are two. Both fatal.
    """
    ticket = _ticket([name for name in offered if name.startswith(TICKET_PREFIX)])
    names = [name for name in offered if not name.startswith(TICKET_PREFIX)]
    if not names:
        return Negotiated(Encoding.MSGPACK, None, ticket)
    for name in names:
        if name in SUBPROTOCOLS:
            return Negotiated(SUBPROTOCOLS[name], name, ticket)
    raise ProtocolError(ErrorCode.UNSUPPORTED_SUBPROTOCOL, f"known are {', '.join(SUBPROTOCOLS)}", fatal=True)


def _ticket(offers: list[str]) -> str | None:
    if not offers:
        return None
    ticket = offers[0].removeprefix(TICKET_PREFIX)
    if len(offers) > 1 or not _TICKET.match(ticket):
        raise ProtocolError(
            ErrorCode.UNAUTHORIZED, "the ticket is not one base64url word", param="ticket", fatal=True
        )
    return ticket
