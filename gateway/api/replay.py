"""The last events of a session that has ended, for a client that was away when it did."""

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.attach import Afterword
from gateway.api.context import Gateway
from gateway.api.writer import close, send, turn_away
from gateway.errors import SessionGone
from gateway.fastlane import fast_lane
from gateway.live.log import Evicted
from gateway.sessions.model import Status
from gateway.sessions.ports import Entry
from protocol.close import CloseCode
from protocol.connection import ServerConnection
from protocol.errors import ErrorCode, ProtocolError

REPLAY_S = 10.0
"""Seconds that a peer has to read it all; what is held of a session is bounded."""


async def replay(
    gateway: Gateway, websocket: WebSocket, connection: ServerConnection, afterword: Afterword
) -> None:
    """Send `welcome` and what followed the client's last event, then close as the session ended.

    After an orderly end, 1000; else the `error` that says what became of the session, and 4004.
    """
    lane = fast_lane(websocket.scope)
    if lane is not None:
        lane.deafen()  # nothing that it could say matters any more
    try:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(REPLAY_S):
                await _tell(gateway, websocket, connection, afterword)
    finally:
        afterword.reader.close()


async def _tell(
    gateway: Gateway, websocket: WebSocket, connection: ServerConnection, afterword: Afterword
) -> None:
    await send(websocket, connection.send(afterword.welcome))
    reader = afterword.reader
    while not reader.done:
        try:
            items = reader.take()
        except Evicted as gone:  # just now, by age: the next one's number tells of it
            reader.skip_to(gone.oldest - 1)
            continue
        for item in items:
            if isinstance(item, Entry):
                encoded = item.encoded(connection.encoding)
                await send(websocket, connection.forward(item.type, encoded))
    if afterword.session.status is Status.CLOSED:
        gateway.telemetry.close(CloseCode.NORMAL)
        await close(websocket, CloseCode.NORMAL, "ended")
        return
    over = SessionGone(afterword.session.status)
    error = ProtocolError(ErrorCode(over.code), str(over), fatal=True)
    await turn_away(gateway, websocket, connection, error)
