"""From a session's log to one peer: what is new is written as it is said.

Under our own server nothing waits and no task wakes up for it: a commit schedules one turn of the event loop
for each reader that has none yet, and that turn writes all there is at once, past ASGI. Under any other
server a task sleeps until there is news, and awaits each `send`.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.context import Gateway
from gateway.fastlane import FastLane
from gateway.live.log import Evicted
from gateway.live.pipeline import Pipeline
from gateway.live.reader import Reader
from gateway.sessions.ports import Entry
from protocol.close import NO_CLOSE_FRAME
from protocol.connection import ServerConnection
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Error, Event
from protocol.states import ConnectionState

AT_ONCE = 64
"""Events that are written in one turn of the event loop."""


class Writer:
    """The way out of one conversation.

    Args:
        pipeline: is told that its owner reads.
        lane: the connection's fast lane, where it has one.
    """

    def __init__(
        self,
        gateway: Gateway,
        websocket: WebSocket,
        connection: ServerConnection,
        reader: Reader,
        pipeline: Pipeline,
        lane: FastLane | None,
    ) -> None:
        self._gateway = gateway
        self._websocket = websocket
        self._connection = connection
        self._reader = reader
        self._pipeline = pipeline
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] | None = None
        self._scheduled = False

    async def run(self) -> None:
        """Until everything was said, and the connection is closed with the code that belongs to it.

        Raises:
            WebSocketDisconnect: the peer has left.
        """
        try:
            await (self._send_each() if self._lane is None else self._pump_all())
        except Evicted as gone:
            error = ProtocolError(ErrorCode.READER_TOO_SLOW, str(gone), fatal=True)
            self._gateway.telemetry.evicted()
            await turn_away(self._gateway, self._websocket, self._connection, error)
            return
        farewell = self._reader.farewell
        if farewell is not None:
            self._gateway.telemetry.close(farewell.code)
            await close(self._websocket, farewell.code, farewell.reason)

    async def _send_each(self) -> None:
        reader = self._reader
        while not reader.done:
            items = reader.take(AT_ONCE)
            for message in self._messages(items):
                await send(self._websocket, message)
            if not items and not reader.done:
                await reader.wait()

    async def _pump_all(self) -> None:
        over = self._over = self._loop.create_future()
        self._reader.on_news = self.pump_soon
        try:
            self.pump_soon()
            await over
        finally:
            self._reader.on_news = None
            self._over = None

    def pump_soon(self) -> None:
        """There may be something to write, or room for it."""
        if not self._scheduled and self._over is not None:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        over = self._over
        if over is None or over.done():
            self._scheduled = False
            return
        try:
            more = self._write_news()
        except Exception as error:
            over.set_exception(error)
            return
        self._scheduled = False
        if self._reader.done:
            over.set_result(None)
        elif more:
            self.pump_soon()

    def _write_news(self) -> bool:
        """Write what there is, unless the peer doesn't read. Whether there may be more."""
        lane = self._lane
        assert lane is not None
        messages: list[bytes | str] = []
        while len(messages) < AT_ONCE and not (lane.clogged or self._reader.done):
            items = self._reader.take(AT_ONCE - len(messages))
            if not items:
                break
            messages += self._messages(items)
        if messages:
            lane.send(messages)
        return len(messages) >= AT_ONCE

    def _messages(self, items: Sequence[Entry | Event]) -> Iterator[bytes | str]:
        """What goes over the wire of them; after its last word nothing but errors."""
        connection = self._connection
        if items:
            self._pipeline.caught_up()
        for item in items:
            if isinstance(item, Entry):
                yield connection.forward(item.type, item.encoded(connection.encoding))
            elif connection.state is not ConnectionState.CLOSING or isinstance(item, Error):
                yield connection.send(item)


async def turn_away(
    gateway: Gateway, websocket: WebSocket, connection: ServerConnection, error: ProtocolError
) -> None:
    """Tell a peer why, and close with the code that belongs to it."""
    gateway.telemetry.error(error.code)
    gateway.telemetry.close(error.close_code)
    with contextlib.suppress(WebSocketDisconnect):  # a peer that has left needs no telling
        await send(websocket, connection.send(error.to_event()))
        await close(websocket, error.close_code, error.code)


async def send(websocket: WebSocket, data: bytes | str) -> None:
    """Send one message.

    Raises:
        WebSocketDisconnect: the connection is gone.
    """
    message: dict[str, Any] = {"type": "websocket.send"}
    message["text" if isinstance(data, str) else "bytes"] = data
    try:
        await websocket.send(message)
    except RuntimeError as closed:  # the server has closed it meanwhile, as for an oversize message
        raise WebSocketDisconnect(NO_CLOSE_FRAME) from closed


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close, unless it is closed already."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, reason)
