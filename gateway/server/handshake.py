"""The opening handshake: an HTTP request → 101 or a refusal (RFC 6455 section 4.2).

The request has been parsed by h11 and is judged by websockets; permessage-deflate is never accepted, since
no extension is on offer.
"""

import email.utils
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from gateway.fastlane import EXTENSION, FastLane

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]

VERSION = "13"
"""RFC 6455's, the only one there is."""


def judge(scope: Mapping[str, Any]) -> Response:
    """The answer to a request to upgrade: status 101, or why not.

    Args:
        scope: the request as an ASGI scope of type `http`.
    """
    headers = Headers()
    for name, value in scope["headers"]:
        headers[name.decode("ascii")] = value.decode("latin-1")
    if _has_body(headers):
        return denial(HTTPStatus.BAD_REQUEST, [], b"A request to upgrade has no body.\n")
    target = scope["raw_path"].decode("ascii")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("ascii")
    request = Request(target, headers, scope["method"], f"HTTP/{scope['http_version']}")
    protocol = ServerProtocol()
    response = protocol.accept(request)
    problem = protocol.handshake_exc
    if problem is not None:
        problem.with_traceback(None)  # its frames hold it, and the request
    if isinstance(problem, InvalidHeader) and problem.name == "Sec-WebSocket-Version":
        # RFC 6455 section 4.4: say which version would do. websockets answers a plain 400.
        wanted = [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", VERSION.encode())]
        return denial(HTTPStatus.UPGRADE_REQUIRED, wanted, bytes(response.body))
    return response


def _has_body(headers: Headers) -> bool:
    lengths = headers.get_all("Content-Length")
    return "Transfer-Encoding" in headers or any(length.strip("0") for length in lengths)


def websocket_scope(scope: Mapping[str, Any], lane: FastLane) -> dict[str, Any]:
    """The ASGI scope of the WebSocket that the HTTP request `scope` asks for (ASGI WebSocket spec 2.4)."""
    offered = (value.decode("latin-1") for name, value in scope["headers"] if name == _SUBPROTOCOL)
    subprotocols = [token.strip() for value in offered for token in value.split(",")]
    opened = {name: value for name, value in scope.items() if name != "method"}
    return opened | {
        "type": "websocket",
        "asgi": {"version": scope["asgi"]["version"], "spec_version": "2.4"},
        "scheme": "wss" if scope["scheme"] == "https" else "ws",
        "subprotocols": [token for token in subprotocols if token],
        "extensions": {"websocket.http.response": {}, EXTENSION: lane},
    }


_SUBPROTOCOL = b"sec-websocket-protocol"


def accepted(response: Response, headers: RawHeaders, subprotocol: str | None) -> bytes:
    """The 101 that `judge` gave, with what server and application add to it."""
    for name, value in headers:
        text = name.decode("latin-1")
        if text.lower() == "date":
            del response.headers["Date"]
        response.headers[text] = value.decode("latin-1")
    if subprotocol:
        response.headers["Sec-WebSocket-Protocol"] = subprotocol
    return response.serialize()


def denial(status: int, headers: RawHeaders, body: bytes) -> Response:
    """An HTTP answer instead of a WebSocket; the connection ends with it.

    Raises:
        RuntimeError: `status` is none that a final answer may have.
    """
    if not 200 <= status < 600:
        raise RuntimeError(f"{status} is no status of a response")
    answer = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    answer.setdefault("Date", email.utils.formatdate(usegmt=True))
    answer.setdefault("Connection", "close")
    answer.setdefault("Content-Length", str(len(body)))
    answer.setdefault("Content-Type", "text/plain; charset=utf-8")
    return Response(status, _phrase(status), answer, body)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
