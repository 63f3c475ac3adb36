"""An asyncio client: connect, send audio, iterate events, end.

One `Client` drives one socket (`ClientConnection`); a session that outlives its socket is resumed by
connecting again with `session_id`, `epoch` and `after`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

import orjson
from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from protocol.address import address_of, is_loopback, query_of
from protocol.audio import AudioFormat
from protocol.close import NO_CLOSE_FRAME, CloseCode
from protocol.codec import MAX_MESSAGE_BYTES
from protocol.connection import ClientConnection
from protocol.control import Ack, Configure, ControlMessage, End, Flush, Ping, Position
from protocol.errors import ProtocolError
from protocol.events import Error, Event, Flow, Summary, UnknownEvent, Welcome
from protocol.states import ConnectionState
from protocol.version import PROTOCOL, TICKET_PREFIX, Encoding

MAX_UNREAD = 1_024
"""Events kept for the iterator. Full, the socket is left unread until some are taken; in the end the server
sees a slow reader and closes with 4101. After `end`, or once the connection is over, the bound is lifted:
what may still come is finite."""

_LAST_WORD_S = 1.0
"""Seconds granted to a server that refused, to close with its code."""
_CLOSE_S = 3.0
"""Seconds granted to the closing handshake before the socket is cut."""


class ClientError(Exception):
    """Base of what this client raises about its connection."""


class ConnectFailed(ClientError):
    """No session came about.

    Attributes:
        reason: one sentence for people.
        status: HTTP status, where the server answered with one.
        code: WebSocket close code, where the server accepted first and refused then.
        error: the server's `error` event, likewise.
    """

    def __init__(
        self, reason: str, status: int | None = None, *, code: int | None = None, error: Error | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code
        self.error = error


class ConnectionLost(ClientError):
    """The connection ended before the session did; `protocol.close.reconnect(code)` says what to do.

    Attributes:
        code: close code; 1006 where there was none.
        reason: the close frame's reason, or what broke.
        error_event: the last fatal `error` event, if one came.
    """

    def __init__(self, code: int, reason: str, error_event: Error | None) -> None:
        detail = error_event.message if error_event is not None else reason
        super().__init__(f"connection closed with {code}" + (f": {detail}" if detail else ""))
        self.code = code
        self.reason = reason
        self.error_event = error_event


class Client:
    """One live connection; made by `connect`. Iterate it for events; send from any task, one at a time."""

    def __init__(self, socket: Socket, connection: ClientConnection, audio: AudioFormat) -> None:
        self.connection = connection
        self.audio = audio
        self._socket = socket
        self._unread: deque[Event | UnknownEvent] = deque()
        self._changed = asyncio.Condition()
        self._error: Error | None = None
        self._summary: Summary | None = None
        self._unbounded = False
        self._done = False
        self._limit: int | None = None
        self._next_sample = 0
        self._dangling = 0

    @property
    def welcome(self) -> Welcome:
        """The server's first event."""
        assert self.connection.welcome is not None, "connect yields a client only after welcome"
        return self.connection.welcome

    @property
    def close_code(self) -> int | None:
        """None while open; 1006 where the connection was lost without a close frame."""
        return self.connection.close_code

    @property
    def close_reason(self) -> str:
        """As the server gave it."""
        return self.connection.close_reason

    @property
    def next_sample(self) -> int:
        """Index of the next sample to be sent."""
        return self._next_sample

    @property
    def credit(self) -> int | None:
        """Samples that may be sent now under lossless delivery; None without such a bound."""
        return None if self._limit is None else max(0, self._limit - self._next_sample)

    async def send(self, pcm: bytes) -> None:
        """Send PCM of any length, in messages the server takes; waits for credit under lossless delivery.

        Let another task iterate meanwhile: events that nobody takes stop the reading, and with it the credit.

        Raises:
            ConnectionLost: also where the connection ends while waiting.
            StateError: after `end`.
        """
        view = memoryview(pcm)
        piece = max(
            self.audio.bytes_per_sample, min(MAX_MESSAGE_BYTES, self.audio.bytes(self.audio.sample_rate))
        )
        for start in range(0, len(view), piece):
            part = bytes(view[start : start + piece])
            samples, dangling = divmod(self._dangling + len(part), self.audio.bytes_per_sample)
            await self._credit_for(samples)
            await self._check_open()
            await self._send(self.connection.audio(part))
            self._next_sample += samples
            self._dangling = dangling

    async def configure(self, **settings: Any) -> None:
        """Change settings (fields of `Configure`); the reply comes as a `Configured` event.

        Raises:
            ProtocolError: `invalid_field`; nothing was sent.
        """
        await self._control(Configure(**settings))

    async def flush(self, id: str | int | None = None) -> None:
        """Have the partial window classified now; `Flushed` with the same `id` comes after its events."""
        await self._control(Flush(id))

    async def ping(self, t: int | float | str | None = None) -> None:
        """Show life; `Pong` with the same `t` comes back as an event."""
        await self._control(Ping(t))

    async def ack(self, seq: int) -> None:
        """Tell the server that every event up to `seq` is processed."""
        await self._control(Ack(seq))

    async def position(self, sample: int) -> None:
        """Declare that the next byte sent has index `sample`."""
        await self._control(Position(sample))
        self._next_sample = sample
        self._dangling = 0

    async def end(self) -> Summary:
        """Say that no more audio comes, and wait for `summary`; events meanwhile stay for the iterator.

        Raises:
            ConnectionLost: before `summary` came.
        """
        await self._lift_bound()
        await self._control(End())
        async with self._changed:
            await self._changed.wait_for(lambda: self._summary is not None or self._done)
        if self._summary is None:
            raise self._lost()
        return self._summary

    async def __aiter__(self) -> AsyncIterator[Event | UnknownEvent]:
        """Events in the server's order, until the session ended (close 1000).

        Raises:
            ConnectionLost: after the last event, where the connection ended otherwise.
        """
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._unread or self._done)
                if not self._unread:
                    break
                event = self._unread.popleft()
                self._changed.notify_all()
            yield event
        if self.close_code != CloseCode.NORMAL:
            raise self._lost()

    async def _open(self) -> None:
        """Wait for `welcome`; raises ConnectFailed."""
        try:
            event = self.connection.receive(await self._socket.recv())
        except ConnectionClosed as closed:
            self._closed(closed)
            raise ConnectFailed(self.close_reason or "closed before welcome", code=self.close_code) from None
        except ProtocolError as broken:
            raise ConnectFailed(f"not an Undertone server: {broken}") from None
        if isinstance(event, Error):
            await self._last_word()
            raise ConnectFailed(event.message, code=self._socket.close_code, error=event)
        self._limit = self.welcome.limit
        self._next_sample = self.welcome.next_sample
        self.audio = self.welcome.audio

    async def _last_word(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_S):
                await self._socket.wait_closed()

    async def _run(self) -> None:
        """Take events off the socket until it closes; ends itself, and never raises about the peer."""
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._unbounded or len(self._unread) < MAX_UNREAD)
                event = self.connection.receive(await self._socket.recv())
                if event is not None:
                    await self._take(event)
        except ConnectionClosed as closed:
            self._closed(closed)
        except ProtocolError as broken:
            self.connection.closed(CloseCode.PROTOCOL_VIOLATION, str(broken))
            await self._socket.close(CloseCode.PROTOCOL_VIOLATION)
        await self._finish()

    async def _shut(self) -> None:
        """Close from this side, where the server hasn't, and let every waiter see it."""
        self.connection.closed(CloseCode.NORMAL, "closed by this side")
        await self._finish()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discard())
            group.create_task(self._socket.close())

    async def _discard(self) -> None:
        """Unread messages would hide the server's close frame behind them."""
        with suppress(ConnectionClosed):
            while True:
                await self._socket.recv()

    async def _finish(self) -> None:
        async with self._changed:
            self._done = True
            self._changed.notify_all()

    async def _lift_bound(self) -> None:
        async with self._changed:
            self._unbounded = True
            self._changed.notify_all()

    async def _take(self, event: Event | UnknownEvent) -> None:
        async with self._changed:
            if isinstance(event, Flow):
                self._limit = event.limit
            elif isinstance(event, Summary):
                self._summary = event
            elif isinstance(event, Error) and event.fatal:
                self._error = event
            self._unread.append(event)
            self._changed.notify_all()

    async def _credit_for(self, samples: int) -> None:
        if self._limit is None:
            return
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._done or self._limit is None or self._next_sample + samples <= self._limit
            )

    async def _control(self, message: ControlMessage) -> None:
        await self._check_open()
        await self._send(self.connection.send(message))

    async def _send(self, message: bytes | str) -> None:
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            await self._raise_lost()

    async def _check_open(self) -> None:
        if self._done or self.connection.state in (ConnectionState.CLOSING, ConnectionState.CLOSED):
            await self._raise_lost()

    async def _raise_lost(self) -> NoReturn:
        """The server's last word is said: wait until its close tells the code."""
        await self._lift_bound()
        async with self._changed:
            await self._changed.wait_for(lambda: self._done)
        raise self._lost()

    def _lost(self) -> ConnectionLost:
        code = NO_CLOSE_FRAME if self.close_code is None else self.close_code
        return ConnectionLost(code, self.close_reason, self._error)

    def _closed(self, closed: ConnectionClosed) -> None:
        if closed.rcvd is None:
            self.connection.closed(NO_CLOSE_FRAME, "lost without a close frame")
        else:
            self.connection.closed(closed.rcvd.code, closed.rcvd.reason)


