"""`/openapi.json` and `/docs`: public, as they hold nothing but what anybody may read in the sources."""

from functools import cache, lru_cache
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway import build
from gateway.api.caching import entity_tag, revalidated
from gateway.api.context import Gateway
from gateway.api.described.document import document
from gateway.api.described.page import page, policy

_SERVERS = 8
"""Addresses whose documents are kept: a node is reached at one or two."""


class DescribedRoutes:
    """The handlers of the description.

    Putting it together takes longer than the event loop may be kept: that is done in a thread.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[BaseRoute]:
        """Both of them, for the application."""
        return [Route("/openapi.json", self.document), Route("/docs", self.page)]

    async def document(self, request: Request) -> Response:
        """`GET /openapi.json`: for machines."""
        body = await run_in_threadpool(_document, self._server(request), self._gateway.keys is not None)
        return revalidated(request, body, entity_tag(body), {"content-type": "application/json"})

    async def page(self, request: Request) -> Response:
        """`GET /docs`: for people."""
        body = await run_in_threadpool(_page, self._server(request), self._gateway.keys is not None)
        headers = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": policy(),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        return revalidated(request, body, entity_tag(body), headers)

    def _server(self, request: Request) -> str:
        return self._gateway.origins.address(request.scope).http("")


@lru_cache(maxsize=_SERVERS)
def _document(server: str, keyed: bool) -> bytes:
    return orjson.dumps(_at(server, keyed))


@lru_cache(maxsize=_SERVERS)
def _page(server: str, keyed: bool) -> bytes:
    return page(_at(server, keyed)).encode()


def _at(server: str, keyed: bool) -> dict[str, Any]:
    return {**_anywhere(keyed), "servers": [{"url": server}]}


@cache
def _anywhere(keyed: bool) -> dict[str, Any]:
    return document("", build.version(), keyed=keyed)
