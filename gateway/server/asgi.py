"""One WebSocket as an ASGI application sees it (ASGI WebSocket specification 2.4): `receive` and `send`."""

import asyncio
import enum
import logging
from http import HTTPStatus
from typing import Any, Protocol

from uvicorn.protocols.utils import ClientDisconnected
from websockets.http11 import Response

from gateway.server import frames
from gateway.server.handshake import RawHeaders, denial
from gateway.server.lane import Lane

log = logging.getLogger(__name__)

NO_CLOSE_FRAME = 1006
"""What is told of a connection that ended without one (RFC 6455 section 7.1.5); never on the wire."""


class Wire(Protocol):
    """The connection below."""

    def accept(self, headers: RawHeaders, subprotocol: str | None) -> None:
        """Open the WebSocket."""

    def deny(self, response: Response) -> None:
        """Answer with HTTP instead."""

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one message."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""

    def fail(self, code: int, reason: str = "") -> None:
        """Close without waiting for the peer's answer."""

    def drop(self) -> None:
        """Abort."""

    def read_on(self) -> None:
        """A message was taken; there may be room for more."""

    async def writable(self) -> None:
        """Until the peer has read enough; raises ClientDisconnected when it is gone."""


class Stage(enum.Enum):
    """What the application has said."""

    ASKED = enum.auto()
    """Nothing: it has the request."""
    ANSWERING = enum.auto()
    """The start of an HTTP response (extension `websocket.http.response`)."""
    OPEN = enum.auto()
    """`websocket.accept`."""
    DONE = enum.auto()
    """Its last word: a close, or the end of the response."""


class AsgiSide:
    """Runs the application on one connection."""

    def __init__(self, wire: Wire, lane: Lane) -> None:
        self._wire = wire
        self._lane = lane
        self._stage = Stage.ASKED
        self._asked = False
        self._over: dict[str, Any] | None = None
        self._news = asyncio.Event()
        self._status = 0
        self._headers: RawHeaders = ()
        self._body = b""

    async def run(self, app: Any, scope: dict[str, Any]) -> None:
        """Until the application returns; what it leaves open is ended."""
        failed = False
        try:
            await app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass  # the peer has left, and the application had nothing more to do
        except asyncio.CancelledError:
            self._wire.drop()
            raise
        except Exception:
            log.exception("the application failed")
            failed = True
        self._wind_up(failed)

    def _wind_up(self, failed: bool) -> None:
        if self._over is not None or self._stage is Stage.DONE:
            return
        if self._stage is Stage.ASKED:
            self._deny(denial(HTTPStatus.INTERNAL_SERVER_ERROR, (), b"Internal Server Error"))
        elif self._stage is Stage.OPEN and failed:
            self._wire.fail(frames.INTERNAL_ERROR)
        else:
            self._wire.drop()

    def news(self) -> None:
        """There is something to receive."""
        self._news.set()

    def disconnected(self, code: int, reason: str = "") -> None:
        """The connection is ending; the first reason told stands."""
        if self._over is None:
            self._over = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._news.set()

    # What the application calls ------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """`websocket.connect`, then messages, then `websocket.disconnect` for ever."""
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        while True:
            message = self._lane.take()
            if message is not None:
                self._wire.read_on()
                return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}
            if self._over is not None:
                return self._over
            self._news.clear()
            await self._news.wait()

    async def send(self, message: dict[str, Any]) -> None:
        """Take one message of the application.

        Raises:
            ClientDisconnected: (an OSError) the connection is ending, or gone.
            RuntimeError: the message is out of turn.
        """
        if self._stage is Stage.DONE:
            raise RuntimeError(f"{message['type']!r} after the last word")
        await self._wire.writable()
        if self._over is not None:
            raise ClientDisconnected
        match self._stage, message["type"]:
            case Stage.OPEN, "websocket.send":
                self._send(message)
            case Stage.OPEN, "websocket.close":
                self._stage = Stage.DONE
                self._wire.close(message.get("code") or 1000, message.get("reason") or "")
            case Stage.ASKED, "websocket.accept":
                self._stage = Stage.OPEN
                self._wire.accept(message.get("headers") or (), message.get("subprotocol"))
            case Stage.ASKED, "websocket.close":
                self._deny(denial(HTTPStatus.FORBIDDEN, (), b""))
            case Stage.ASKED, "websocket.http.response.start":
                self._status, self._headers = message["status"], message.get("headers") or ()
                self._stage = Stage.ANSWERING
            case Stage.ANSWERING, "websocket.http.response.body":
                self._body += message.get("body") or b""
                if not message.get("more_body", False):
                    self._deny(denial(self._status, self._headers, self._body))
            case stage, kind:
                raise RuntimeError(f"{kind!r} is not expected when {stage.name.lower()}")

    def _send(self, message: dict[str, Any]) -> None:
        data: bytes | None = message.get("bytes")
        if data is not None:
            self._wire.send(frames.BINARY, data)
        else:
            self._wire.send(frames.TEXT, message["text"].encode())

    def _deny(self, response: Response) -> None:
        self._stage = Stage.DONE
        self._wire.deny(response)
