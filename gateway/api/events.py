"""Server-sent events: the same log as the WebSocket's, for any number of observers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api import auth
from gateway.api.context import Gateway
from gateway.errors import STORE_ERRORS, BadDocument
from gateway.live.log import EventLog, Evicted
from gateway.live.reader import Reader
from gateway.live.session import LiveSession
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry
from gateway.sessions.tickets import Role
from protocol.close import CloseCode
from protocol.codec import encode_event
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Drain, Event
from protocol.version import Encoding

HEARTBEAT_S = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the stream."""

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventRoutes:
    """The handler of `/api/v1/sessions/{id}/events`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def stream(self, request: Request) -> Response:
        """`GET`: the events after `Last-Event-ID` (or `?last_event_id=`), then each as it comes.

        Where keys are needed, a ticket, a resume token or a key lets in. Who came without a key finds in
        `welcome` what lets them in again. `HEAD` says only whether there would be a stream.
        """
        gateway = self._gateway
        session_id: str = request.path_params["session_id"]
        if request.method == "HEAD":  # by key only: a ticket would be used up
            await auth.session(gateway, request)
            return Response(headers=_HEADERS, media_type="text/event-stream")
        entry = await auth.enter(gateway, session_id, Role.OBSERVER, auth.bearer(request.scope))
        way_back = await gateway.service.pass_for_return(session_id) if entry.by_ticket else None
        session = await gateway.service.observe(session_id)
        live = None if session.over else await gateway.live.listen(session)
        event_log = await gateway.live.read(session) if live is None else live.log
        resume = _last_event_id(request)
        if event_log is None or (session.over and resume == (event_log.epoch, event_log.committed)):
            # 204 is how an EventSource is told not to come back (HTML Living Standard, 9.2.3).
            return Response(status_code=HTTPStatus.NO_CONTENT)
        following = self._follow(session, live, event_log, resume, way_back)
        return StreamingResponse(following, headers=_HEADERS, media_type="text/event-stream")

    async def _follow(
        self,
        session: Session,
        live: LiveSession | None,
        event_log: EventLog,
        resume: tuple[str, int] | None,
        way_back: str | None,
    ) -> AsyncIterator[bytes]:
        after, recovered = starting_point(event_log, resume)
        reader = Reader(event_log, after)
        if live is not None:
            live.audience.observers.add(reader)
        if live is None or not self._gateway.live.holds(live):
            reader.finish(CloseCode.NORMAL, "ended")
        try:
            yield _hello(event_log, after, recovered, way_back)
            while not reader.done:
                try:
                    items = reader.take()
                except Evicted as gone:
                    self._gateway.telemetry.evicted()
                    yield _evicted(gone)
                    reader.skip_to(gone.oldest - 1)
                    continue
                if items:
                    yield b"".join(_written(event_log.epoch, item) for item in items)
                elif not await _news(reader):
                    yield b": still here\n\n"
        finally:
            reader.close()
            if live is not None:
                live.audience.leave(reader)
                self._gateway.live.left(live)
                with contextlib.suppress(*STORE_ERRORS, BadDocument):
                    await self._gateway.service.unobserve(session.id)
            # Who leaves early is cancelled, and the traceback of that keeps this frame until it is collected.
            del live


def starting_point(event_log: EventLog, resume: tuple[str | None, int] | None) -> tuple[int, bool]:
    """Where a reader begins, and whether that is exactly where it left off.

    A reader with no position, or one from another epoch, gets all that is held. One whose next event is no
    longer held goes on from the oldest.
    """
    first = event_log.oldest - 1
    if resume is None:
        return first, False
    epoch, after = resume
    if epoch is not None and epoch != event_log.epoch:
        return first, False
    if after > event_log.top or after < first:
        return first, False
    return after, True


def sse(epoch: str, entry: Entry) -> bytes:
    """One event in the text/event-stream format; its data is one line of JSON."""
    head = f"id: {epoch}:{entry.seq}\nevent: {entry.type}\ndata: "
    return head.encode() + entry.encoded(Encoding.JSON) + b"\n\n"


def _written(epoch: str, item: Entry | Event) -> bytes:
    """One item of a reader. Of what is not in the log, only `drain` concerns an observer."""
    if isinstance(item, Entry):
        return sse(epoch, item)
    if not isinstance(item, Drain):
        return b""
    # `retry` is how an EventSource is told when to come back (HTML Living Standard, 9.2.6).
    data = encode_event(item, Encoding.JSON)
    return f"retry: {item.retry_after_ms}\nevent: {item.type}\ndata: ".encode() + data + b"\n\n"


def _hello(event_log: EventLog, after: int, recovered: bool, way_back: str | None) -> bytes:
    body: dict[str, Any] = {
        "type": "welcome",
        "session_id": event_log.session_id,
        "epoch": event_log.epoch,
        "next_seq": event_log.next_seq,
        "recovered": recovered,
        "replay_from": after + 1,
        "replay_to": event_log.committed,
    }
    if way_back is not None:
        body["resume_token"] = way_back
    return b"retry: 1000\nevent: welcome\ndata: " + orjson.dumps(body) + b"\n\n"


def _evicted(gone: Evicted) -> bytes:
    error = ProtocolError(ErrorCode.READER_TOO_SLOW, str(gone))
    return b"event: error\ndata: " + encode_event(error.to_event(), Encoding.JSON) + b"\n\n"


async def _news(reader: Reader) -> bool:
    """Whether something came before a heartbeat was due."""
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            await reader.wait()
    except TimeoutError:
        return False
    return True


def _last_event_id(request: Request) -> tuple[str, int] | None:
    """Where the client left off; what can't be read counts as no position, as the standard has it."""
    value = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
    epoch, _, seq = value.rpartition(":")
    if not (seq.isascii() and seq.isdigit() and len(seq) <= 16 and epoch):
        return None
    return epoch, int(seq)
