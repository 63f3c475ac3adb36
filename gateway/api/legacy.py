"""The older tone-session routes, as their clients know them; `docs/legacy.md` maps them to ours.

They are another way to the same sessions: what is made here can be watched, followed up and deleted there.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.api import auth
from gateway.api.body import read_json_object
from gateway.api.context import Gateway
from gateway.api.legacy_audio import LegacyAudio
from gateway.api.legacy_door import LegacyDoor
from gateway.api.legacy_stream import LegacyStream
from gateway.api.legacy_words import RUNNING, STOPPED, TIER, flat, session_config
from gateway.api.problems import Problem
from gateway.api.query import WholeNumber, bad_query
from gateway.sessions.model import Session
from gateway.sessions.ports import UnknownSession
from gateway.sessions.service import NewSession
from protocol.events import Tone

MAX_HISTORY = 1_000
"""Events that one answer of `history` holds; who asks for more gets so many."""
HISTORY_LIMIT = WholeNumber("limit", 50, 1, 10**16 - 1)
_PAGE = 200
"""Events translated before others get their turn: some two milliseconds."""

_NO_STORE = {"cache-control": "no-store"}
_JSON = "application/json"


class LegacyRoutes:
    """The handlers of `/session/…` and `/health`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._door = LegacyDoor(gateway)

    def routes(self) -> list[BaseRoute]:
        """All of them, for the application."""
        one = "/session/{session_id}"
        return [
            Route("/health", self.health),
            Route("/session/start", self.start, methods=["POST"]),
            Route(one, self.show),
            Route(f"{one}/end", self.end, methods=["DELETE"]),
            Route(f"{one}/stream", LegacyStream(self._door).stream),
            Route(f"{one}/history", self.history),
            Route(f"{one}/export", self.export),
            WebSocketRoute(f"{one}/audio", LegacyAudio(self._door)),
        ]

    async def health(self, _: Request) -> Response:
        """`GET /health`: the process answers."""
        return _json({"status": "ok", "service": "undertone", "mode": "local"})

    async def start(self, request: Request) -> Response:
        """`POST /session/start`: a new session, with what is sent to `audio` in 16 kHz mono, 16 bit."""
        who = await auth.legacy(self._gateway)
        config = session_config(await read_json_object(request))
        try:
            created = await auth.create(self._gateway, who, NewSession(config=config, legacy=True))
        except Problem as refusal:
            self._gateway.telemetry.refused(refusal.code)
            raise
        return _json(self._view(created.session))

    async def show(self, request: Request) -> Response:
        """`GET /session/{id}`: whether it is still there."""
        return _json(self._view(await self._door.running(request.path_params["session_id"])))

    async def end(self, request: Request) -> Response:
        """`DELETE /session/{id}/end`: what was heard is still told, then the session is over."""
        session = await self._door.running(request.path_params["session_id"])
        await self._gateway.service.drain(session.id)
        live = self._gateway.live.get(session.id)
        if live is None or await live.finish() is None:
            await self._gateway.service.drained(session.id)
        return _json({"session_id": session.id, "state": STOPPED})

    async def history(self, request: Request) -> Response:
        """`GET /session/{id}/history`: the latest tones, of those with `min_confidence`; oldest first."""
        session = await self._door.known(request.path_params["session_id"])
        least, limit = _min_confidence(request), min(HISTORY_LIMIT.read(request), MAX_HISTORY)
        latest: deque[dict[str, Any]] = deque(maxlen=limit)
        async for said in self._said(session.id, _is_tone):
            if (said["confidence"] or 0.0) >= least:
                latest.append(said)
        return _json({"session_id": session.id, "count": len(latest), "events": list(latest)})

    async def export(self, request: Request) -> Response:
        """`GET /session/{id}/export`: everything that was said, as a JSON file to keep."""
        session = await self._door.known(request.path_params["session_id"])
        name = f"undertone-session-{session.truncated_id}.json"
        headers = {**_NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
        truncated = await self._is_truncated(session.id)
        return StreamingResponse(self._file(session, truncated), headers=headers, media_type=_JSON)

    def _view(self, session: Session) -> dict[str, Any]:
        return {"session_id": session.id, "state": RUNNING, "elcor": session.config.elcor, "tier": TIER}

    async def _file(self, session: Session, truncated: bool) -> AsyncIterator[bytes]:
        """The file in pieces: tones where older tools look for them, all else beside them."""
        head = orjson.dumps({"session_id": session.id, "elcor": session.config.elcor, "truncated": truncated})
        yield head[:-1] + b',"events":['
        async for piece in self._listed(session.id, _is_tone):
            yield piece
        yield b'],"other_events":['
        async for piece in self._listed(session.id, lambda said: not _is_tone(said)):
            yield piece
        yield b"]}\n"

    async def _listed(
        self, session_id: str, wanted: Callable[[dict[str, Any]], bool]
    ) -> AsyncIterator[bytes]:
        comma = b""
        async for said in self._said(session_id, wanted):
            yield comma + orjson.dumps(said)
            comma = b","

    async def _said(
        self, session_id: str, wanted: Callable[[dict[str, Any]], bool]
    ) -> AsyncIterator[dict[str, Any]]:
        """The wanted of a session's final events, in order; nothing where nobody has attached yet, and no
        more once the session is deleted."""
        after = 0
        while True:
            try:
                page = await self._gateway.events.record(session_id, after=after, limit=_PAGE)
            except UnknownSession:
                return
            for entry in page.entries:
                said = flat(entry)
                if said is not None and wanted(said):
                    yield said
            if len(page.entries) < _PAGE:
                return
            after = page.entries[-1].seq
            await asyncio.sleep(0)

    async def _is_truncated(self, session_id: str) -> bool:
        try:
            return (await self._gateway.events.record(session_id, limit=1)).truncated
        except UnknownSession:
            return False


def _is_tone(said: dict[str, Any]) -> bool:
    return bool(said["event_type"] == Tone.type)


def _min_confidence(request: Request) -> float:
    text = request.query_params.get("min_confidence", "0")
    try:
        least = float(text)
    except ValueError:
        least = math.nan
    if not math.isfinite(least):
        raise bad_query("min_confidence", "must be a number")
    return least


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), HTTPStatus.OK, _NO_STORE, media_type=_JSON)
