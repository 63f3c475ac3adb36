"""Nothing is kept by a cache unless its route says so: answers are about people, and tickets are in them."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
