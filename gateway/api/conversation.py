"""One attached WebSocket: what the peer says goes into the pipeline, the log goes to the peer.

Under our own server messages come in by the fast lane, straight from the parser; under any other through
ASGI's `receive`. Either way `gateway.api.hearing` takes them. What goes out is `gateway.api.writer`'s.
"""

import asyncio
import logging
import random

from starlette.types import Receive
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.attach import Attachment
from gateway.api.context import Gateway
from gateway.api.hearing import Hearing
from gateway.api.writer import Writer, send
from gateway.fastlane import FastLane, fast_lane
from gateway.live.drain import retry_after_ms
from gateway.live.reader import Reader
from gateway.live.session import LiveSession, say
from protocol.close import NO_CLOSE_FRAME, CloseCode
from protocol.connection import ServerConnection
from protocol.control import Flush
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Drain, Flushed

log = logging.getLogger(__name__)

MAX_FLUSHES = 64
"""Flushes of one client that may be under way."""
FAREWELL_S = 5.0
"""Seconds a peer has to read what was left to say before its connection is dropped."""
CANCELLED_S = 1.0
"""The same where another server than ours goes away: that waits for what it has cancelled."""


class Conversation:
    """From `welcome` to the last word.

    Args:
        receive: the server's own, for what comes; Starlette's would look at each message once more.
    """

    def __init__(
        self,
        gateway: Gateway,
        websocket: WebSocket,
        receive: Receive,
        connection: ServerConnection,
        attachment: Attachment,
    ) -> None:
        self._gateway = gateway
        self._websocket = websocket
        self._receive = receive
        self._connection = connection
        self._attachment = attachment
        self._live = attachment.live
        self._reader: Reader = attachment.reader
        self._lane: FastLane | None = fast_lane(websocket.scope)
        self._writer = Writer(gateway, websocket, connection, self._reader, self._live.pipeline, self._lane)
        self._flushes = _Flushes(self._live, self._reader)
        self._hearing = Hearing(connection, attachment, gateway.telemetry, self._flushes.start)
        self._deadline: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until the peer leaves or everything was said."""
        try:
            await send(self._websocket, self._connection.send(self._attachment.welcome))
        except WebSocketDisconnect:
            return
        reading = asyncio.create_task(self._read(), name="voice-read")
        writing = asyncio.create_task(self._writer.run(), name="voice-write")
        self._reader.on_stopped = lambda: self._stopped(writing)
        if self._reader.farewell is not None:
            self._stopped(writing)
        try:
            if self._lane is not None:
                self._lane.listen(self._hearing.hear, self._hearing.flooded, self._writer.pump_soon)
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._lane is None:
                await self._send_away(writing)
            raise
        finally:
            self._hearing.over = True
            self._reader.on_stopped = None
            if self._deadline is not None:
                self._deadline.cancel()
            tasks = (reading, writing, *self._flushes.tasks)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                self._note_defect(outcome)

    # Reading -------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        receive, hear = self._receive, self._hearing.hear
        while True:
            message = await receive()
            data: bytes | str | None = message.get("bytes")
            if data is not None:
                hear(data)
                continue
            if message["type"] == "websocket.disconnect":
                self._gateway.telemetry.close(message.get("code", NO_CLOSE_FRAME))
                return
            hear(message["text"])
            await asyncio.sleep(0)  # a burst of control messages leaves the writer its turn

    def _stopped(self, writing: "asyncio.Task[None]") -> None:
        """The connection is to end: the peer is heard no more, and has a while to read what is left."""
        self._hearing.over = True
        if self._lane is not None:
            self._lane.deafen()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(FAREWELL_S, self._give_up, writing)

    def _give_up(self, writing: "asyncio.Task[None]") -> None:
        """The peer doesn't even take its farewell; the server drops a connection that was left unclosed."""
        if self._reader.farewell is not None:
            self._gateway.telemetry.close(self._reader.farewell.code)
        writing.cancel()

    async def _send_away(self, writing: "asyncio.Task[None]") -> None:
        """The server goes away: tell the peer now, as ASGI has no way to tell an application any earlier.
        Under our own server the node has drained before."""
        gateway = self._gateway
        wait_ms = retry_after_ms(len(gateway.live), random.Random())
        self._hearing.say(Drain(retry_after_ms=wait_ms, reconnect_url=gateway.settings.reconnect_url))
        self._reader.finish(CloseCode.SERVICE_RESTART, "restart")
        await asyncio.wait((writing,), timeout=CANCELLED_S)

    def _note_defect(self, outcome: BaseException | None) -> None:
        """Log what should not have happened; a peer that went away is none of it."""
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            session_id = self._live.session_id
            log.error("a conversation failed", exc_info=outcome, extra={"session_id": session_id})


class _Flushes:
    """Flushes of one client, each answered once its windows are classified."""

    def __init__(self, live: LiveSession, reader: Reader) -> None:
        self._live = live
        self._reader = reader
        self.tasks: set[asyncio.Task[None]] = set()
        """Those under way, at most `MAX_FLUSHES`."""

    def start(self, message: Flush) -> None:
        """Classify what is pending.

        Raises:
            ProtocolError: too many are under way.
        """
        if len(self.tasks) >= MAX_FLUSHES:
            raise ProtocolError(ErrorCode.OVERLOADED, f"{MAX_FLUSHES} flushes are pending already")
        task = asyncio.create_task(self._answer(message, self._live.cut_short()), name="voice-flush")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, message: Flush, number: int) -> None:
        await self._live.flushed(number)
        say(self._reader, Flushed(id=message.id))
