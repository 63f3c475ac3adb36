"""`/session/{id}/audio`: one WebSocket, PCM in, an answer for each chunk out; the events go by the stream.

Sockets come and go within one session. Each is its owner while it lasts: the audio goes on where the one
before left off, and of two at once the newer has it.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.context import Gateway
from gateway.api.conversation import FAREWELL_S
from gateway.api.legacy_door import LegacyDoor
from gateway.api.problems import Problem, error_of, foreign_page
from gateway.api.writer import close, send
from gateway.errors import STORE_ERRORS, BadDocument
from gateway.fastlane import FastLane, fast_lane
from gateway.live.log import Evicted
from gateway.live.reader import Reader
from gateway.live.session import LiveSession, say
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry
from gateway.sessions.tickets import Role
from protocol.audio import AudioFormat
from protocol.close import NO_CLOSE_FRAME
from protocol.codec import MAX_MESSAGE_BYTES
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Drain, Error, Event

log = logging.getLogger(__name__)

FORMAT = AudioFormat()
"""What these clients send: 16-bit PCM, 16 kHz, mono."""

MAX_ANSWERS = 8_192
"""Chunks that may wait for their answers: more than the flood budget lets in at once, even of small ones."""

_GOING = "this node is going away and takes no more audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(Event):
    """Chunks were taken in. For the reader's queue of replies only; each has an answer of its own."""

    type: ClassVar[str] = "heard"
    chunks: list[int] = field(default_factory=list)
    """Bytes of each. As long as nobody has taken it and nothing else is said, what follows is added."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A socket's place in a session."""

    session: Session
    live: LiveSession
    reader: Reader


