"""A request to upgrade is answered as RFC 6455 section 4.2 has it, or with the status that says why not."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.fastlane import EXTENSION
from gateway.server.handshake import accepted, denial, judge, websocket_scope
from tests.gateway.server.hand import UPGRADE, request


def without(name: bytes, *instead: tuple[bytes, bytes]) -> dict[str, Any]:
    """A request that lacks one header, or has another in its place."""
    return request(headers=[*(pair for pair in UPGRADE if pair[0] != name), *instead])


def test_a_good_request_is_accepted() -> None:
    """The key's answer is the RFC's own example."""
    response = judge(request())
    assert response.status_code == 101
    wire = accepted(response, [(b"Date", b"today"), (b"X-One", b"1")], "undertone.v1.json").decode()
    lines = wire.split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert "Sec-WebSocket-Protocol: undertone.v1.json" in lines
    assert [line for line in lines if line.startswith("Date")] == ["Date: today"]
    assert wire.endswith("\r\n\r\n")


def test_nothing_is_offered_that_was_not_asked_for() -> None:
    """No subprotocol unless one is chosen; permessage-deflate never."""
    offer = (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits")
    wire = accepted(judge(request(offer)), [], None).lower()
    assert b"sec-websocket-protocol" not in wire
    assert b"sec-websocket-extensions" not in wire


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (without(b"sec-websocket-key"), 400),
        (without(b"sec-websocket-key", (b"sec-websocket-key", b"c2hvcnQ=")), 400),
        (without(b"sec-websocket-key", (b"sec-websocket-key", b"*")), 400),
        (request((b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")), 400),
        (without(b"sec-websocket-version"), 426),
        (without(b"sec-websocket-version", (b"sec-websocket-version", b"8")), 426),
        (without(b"connection", (b"connection", b"keep-alive")), 426),
        (without(b"upgrade", (b"upgrade", b"h2c")), 426),
        (request((b"origin", b"http://a"), (b"origin", b"http://b")), 400),
        (request((b"content-length", b"5")), 400),
        (request((b"transfer-encoding", b"chunked")), 400),
        (request(method="POST"), 405),
        (request(http_version="1.0"), 505),
    ],
)
def test_a_bad_request_is_refused(scope: Mapping[str, Any], status: int) -> None:
    """Each with its status; the connection ends with it."""
    response = judge(scope)
    assert response.status_code == status
    assert response.headers["Connection"] == "close"
    if status == 426 and b"sec-websocket-version: 13" not in dict(scope["headers"]):
        assert response.headers["Upgrade"] == "websocket"


def test_an_unknown_version_is_told_the_one_there_is() -> None:
    """RFC 6455 section 4.4."""
    response = judge(without(b"sec-websocket-version", (b"sec-websocket-version", b"25")))
    assert response.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("length", [b"0", b"00"])
def test_an_empty_body_is_none(length: bytes) -> None:
    """Some clients say so."""
    assert judge(request((b"content-length", length))).status_code == 101


def test_tokens_in_any_case_and_company() -> None:
    """RFC 9110 section 7.8."""
    scope = without(b"connection", (b"connection", b"keep-alive, UPGRADE"))
    assert judge(scope).status_code == 101


def test_the_scope_is_that_of_asgi() -> None:
    """As any ASGI server gives it, and the fast lane."""
    lane: Any = object()
    offers = (b"sec-websocket-protocol", b"one, two,"), (b"sec-websocket-protocol", b"three")
    scope = websocket_scope(request(*offers, query=b"a=b", scheme="https"), lane)
    assert (scope["type"], scope["scheme"], scope["asgi"]["spec_version"]) == ("websocket", "wss", "2.4")
    assert scope["subprotocols"] == ["one", "two", "three"]
    assert scope["extensions"] == {"websocket.http.response": {}, EXTENSION: lane}
    assert (scope["path"], scope["query_string"]) == ("/ws/voice", b"a=b")
    assert "method" not in scope


def test_a_denial_is_a_whole_response() -> None:
    """The application's headers win."""
    wire = denial(503, [(b"retry-after", b"3"), (b"content-type", b"text/html")], b"full").serialize()
    head, _, body = wire.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert "retry-after: 3" in lines
    assert "Content-Length: 4" in lines
    assert "content-type: text/html" in lines
    assert not [line for line in lines if line.startswith("Content-Type")]
    assert body == "full"


@pytest.mark.parametrize("status", [0, 99, 101, 199, 600])
def test_a_denial_has_a_final_status(status: int) -> None:
    """101 least of all."""
    with pytest.raises(RuntimeError):
        denial(status, [], b"")
