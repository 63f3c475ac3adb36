"""The routes, and what stands in front of all of them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.api.asyncapi import AsyncApiRoutes
from gateway.api.caching import NoStore
from gateway.api.context import Gateway
from gateway.api.described.routes import DescribedRoutes
from gateway.api.events import EventRoutes
from gateway.api.health import HealthRoutes
from gateway.api.legacy import LegacyRoutes
from gateway.api.methods import Methods
from gateway.api.notes import NoteRoutes
from gateway.api.origin import OriginPolicy
from gateway.api.page import PageRoutes
from gateway.api.problems import Problem, foreign_page, on_error
from gateway.api.sessions import SessionRoutes
from gateway.api.tasks import PREFIX as TASKS
from gateway.api.tasks import TaskRoutes
from gateway.api.views import PREFIX
from gateway.api.voice import VoiceEndpoint
from gateway.errors import UndertoneError
from protocol.errors import ProtocolError

# `Exception` alone would do, but Starlette re-raises what it answers through that key, and a client's
# mistake has no place in the server's log.
_HANDLED = (Problem, UndertoneError, ProtocolError, HTTPException, Exception)

_FOR_PROBES = frozenset(("/healthz", "/readyz", "/health"))
"""Load balancers ask these by whatever name they have."""

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def build(gateway: Gateway, lifespan: Lifespan) -> Starlette:
    """The ASGI application of `gateway`."""
    sessions, events, health = SessionRoutes(gateway), EventRoutes(gateway), HealthRoutes(gateway)
    notes = NoteRoutes(gateway)
    tasks = TaskRoutes(gateway)
    one = PREFIX + "/{session_id}"
    app = Starlette(
        routes=[
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", health.metrics),
            Route("/asyncapi.json", AsyncApiRoutes(gateway).show),
            Route(PREFIX, sessions.create, methods=["POST"]),
            Route(PREFIX, sessions.list),
            Route(one, sessions.show),
            Route(one, sessions.delete, methods=["DELETE"]),
            Route(f"{one}/stats", sessions.stats),
            Route(f"{one}/history", sessions.history),
            Route(f"{one}/events", events.stream),
            Route(f"{one}/tickets", notes.ticket, methods=["POST"]),
            Route(f"{one}/checkpoints", notes.checkpoints),
            Route(f"{one}/checkpoints", notes.checkpoint, methods=["POST"]),
            Route(f"{one}/heartbeat", notes.heartbeat, methods=["POST"]),
            Route(f"{one}/tasks", tasks.create, methods=["POST"]),
            Route(f"{one}/tasks", tasks.list),
            Route(TASKS + "/{task_id}", tasks.show),
            Route(TASKS + "/{task_id}", tasks.delete, methods=["DELETE"]),
            Route(TASKS + "/{task_id}/result", tasks.result),
            WebSocketRoute("/ws/voice", VoiceEndpoint(gateway)),
            *DescribedRoutes(gateway).routes(),
            *PageRoutes().routes(),
            *LegacyRoutes(gateway).routes(),
            WebSocketRoute("/{path:path}", _no_such_socket),
        ],
        middleware=[
            Middleware(NoStore),
            Middleware(OriginGuard, policy=gateway.origins),
            Middleware(
                CORSMiddleware,
                allow_origins=list(gateway.settings.allowed_origins),
                allow_methods=["GET", "HEAD", "POST", "DELETE"],
                allow_headers=["authorization", "content-type", "last-event-id"],
                expose_headers=[
                    "allow",
                    "content-disposition",
                    "etag",
                    "location",
                    "retry-after",
                    "www-authenticate",
                ],
            ),
            Middleware(Methods),
        ],
        exception_handlers=dict.fromkeys(_HANDLED, on_error),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # it would redirect to whatever Host a stranger named
    return app


async def _no_such_socket(websocket: WebSocket) -> None:
    problem = Problem(HTTPStatus.NOT_FOUND, "not_found", "there is no WebSocket here; try /ws/voice")
    await websocket.send_denial_response(problem.response())


class OriginGuard:
    """Refuses HTTP requests of foreign pages; WebSockets are refused at their own door."""

    def __init__(self, app: ASGIApp, policy: OriginPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] not in _FOR_PROBES and not self._policy.believes_host(scope):
            detail = (
                "this gateway has another name; behind a proxy set UNDERTONE_TRUSTED_PROXIES, for a name of "
                "its own add it to UNDERTONE_ALLOWED_ORIGINS"
            )
            problem = Problem(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", detail)
            await problem.response()(scope, receive, send)
            return
        if not self._policy.admits(scope):
            await foreign_page().response()(scope, receive, send)
            return
        await self._app(scope, receive, send)
