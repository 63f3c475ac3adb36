"""`/ws/voice`: one WebSocket, PCM in, events out.

A connection goes through three steps: admission (refused with an HTTP status before it is accepted),
attachment (accepted, told in an `error`, closed), and the conversation, in which one task reads, one writes
and either of them ends both.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.attach import Attachment, attach, error_of
from gateway.api.context import Gateway
from gateway.api.problems import Problem, foreign_page
from gateway.live.log import Evicted
from gateway.live.reader import Reader
from gateway.live.session import say
from gateway.sessions.ports import Entry
from gateway.sessions.tickets import Role
from protocol.close import NO_CLOSE_FRAME
from protocol.connection import Audio, ServerConnection
from protocol.control import Ack, Configure, ControlMessage, End, Flush, Ping, Position
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Error, Event, Flushed, Pong
from protocol.states import ConnectionState
from protocol.version import Encoding, Negotiated, negotiate

log = logging.getLogger(__name__)

MAX_FLUSHES = 64
"""Flushes of one client that may be under way."""
FAREWELL_S = 5.0
"""Seconds a peer has to read what was left to say before its connection is dropped."""


class VoiceEndpoint:
    """The ASGI application behind `/ws/voice`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        if (await receive())["type"] != "websocket.connect":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self._gateway.telemetry.refused(refusal.code)
            await websocket.send_denial_response(refusal.response())
            return
        try:
            agreed = negotiate(scope.get("subprotocols", ()))
        except ProtocolError as error:
            await _accept(websocket, None)
            await _turn_away(self._gateway, websocket, ServerConnection(Encoding.MSGPACK), error)
            return
        await _accept(websocket, agreed.subprotocol)
        await self._admitted(websocket, agreed)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Why this handshake gets no WebSocket at all, if so."""
        gateway = self._gateway
        if not gateway.origins.admits(scope):
            return foreign_page()
        if gateway.full and b"session_id=" not in scope["query_string"]:
            return gateway.no_room()
        return None

    async def _admitted(self, websocket: WebSocket, agreed: Negotiated) -> None:
        query: Mapping[str, str] = websocket.query_params
        try:
            attachment = await attach(self._gateway, query, _credential(websocket, agreed))
        except Exception as error:
            await _turn_away(self._gateway, websocket, ServerConnection(agreed.encoding), error_of(error))
            return
        observes = attachment.role is Role.OBSERVER
        connection = ServerConnection(agreed.encoding, read_only=observes)
        conversation = Conversation(self._gateway, websocket, connection, attachment)
        try:
            await conversation.run()
        finally:
            await attachment.leave()


class Conversation:
    """One attached socket: reads frames into the pipeline, writes the log to the peer."""

    def __init__(
        self, gateway: Gateway, websocket: WebSocket, connection: ServerConnection, attachment: Attachment
    ) -> None:
        self._gateway = gateway
        self._websocket = websocket
        self._connection = connection
        self._attachment = attachment
        self._live = attachment.live
        self._pipeline = attachment.live.pipeline
        self._reader: Reader = attachment.reader
        self._confirmed = attachment.role is not Role.OWNER
        self._flushes: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the peer leaves or everything was said."""
        try:
            await _send(self._websocket, self._connection.send(self._attachment.welcome))
        except WebSocketDisconnect:
            return
        reading = asyncio.create_task(self._read(), name="voice-read")
        writing = asyncio.create_task(self._write(), name="voice-write")
        deadline: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()

        def start_deadline() -> None:
            nonlocal deadline
            deadline = loop.call_later(FAREWELL_S, writing.cancel)

        self._reader.on_stopped = start_deadline
        if self._reader.farewell is not None:
            start_deadline()
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if deadline is not None:
                deadline.cancel()
            tasks = (reading, writing, *self._flushes)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                self._note_defect(outcome)

    # Reading -------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        receive = self._websocket.receive
        connection, pipeline = self._connection, self._pipeline
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._gateway.telemetry.close(message.get("code", NO_CLOSE_FRAME))
                return
            data: bytes | str | None = message.get("bytes")
            if data is None:
                data = message["text"]
            try:
                incoming = connection.receive(data)
                if not self._confirmed:
                    self._confirmed = True
                    await self._attachment.confirm()
                if isinstance(incoming, Audio):
                    pipeline.feed(incoming.data)
                else:
                    self._control(incoming)
            except ProtocolError as error:
                self._complain(error)
                if error.fatal:
                    # What else the peer sends is of no interest; the writer says the rest.
                    await asyncio.Event().wait()
            if isinstance(data, str):
                await asyncio.sleep(0)  # a burst of control messages leaves the writer its turn

    def _control(self, message: ControlMessage) -> None:
        pipeline = self._pipeline
        pipeline.note_message()
        match message:
            case Ping():
                self._say(Pong(t=message.t))
            case Ack():
                self._acknowledge(message.seq)
            case Configure():
                self._say(pipeline.configure(message))
                self._attachment.configured(pipeline.config)
            case Position():
                pipeline.position(message.sample)
            case Flush():
                self._start_flush(message)
            case End():
                self._attachment.end()

    def _acknowledge(self, seq: int) -> None:
        top = self._live.log.top
        if seq > top:
            raise ProtocolError(ErrorCode.INVALID_FIELD, f"the newest event is {top}", param="seq")
        self._reader.skip_to(seq)

    def _start_flush(self, message: Flush) -> None:
        if len(self._flushes) >= MAX_FLUSHES:
            raise ProtocolError(ErrorCode.OVERLOADED, f"{MAX_FLUSHES} flushes are pending already")
        number = self._live.cut_short()

        async def answer() -> None:
            await self._live.flushed(number)
            self._say(Flushed(id=message.id))

        task = asyncio.create_task(answer(), name="voice-flush")
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    def _complain(self, error: ProtocolError) -> None:
        self._gateway.telemetry.error(error.code)
        self._say(error.to_event())
        if error.fatal:
            self._reader.finish(error.close_code, error.code)

    def _say(self, event: Event) -> None:
        say(self._reader, event)

    # Writing -------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        reader, websocket, connection = self._reader, self._websocket, self._connection
        while not reader.done:
            try:
                items = reader.take()
            except Evicted as gone:
                await self._fell_behind(gone)
                return
            for item in items:
                if isinstance(item, Entry):
                    encoded = item.encoded(connection.encoding)
                    await _send(websocket, connection.send(item.event, encoded=encoded))
                elif connection.state is not ConnectionState.CLOSING or isinstance(item, Error):
                    await _send(websocket, connection.send(item))
            if not items and not reader.done:
                await reader.wait()
        farewell = reader.farewell
        if farewell is not None:
            self._gateway.telemetry.close(farewell.code)
            await _close(websocket, farewell.code, farewell.reason)

    async def _fell_behind(self, gone: Evicted) -> None:
        error = ProtocolError(ErrorCode.READER_TOO_SLOW, str(gone), fatal=True)
        self._gateway.telemetry.evicted()
        await _turn_away(self._gateway, self._websocket, self._connection, error)

    def _note_defect(self, outcome: BaseException | None) -> None:
        """Log what should not have happened; a peer that went away is none of it."""
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            session_id = self._live.session_id
            log.error("a conversation failed", exc_info=outcome, extra={"session_id": session_id})


