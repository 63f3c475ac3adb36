"""Nothing is kept by a cache unless its route says so: answers are about people, and tickets are in them."""

from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ASK_AGAIN = {"cache-control": "no-cache"}
"""A cache may keep it and has to ask whether it still holds (RFC 9111 section 5.2.2.4)."""


class NoStore:
    """Adds `Cache-Control: no-store` where an answer says nothing about caching by itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "cache-control" not in headers and "etag" not in headers:
                    headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, marked)


def entity_tag(body: bytes) -> str:
    """The strong validator of exactly these bytes (RFC 9110 section 8.8.3)."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def revalidated(request: Request, body: bytes, etag: str, headers: Mapping[str, str]) -> Response:
    """The body, unless the client has it already (RFC 9110 section 13.1.2)."""
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={**_ASK_AGAIN, "etag": etag})
    return Response(body, headers={**_ASK_AGAIN, **headers, "etag": etag})
