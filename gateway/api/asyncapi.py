"""`GET /asyncapi.json`: the WebSocket, described for machines."""

from functools import cache

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway import build
from gateway.api.answers import json_answer
from gateway.api.context import Gateway
from protocol import asyncapi


class AsyncApiRoutes:
    """The handler of the description."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, request: Request) -> Response:
        """`GET`: AsyncAPI 3.0, with the address that the client itself used."""
        address = self._gateway.origins.address(request.scope)
        server = asyncapi.server(
            address.authority, secure=address.scheme == "https", keyed=self._gateway.keys is not None
        )
        # Reading the declarations takes longer than the event loop may be kept; it is done once.
        described = await run_in_threadpool(_described)
        return json_answer({**described, "servers": {"gateway": server}})


@cache
def _described() -> asyncapi.Document:
    return asyncapi.document(build.version())