class LegacyAudio:
    """The ASGI application behind `/session/{id}/audio`."""

    def __init__(self, door: LegacyDoor) -> None:
        self._door = door
        self._gateway = door.gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        if (await receive())["type"] != "websocket.connect":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self._gateway.telemetry.refused(refusal.code)
            await websocket.send_denial_response(refusal.response())
            return
        websocket.client_state = websocket.client_state.CONNECTED
        await websocket.accept()
        try:
            seat = await self._take_seat(websocket.path_params["session_id"])
        except Exception as error:
            await self._turn_away(websocket, error_of(error))
            return
        try:
            await Exchange(self._gateway, websocket, seat).run()
        finally:
            await self._leave(seat)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Why this handshake gets no WebSocket at all, if so; a session that is there has its place."""
        if not self._gateway.origins.admits(scope):
            return foreign_page()
        return self._gateway.refusal_of_new() if self._gateway.draining() else None

    async def _take_seat(self, session_id: str) -> Seat:
        session = await self._door.running(session_id)
        if session.audio != FORMAT:
            raise ProtocolError(ErrorCode.UNSUPPORTED_AUDIO, "this session was made for other audio")
        service, live = self._gateway.service, self._gateway.live
        attached = await service.attach(session_id, Role.OWNER, namespace=session.namespace_id)
        session = attached.session
        joined = await live.take(session, attached.before)
        reader = Reader(joined.log, joined.log.committed, bounded=True)
        if joined.audience.seat_owner(reader, session.attaches):
            joined.pipeline.attached()
        log.info("attached", extra={"session_id": session.id, "role": Role.OWNER.value})
        return Seat(session, joined, reader)

    async def _leave(self, seat: Seat) -> None:
        """The socket is gone; the session waits for the next one, or for its readers to leave as well."""
        was_owner = seat.live.audience.leave(seat.reader)
        log.info("left", extra={"session_id": seat.session.id, "role": Role.OWNER.value})
        if was_owner and not seat.live.ending:
            with contextlib.suppress(*STORE_ERRORS, BadDocument):  # the reaper finds out by itself
                await self._gateway.service.lose(seat.session.id, seat.session.attaches)

    async def _turn_away(self, websocket: WebSocket, error: ProtocolError) -> None:
        self._gateway.telemetry.error(error.code)
        self._gateway.telemetry.close(error.close_code)
        with contextlib.suppress(WebSocketDisconnect):  # a peer that has left needs no telling
            await send(websocket, refused(error.code, error.message, fatal=True))
            await close(websocket, error.close_code, error.code)


class Exchange:
    """One socket, from its first chunk to its close: each chunk is fed, and answered in its turn.

    Answers wait in the reader's queue of replies, among what the session has to tell its owner. A page that
    was held up sends many chunks at once, so there is room for all that it may send; a peer that doesn't read
    its answers is closed.
    """

    def __init__(self, gateway: Gateway, websocket: WebSocket, seat: Seat) -> None:
        self._gateway = gateway
        self._websocket = websocket
        self._session_id = seat.session.id
        self._pipeline = seat.live.pipeline
        self._reader = seat.reader
        self._lane: FastLane | None = fast_lane(websocket.scope)
        self._deadline: asyncio.TimerHandle | None = None
        self._heard: Heard | None = None
        """Where the next chunk's answer is added."""
        self._unanswered = 0

    async def run(self) -> None:
        """Until the peer leaves or the session is over."""
        reading = asyncio.create_task(self._read(), name="audio-read")
        writing = asyncio.create_task(self._write(), name="audio-write")
        self._reader.on_stopped = lambda: self._stopped(writing)
        if self._reader.farewell is not None:
            self._stopped(writing)
        try:
            if self._lane is not None:
                self._lane.listen(self.hear, self._flooded)
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._reader.on_stopped = None
            if self._deadline is not None:
                self._deadline.cancel()
            for task in (reading, writing):
                task.cancel()
            for outcome in await asyncio.gather(reading, writing, return_exceptions=True):
                self._note_defect(outcome)

    def hear(self, data: bytes | str) -> None:
        """Take one message. One whose connection was told to end is not heard any more."""
        if self._reader.farewell is not None:
            return
        try:
            self._feed(data)
        except ProtocolError as error:
            self._complain(error)
        else:
            self._answer_later(len(data))

    def _answer_later(self, nbytes: int) -> None:
        if self._unanswered >= MAX_ANSWERS:
            told = f"{self._unanswered} answers are waiting to be read"
            self._reader.end_with(ProtocolError(ErrorCode.READER_TOO_SLOW, told, fatal=True))
            return
        if self._heard is None:
            self._heard = Heard()
            say(self._reader, self._heard)
        self._heard.chunks.append(nbytes)
        self._unanswered += 1

    def _feed(self, data: bytes | str) -> None:
        if len(data) > MAX_MESSAGE_BYTES:
            limit = f"at most {MAX_MESSAGE_BYTES} bytes"
            raise ProtocolError(ErrorCode.MESSAGE_TOO_LARGE, limit, fatal=True)
        if isinstance(data, str):
            self._pipeline.note_message()
            raise ProtocolError(ErrorCode.UNKNOWN_MESSAGE, "send audio, in binary messages; no text")
        self._pipeline.feed(data)
        if self._pipeline.ended:  # taken, but not in: who may come back elsewhere is to send it again
            raise ProtocolError(ErrorCode.OVERLOADED, _GOING)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._gateway.telemetry.close(message.get("code", NO_CLOSE_FRAME))
                return
            data: bytes | str | None = message.get("bytes")
            self.hear(message["text"] if data is None else data)
            await asyncio.sleep(0)  # a burst of chunks leaves the writer its turn

    def _flooded(self, detail: str) -> None:
        if self._reader.farewell is None:
            self._complain(ProtocolError(ErrorCode.FLOOD, detail, fatal=True))

    def _complain(self, error: ProtocolError) -> None:
        self._gateway.telemetry.error(error.code)
        self._heard = None
        say(self._reader, error.to_event())
        if error.fatal:
            self._reader.finish(error.close_code, error.code)

    def _stopped(self, writing: "asyncio.Task[None]") -> None:
        """The connection is to end: the peer is heard no more, and has a while to read what is left."""
        if self._lane is not None:
            self._lane.deafen()
        self._deadline = asyncio.get_running_loop().call_later(FAREWELL_S, self._give_up, writing)

    def _give_up(self, writing: "asyncio.Task[None]") -> None:
        """The peer doesn't even take its farewell; the server drops a connection that was left unclosed."""
        if self._reader.farewell is not None:
            self._gateway.telemetry.close(self._reader.farewell.code)
        writing.cancel()

    async def _write(self) -> None:
        reader = self._reader
        while not reader.done:
            try:
                items = reader.take()
            except Evicted as gone:  # they go by the stream, not here
                reader.skip_to(gone.oldest - 1)
                continue
            for item in items:
                if isinstance(item, Heard):
                    await self._tell_heard(item)
                elif (told := _answer(item)) is not None:
                    await send(self._websocket, told)
            if not items and not reader.done:
                await reader.wait()
        farewell = reader.farewell
        if farewell is not None:
            self._gateway.telemetry.close(farewell.code)
            await close(self._websocket, farewell.code, farewell.reason)

    async def _tell_heard(self, heard: Heard) -> None:
        if heard is self._heard:
            self._heard = None  # it is full; the next chunk begins another one
        for nbytes in heard.chunks:
            await send(self._websocket, orjson.dumps({"ok": True, "bytes": nbytes}).decode())
            self._unanswered -= 1

    def _note_defect(self, outcome: BaseException | None) -> None:
        """Log what should not have happened; a peer that went away is none of it."""
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            log.error("an audio socket failed", exc_info=outcome, extra={"session_id": self._session_id})


def refused(code: str, message: str, **more: Any) -> str:
    """The answer to what was not taken in, or the word before a close."""
    return orjson.dumps({"ok": False, "error": code, "message": message, **more}).decode()


def _answer(item: Entry | Event) -> str | None:
    match item:
        case Error():
            return refused(item.code, item.message, fatal=item.fatal)
        case Drain():
            return refused("drain", "this node is going away", retry_after_ms=item.retry_after_ms)
        case _:
            return None
