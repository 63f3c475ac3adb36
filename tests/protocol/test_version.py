"""What a client's offer comes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.close import CloseCode
from protocol.errors import ErrorCode, ProtocolError
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
    ("offered", "code"),
    [
        (["graphql-ws"], ErrorCode.UNSUPPORTED_SUBPROTOCOL),
        (["UNDERTONE.V1.JSON"], ErrorCode.UNSUPPORTED_SUBPROTOCOL),
        (["graphql-ws", "undertone.ticket.abc"], ErrorCode.UNSUPPORTED_SUBPROTOCOL),
        (["undertone.ticket."], ErrorCode.UNAUTHORIZED),
        (["undertone.ticket.a=b"], ErrorCode.UNAUTHORIZED),
        (["undertone.ticket.abc\n"], ErrorCode.UNAUTHORIZED),
        (["undertone.ticket." + "a" * (MAX_TICKET_CHARS + 1)], ErrorCode.UNAUTHORIZED),
        (["undertone.ticket.a", "undertone.ticket.b", JSON], ErrorCode.UNAUTHORIZED),
    ],
)
def test_refused_offers(offered: list[str], code: ErrorCode) -> None:
    """Only unknown names, or a ticket that is none, end the connection; the ticket is never repeated."""
    with pytest.raises(ProtocolError) as refused:
        negotiate(offered)
    assert (refused.value.code, refused.value.fatal) == (code, True)
    assert refused.value.close_code in (CloseCode.PROTOCOL_VIOLATION, CloseCode.UNAUTHORIZED)
    assert "abc" not in str(refused.value)


@given(st.lists(st.text(max_size=30) | st.sampled_from([*SUBPROTOCOLS, "undertone.ticket.abc"]), max_size=5))
def test_any_offer_is_answered_from_the_offer(offered: list[str]) -> None:
    """A server never selects a name that wasn't offered (RFC 6455 section 4.1), whatever was."""
    try:
        found = negotiate(offered)
    except ProtocolError:
        return
    assert found.subprotocol is None or found.subprotocol in offered