@asynccontextmanager
async def connect(
    url: str,
    *,
    session_id: str | None = None,
    audio: AudioFormat | None = None,
    config: Mapping[str, Any] | None = None,
    encoding: Encoding = Encoding.MSGPACK,
    ticket: str | None = None,
    bearer: str | None = None,
    after: int | None = None,
    epoch: str | None = None,
    role: str | None = None,
    open_timeout: float = 10,
) -> AsyncIterator[Client]:
    """A connection to the gateway at `url`, closed on leaving.

    Args:
        url: `ws://host:port`, or with a path of its own; `http` and `https` are taken for `ws` and `wss`.
        session_id: an existing session; without it one is created with `audio` and `config`.
        audio: what will be sent; the session's own format wins where it exists.
        config: settings by name (`hop_ms`, `delivery`, …) of a session created on the spot.
        encoding: how events come.
        ticket: offered as a subprotocol, never put into the URL.
        bearer: sent as `Authorization`.
        after: the last durable event seen, to resume.
        epoch: as in the `welcome` before, to resume.
        role: `observer` to only read.
        open_timeout: seconds for the handshake and `welcome`.

    Raises:
        ConnectFailed: no session came about.
    """
    audio = audio or AudioFormat()
    query = query_of(session_id, audio, config or {}, {"after": after, "epoch": epoch, "role": role})
    connection = ClientConnection(encoding, epoch=epoch, last_seq=after or 0)
    try:
        async with asyncio.timeout(open_timeout):
            socket = await _socket(address_of(url, query), encoding, ticket, bearer)
            client = Client(socket, connection, audio)
            try:
                await client._open()
            except BaseException:
                socket.transport.abort()
                raise
    except TimeoutError:
        raise ConnectFailed(f"no answer within {open_timeout:g} s") from None
    reader = asyncio.create_task(client._run(), name="undertone-client-reader")
    try:
        yield client
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await client._shut()


async def _socket(address: str, encoding: Encoding, ticket: str | None, bearer: str | None) -> Socket:
    offered = [f"{PROTOCOL}.{encoding}"] + ([TICKET_PREFIX + ticket] if ticket else [])
    try:
        return await open_socket(
            address,
            subprotocols=[Subprotocol(one) for one in offered],
            additional_headers={"Authorization": f"Bearer {bearer}"} if bearer else None,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=None,
            close_timeout=_CLOSE_S,
            proxy=None if is_loopback(address) else True,
        )
    except InvalidStatus as refused:
        status = refused.response.status_code
        raise ConnectFailed(_problem(refused.response.body) or f"HTTP {status}", status) from None
    except (InvalidURI, ValueError) as bad:
        raise ConnectFailed(f"not a WebSocket address: {bad}") from None
    except (WebSocketException, OSError) as failed:
        raise ConnectFailed(str(failed) or type(failed).__name__) from None


def _problem(body: bytes | bytearray) -> str | None:
    """What a problem document (RFC 9457) says for people."""
    try:
        problem = orjson.loads(body)
    except ValueError:
        return None
    detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return detail if isinstance(detail, str) else None
