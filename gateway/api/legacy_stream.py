"""`GET /session/{id}/stream`: what older pages are told, live only."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api.legacy_door import LegacyDoor, ended
from gateway.api.legacy_words import flat, service_state, sse
from gateway.errors import NotFound
from gateway.live.log import Evicted
from gateway.live.reader import Reader
from gateway.live.session import LiveSession
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry
from protocol.close import CloseCode
from protocol.events import Drain, Event, Service, ServiceStatus

HEARTBEAT_S = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the stream."""
LOADING_S = 1.0
"""Seconds between looks at a classifier that is not ready yet."""

_HEARTBEAT = b": heartbeat\n\n"
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class LegacyStream:
    """The handler of the older stream. Whoever reads it keeps the session, also one that hears nothing."""

    def __init__(self, door: LegacyDoor) -> None:
        self._door = door
        self._gateway = door.gateway

    async def stream(self, request: Request) -> Response:
        """`GET`: the state of the classifier at once, then each event as it comes; ends with the session.

        There is nothing to go on from: whoever comes back has missed what was said meanwhile, and is never
        told anything twice.
        """
        session = await self._door.running(request.path_params["session_id"])
        if request.method == "HEAD":
            return Response(headers=_HEADERS, media_type="text/event-stream")
        session = await self._gateway.service.observe(session.id)
        if ended(session):
            raise NotFound
        live = await self._gateway.live.listen(session)
        return StreamingResponse(
            self._follow(session, live), headers=_HEADERS, media_type="text/event-stream"
        )

    async def _follow(self, session: Session, live: LiveSession) -> AsyncIterator[bytes]:
        reader = Reader(live.log, live.log.committed)
        live.audience.observers.add(reader)
        if not self._gateway.live.holds(live):
            reader.finish(CloseCode.NORMAL, "ended")
        status = self._status(session, None)
        try:
            yield _HEARTBEAT
            yield _state(live, status)
            while not reader.done:
                try:
                    items = reader.take()
                except Evicted as gone:
                    self._gateway.telemetry.evicted()
                    reader.skip_to(gone.oldest - 1)
                    continue
                if any(isinstance(item, Entry) and item.type == Service.type for item in items):
                    status = self._status(session, status)  # they tell it themselves
                if said := _written(items):
                    yield said
                if items:
                    continue
                if status is not ServiceStatus.READY:
                    before, status = status, self._status(session, status)
                    if status is not before:
                        yield _state(live, status)
                        continue
                if not await _news(reader, status):
                    self._keep(live)
                    yield _HEARTBEAT
        finally:
            reader.close()
            live.audience.leave(reader)
            self._gateway.live.left(live)
            # Who leaves early is cancelled, and the traceback of that keeps this frame until it is collected.
            del live
            await self._gateway.service.unobserve(session.id)

    def _status(self, session: Session, before: ServiceStatus | None) -> ServiceStatus:
        """Whether what listens to the session can; changes of that are told in its log from then on.

        A node that goes away goes on listening meanwhile; one that has just come up may not do so yet.
        """
        ready = before is ServiceStatus.READY or self._gateway.readiness().ready
        ready = ready and self._gateway.live.answers(session.id)
        return ServiceStatus.READY if ready else ServiceStatus.LOADING

    def _keep(self, live: LiveSession) -> None:
        """A session that somebody reads is not idle, although its audio socket is silent."""
        live.pipeline.traffic.last_activity = self._gateway.clock.monotonic()


def _state(live: LiveSession, status: ServiceStatus) -> bytes:
    pipeline = live.pipeline
    now = pipeline.audio.seconds(pipeline.ledger.next_sample)
    detail = "listening" if status is ServiceStatus.READY else "not ready to listen yet"
    return sse(service_state(live.session_id, now, status, detail))


def _written(items: Iterable[Entry | Event]) -> bytes:
    return b"".join(map(_word, items))


def _word(item: Entry | Event) -> bytes:
    if isinstance(item, Entry):
        said = flat(item)
        return sse(said) if said is not None else b""
    # `retry` is how an EventSource is told when to come back (HTML Living Standard, 9.2.6).
    return f"retry: {item.retry_after_ms}\n\n".encode() if isinstance(item, Drain) else b""


async def _news(reader: Reader, status: ServiceStatus | None) -> bool:
    """Whether something came before it was time to look up."""
    try:
        async with asyncio.timeout(HEARTBEAT_S if status is ServiceStatus.READY else LOADING_S):
            await reader.wait()
    except TimeoutError:
        return False
    return True
