"""What a client's offer comes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.close import CloseCode
from protocol.errors import ErrorCode
from protocol.version import MAX_TICKET_CHARS, SUBPROTOCOLS, Encoding, Negotiated, negotiate

MSGPACK, JSON = "undertone.v1.msgpack", "undertone.v1.json"


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([], Negotiated(Encoding.MSGPACK, None, None)),
        ([MSGPACK], Negotiated(Encoding.MSGPACK, MSGPACK, None)),
        ([JSON, MSGPACK], Negotiated(Encoding.JSON, JSON, None)),
        ([MSGPACK, JSON], Negotiated(Encoding.MSGPACK, MSGPACK, None)),
        (["undertone.v9.json", JSON], Negotiated(Encoding.JSON, JSON, None)),
        (["undertone.ticket.abc_-9"], Negotiated(Encoding.MSGPACK, None, "abc_-9")),
        (["undertone.ticket.abc", JSON], Negotiated(Encoding.JSON, JSON, "abc")),
    ],
)
def test_negotiate(offered: list[str], expected: Negotiated) -> None:
    """The client's first known name wins; none offered, or a ticket alone, is msgpack without a name."""
    assert negotiate(offered) == expected


@pytest.mark.parametrize(
    ("offered", "code", "told_in"),
    [
        (["graphql-ws"], ErrorCode.UNSUPPORTED_SUBPROTOCOL, None),
        (["UNDERTONE.V1.JSON"], ErrorCode.UNSUPPORTED_SUBPROTOCOL, None),
        (["graphql-ws", "undertone.ticket.abc"], ErrorCode.UNSUPPORTED_SUBPROTOCOL, None),
        (["undertone.ticket."], ErrorCode.UNAUTHORIZED, None),
        (["undertone.ticket.a=b"], ErrorCode.UNAUTHORIZED, None),
        (["undertone.ticket.abc\n", MSGPACK], ErrorCode.UNAUTHORIZED, MSGPACK),
        ([JSON, "undertone.ticket." + "a" * (MAX_TICKET_CHARS + 1)], ErrorCode.UNAUTHORIZED, JSON),
        (["undertone.ticket.a", "undertone.ticket.b", JSON], ErrorCode.UNAUTHORIZED, JSON),
    ],
)
def test_refused_offers(offered: list[str], code: ErrorCode, told_in: str | None) -> None:
    """Only unknown names, or a ticket that is none, end the connection; the ticket is never repeated. Why is
    told under the name that the client offered: a browser hears nothing where none was selected."""
    found = negotiate(offered)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.fatal) == (code, True)
    assert found.refusal.close_code in (CloseCode.PROTOCOL_VIOLATION, CloseCode.UNAUTHORIZED)
    assert "abc" not in str(found.refusal)
    assert (found.subprotocol, found.ticket) == (told_in, None)
    assert found.encoding is (Encoding.JSON if told_in == JSON else Encoding.MSGPACK)


@given(st.lists(st.text(max_size=30) | st.sampled_from([*SUBPROTOCOLS, "undertone.ticket.abc"]), max_size=5))
def test_any_offer_is_answered_from_the_offer(offered: list[str]) -> None:
    """A server never selects a name that wasn't offered (RFC 6455 section 4.1), whatever was."""
    found = negotiate(offered)
    assert found.subprotocol is None or found.subprotocol in offered
