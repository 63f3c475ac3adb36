"""The sidecar over HTTP: both contracts, how it is, and what it counts."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.caching import NoStore
from gateway.api.methods import Methods
from gateway.api.origin import OriginPolicy
from gateway.api.problems import Problem, from_error
from gateway.classify.sidecar.batch import ANSWER_TYPE, REQUEST_TYPE, MalformedBatch, decode_request
from gateway.sidecar import single
from gateway.sidecar.body import Body, Room
from gateway.sidecar.desk import Desk
from gateway.sidecar.door import Door, Token
from gateway.sidecar.health import Wellbeing
from gateway.sidecar.metrics import Metrics
from gateway.sidecar.service import Service
from gateway.telemetry.metrics import CONTENT_TYPE

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH_PATH = "/v1/classify/batch"
MOST_WINDOWS = 32
"""In one call."""
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""So many windows of the gateway's longest, 5 s, with states and header."""
GONE = 499
"""What is counted of a call whose caller did not wait for the answer; nobody is told."""

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What the routes need."""

    service: Service
    desk: Desk
    room: Room
    metrics: Metrics
    wellbeing: Callable[[], Wellbeing]
    policy: OriginPolicy
    token: Token | None


class _Gone(Exception):
    """The caller has left."""


def build(sidecar: Sidecar, lifespan: Lifespan) -> Starlette:
    """The ASGI application of `sidecar`."""
    handlers = _Handlers(sidecar)
    app = Starlette(
        routes=[
            Route("/classify", handlers.single, methods=["POST"]),
            Route(BATCH_PATH, handlers.batch, methods=["POST"]),
            Route("/health", handlers.health),
            Route("/healthz", handlers.healthz),
            Route("/readyz", handlers.readyz),
            Route("/metrics", handlers.metrics),
        ],
        middleware=[
            Middleware(NoStore),
            Middleware(Door, policy=sidecar.policy, token=sidecar.token),
            Middleware(Methods),
        ],
        exception_handlers=dict.fromkeys((Problem, HTTPException, Exception), _on_error),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Handlers:
    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def single(self, request: Request) -> Response:
        """`POST /classify`: one window, as JSON."""
        return await self._counted(self._single(request))

    async def batch(self, request: Request) -> Response:
        """`POST /v1/classify/batch`: windows of many sessions, as bytes."""
        return await self._counted(self._batch(request))

    async def health(self, _: Request) -> Response:
        """`GET /health`: how its models are, and what it offers; 200 is ready."""
        now = self._sidecar.wellbeing()
        offer = {"path": BATCH_PATH, "max": MOST_WINDOWS}
        return _json({**now.told(), "batch": offer}, _status(now.ready))

    async def healthz(self, _: Request) -> Response:
        """`GET /healthz`: the process answers."""
        return _json({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """`GET /readyz`: whether calls are welcome."""
        now = self._sidecar.wellbeing()
        return _json(
            {"status": "ready" if now.ready else "not_ready", "checks": now.checks()}, _status(now.ready)
        )

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`: Prometheus text format."""
        return Response(self._sidecar.metrics.render(), headers={"content-type": CONTENT_TYPE})

    # ---------------------------------------------------------------------------------------------------

    async def _single(self, request: Request) -> Response:
        _sent_as(request, "application/json", "+json")
        async with self._body(request, single.MAX_BODY_BYTES) as body:
            call = single.read(body)
            self._sidecar.metrics.audio(len(call.samples))
            events = await _while_there(request, self._sidecar.service.single(call))
        return _json(single.answer(call, events))

    async def _batch(self, request: Request) -> Response:
        _sent_as(request, REQUEST_TYPE)
        async with self._body(request, MAX_BATCH_BYTES) as body:
            try:
                asked = decode_request(body, max_windows=MOST_WINDOWS, max_samples=single.MAX_SAMPLES)
            except MalformedBatch as error:
                raise Problem(HTTPStatus.BAD_REQUEST, "malformed_batch", str(error)) from error
            self._sidecar.metrics.audio(sum(len(one.samples) for one in asked))
            answer = await _while_there(request, self._sidecar.service.batch(asked))
        return Response(answer, media_type=ANSWER_TYPE)

    def _body(self, request: Request, most: int) -> Body:
        return Body(request, self._sidecar.room, self._sidecar.desk, most)

    async def _counted(self, work: Coroutine[Any, Any, Response]) -> Response:
        try:
            response = await work
        except _Gone:
            self._sidecar.metrics.request(GONE)
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except Exception as error:
            response = _problem(error).response()
        self._sidecar.metrics.request(response.status_code)
        return response


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. It is given up where the caller leaves: nobody waits for it any more.

    Raises:
        _Gone: the caller has left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise _Gone
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _sent_as(request: Request, media_type: str, suffix: str | None = None) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != media_type and not (suffix and kind.endswith(suffix)):
        detail = f"send the body as {media_type}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)


def _status(ready: bool) -> HTTPStatus:
    return HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE


def _json(body: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem | HTTPException):
        return from_error(error)
    log.error("a call failed unexpectedly", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "the sidecar failed; it has logged why")


async def _on_error(_: Request, error: Exception) -> Response:
    return _problem(error).response()
