"""One WebSocket to a gateway: opened up to its `welcome`, read, written, watched, and cut or closed.

The only file besides `client` that knows the `websockets` library; its exceptions end here.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from protocol.address import address_of, is_loopback
from protocol.close import NO_CLOSE_FRAME, CloseCode
from protocol.codec import MAX_MESSAGE_BYTES
from protocol.connection import ClientConnection as Connection
from protocol.control import ControlMessage
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Error, Event, UnknownEvent, Welcome
from protocol.failures import ConnectFailed
from protocol.version import PROTOCOL, TICKET_PREFIX

LAST_WORD_S = 1.0
"""Seconds granted to a server that refused, to close with its code."""
CLOSE_S = 3.0
"""Seconds granted to the closing handshake before the socket is cut."""
MIN_HEARTBEAT_S = 0.1
MAX_HEARTBEAT_S = 60.0

_VIOLATIONS = frozenset({1002, 1003, 1007, 1009})
"""Close codes (RFC 6455 section 7.4.1) with which our side tells a server that it broke the rules."""


class LinkClosed(Exception):
    """The socket is closed or lost; `connection.close_code` has the code."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open a link."""

    url: str
    query: Mapping[str, str]
    ticket: str | None = None
    """Offered as a subprotocol, never put into the URL."""
    bearer: str | None = None
    """Sent as `Authorization`."""
    timeout_s: float = 10.0
    """Seconds for the handshake and `welcome`."""


class _Socket(ClientConnection):
    """One that knows when its peer was last heard, be it by a pong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)


class Link:
    """An open one; made by `open_link`."""

    def __init__(self, socket: _Socket, connection: Connection) -> None:
        self._socket = socket
        self._listening = True
        self.connection = connection
        self.closed = False
        """Whether writing has found it closed."""

    @property
    def welcome(self) -> Welcome:
        """The server's first event."""
        assert self.connection.welcome is not None, "a link is open only after welcome"
        return self.connection.welcome

    async def receive(self) -> Event | UnknownEvent | None:
        """The next event; None for a durable event seen before.

        Raises:
            LinkClosed: none comes any more.
            ProtocolError: the server broke the protocol.
        """
        if not self._listening:  # what it said while nobody read could not be heard
            self._socket.heard_at = asyncio.get_running_loop().time()
        self._listening = True
        try:
            return self.connection.receive(await self._socket.recv())
        except ConnectionClosed as closed:
            raise self._closed(closed) from None
        finally:
            self._listening = False

    async def send(self, message: bytes | ControlMessage) -> None:
        """Write audio or a control message; waits while the network is slow.

        Raises:
            LinkClosed: the socket is closed.
            StateError: the connection is past such messages.
        """
        connection = self.connection
        data = connection.audio(message) if isinstance(message, bytes) else connection.send(message)
        try:
            await self._socket.send(data)
        except ConnectionClosed:
            self.closed = True
            raise LinkClosed from None  # the reader finds out why

    async def watch(self) -> None:
        """Cut the socket once its peer has been silent for two heartbeats, half of it in spite of a ping."""
        loop = asyncio.get_running_loop()
        beat_s = min(max(self.welcome.heartbeat_s, MIN_HEARTBEAT_S), MAX_HEARTBEAT_S)
        while True:
            silent_s = loop.time() - self._socket.heard_at if self._listening else 0.0
            if silent_s >= 2 * beat_s:
                self.cut()
                return
            if silent_s >= beat_s:
                with suppress(TimeoutError, ConnectionClosed):
                    async with asyncio.timeout(beat_s / 4):  # a dead link takes no ping either
                        await self._socket.ping()
            await asyncio.sleep(beat_s / 4 if silent_s >= beat_s else beat_s - silent_s)

    def cut(self) -> None:
        """Cut the socket hard, without a word."""
        self._socket.transport.abort()

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """The closing handshake, within CLOSE_S."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discard())
            group.create_task(self._socket.close(code))

    async def _discard(self) -> None:
        """Unread messages would hide the server's close frame behind them."""
        with suppress(ConnectionClosed):
            while True:
                await self._socket.recv()

    def _closed(self, closed: ConnectionClosed) -> Exception:
        if closed.rcvd is not None:
            self.connection.closed(closed.rcvd.code, closed.rcvd.reason)
        elif closed.sent is not None and closed.sent.code in _VIOLATIONS:
            reason = closed.sent.reason or "the server broke the WebSocket protocol"
            return ProtocolError(ErrorCode.MALFORMED_MESSAGE, reason, fatal=True)
        else:
            self.connection.closed(NO_CLOSE_FRAME, "lost without a close frame")
        return LinkClosed()


async def open_link(opening: Opening, connection: Connection) -> Link:
    """Open a socket and wait for its `welcome`.

    Raises:
        ConnectFailed: it came to nothing; no socket is left.
    """
    try:
        async with asyncio.timeout(opening.timeout_s):
            socket = await _socket(opening, connection)
            try:
                await _welcome(socket, connection)
            except BaseException:
                socket.transport.abort()
                raise
    except TimeoutError:
        raise ConnectFailed(f"no answer within {opening.timeout_s:g} s") from None
    return Link(socket, connection)


async def _welcome(socket: _Socket, connection: Connection) -> None:
    try:
        event = connection.receive(await socket.recv())
    except ConnectionClosed as closed:
        code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (NO_CLOSE_FRAME, "")
        connection.closed(code, reason)
        raise ConnectFailed(reason or "closed before welcome", code=code) from None
    except ProtocolError as broken:
        raise ConnectFailed(f"not an Undertone server: {broken}", foreign=True) from None
    if isinstance(event, Error):
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await socket.wait_closed()
        raise ConnectFailed(event.message, code=socket.close_code, error=event)


async def _socket(opening: Opening, connection: Connection) -> _Socket:
    offered = [f"{PROTOCOL}.{connection.encoding}"]
    offered += [TICKET_PREFIX + opening.ticket] if opening.ticket else []
    try:
        address = address_of(opening.url, opening.query)
        socket = await open_socket(
            address,
            subprotocols=[Subprotocol(one) for one in offered],
            additional_headers={"Authorization": f"Bearer {opening.bearer}"} if opening.bearer else None,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=None,
            ping_interval=None,  # `watch` does this
            close_timeout=CLOSE_S,
            proxy=None if is_loopback(address) else True,
            create_connection=_Socket,
        )
    except InvalidStatus as refused:
        raise _refusal(refused) from None
    except (InvalidURI, ValueError) as bad:
        raise ConnectFailed(f"not a WebSocket address: {bad}", foreign=True) from None
    except (WebSocketException, OSError) as failed:
        # Who hangs up before answering may be a gateway that is going away; who says something else is none.
        foreign = isinstance(failed, InvalidHandshake) and not isinstance(
            failed.__cause__, EOFError | OSError
        )
        raise ConnectFailed(str(failed) or type(failed).__name__, foreign=foreign) from None
    assert isinstance(socket, _Socket)
    return socket


def _refusal(refused: InvalidStatus) -> ConnectFailed:
    response = refused.response
    reason = _problem(response.body) or f"HTTP {response.status_code}"
    return ConnectFailed(reason, response.status_code, retry_after_s=_retry_after(response.headers))


def _retry_after(headers: Headers) -> float | None:
    """`Retry-After` in seconds; the form with a date is not worth a clock of its own."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() and len(text) <= 6 else None


def _problem(body: bytes | bytearray) -> str | None:
    """What a problem document (RFC 9457) says for people."""
    try:
        problem = orjson.loads(body)
    except ValueError:
        return None
    detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return detail if isinstance(detail, str) else None