def _credential(websocket: WebSocket, agreed: Negotiated) -> str | None:
    """The ticket or resume token: by subprotocol, or as a bearer token from clients that can set headers."""
    if agreed.ticket is not None:
        return agreed.ticket
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


async def _accept(websocket: WebSocket, subprotocol: str | None) -> None:
    websocket.client_state = websocket.client_state.CONNECTED
    await websocket.accept(subprotocol)


async def _turn_away(
    gateway: Gateway, websocket: WebSocket, connection: ServerConnection, error: ProtocolError
) -> None:
    """Tell a peer why, and close with the code that belongs to it."""
    gateway.telemetry.error(error.code)
    gateway.telemetry.close(error.close_code)
    with contextlib.suppress(WebSocketDisconnect):  # a peer that has left needs no telling
        await _send(websocket, connection.send(error.to_event()))
        await _close(websocket, error.close_code, error.code)


async def _send(websocket: WebSocket, data: bytes | str) -> None:
    message: dict[str, Any] = {"type": "websocket.send"}
    message["text" if isinstance(data, str) else "bytes"] = data
    try:
        await websocket.send(message)
    except RuntimeError as closed:  # the server has closed it meanwhile, as for an oversize message
        raise WebSocketDisconnect(NO_CLOSE_FRAME) from closed


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it is closed already
        await websocket.close(code, reason)
