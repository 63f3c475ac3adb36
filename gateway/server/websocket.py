"""How a WebSocket's bytes reach the application under uvicorn, and the application's the peer.

A connection comes here from `gateway.server.http` with its request to upgrade parsed, and goes through the
phases below. Whatever way it takes, it ends in bounded time: each phase but the first and `OPEN` has a
deadline after which the transport is aborted, and in `OPEN` the keepalive watches.

    ASKED ──accept──► OPEN ──app closes──► CLOSING ──peer closes──► LEAVING ──► LOST
      └──refusal, 403──┬──┴──peer closes, violation──────────────────▲
                       └─────────────────────────────────────────────┘
"""

import asyncio
import enum
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.frames import Close
from websockets.http11 import Response

from gateway.server import frames
from gateway.server.asgi import NO_CLOSE_FRAME, AsgiSide
from gateway.server.facts import Cutoff, observer_of
from gateway.server.handshake import RawHeaders, accepted, denial, judge, websocket_scope
from gateway.server.keepalive import Keepalive
from gateway.server.lane import Lane
from gateway.server.parser import RECEIVED, Violation

CLOSE_S = 5.0
"""Seconds a peer has to answer the application's close frame, and to read what came before it."""
LEAVE_S = 2.0
"""Seconds a peer has to end its side once everything is said."""
FLOOD_S = 0.5
"""Seconds the application has to tell a flooder why, and the flooder to read it."""

LEAVE_BYTES = 1024 * 1024
"""What may still come from such a peer, to be discarded."""
STOPPING_RETRY_S = 1
"""What a peer is told that asks while the server stops; its next request meets another one."""

NO_STATUS = 1005
"""What is told of a close frame without a code (RFC 6455 section 7.1.5); never on the wire."""


class Phase(enum.Enum):
    """Where a connection stands."""

    ASKED = enum.auto()
    """The application has the request and hasn't answered. Nothing is read."""
    OPEN = enum.auto()
    """Messages go both ways."""
    CLOSING = enum.auto()
    """The application's close frame is out; the peer's is to come."""
    LEAVING = enum.auto()
    """All is said, and the peer knows: our side of the connection is shut. What comes is discarded, but read,
    or the kernel would answer it with a reset that can take our last words away from the peer."""
    LOST = enum.auto()
    """There is no connection any more."""


class WebSocketProtocol(asyncio.BufferedProtocol):
    """One WebSocket connection, made by `gateway.server.http.HttpProtocol` with uvicorn's arguments."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._observe = observer_of(config)
        self._transport: asyncio.Transport
        self._phase = Phase.ASKED
        self._lane = Lane(self, config.ws_max_size, self._loop.time)
        self._asgi: AsgiSide
        self._offer: Response
        self._early = b""
        self._keepalive: Keepalive | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._clogged: asyncio.Event | None = None
        self._unanswered: bytes | None = None
        self._reading = False
        self._to_discard = LEAVE_BYTES

    def begin(self, transport: asyncio.Transport, request: dict[str, Any], early: bytes) -> None:
        """Take a connection over.

        Args:
            transport: with its reading paused, and this protocol set.
            request: the request to upgrade, as an ASGI scope of type `http`.
            early: what the peer sent behind it already.
        """
        self._transport = transport
        self._server.connections.add(self)  # type: ignore[arg-type]  # a set of uvicorn's own classes
        self._offer = judge(request)
        self._early = early
        self._asgi = AsgiSide(self, self._lane)
        if self._offer.status_code != 101:
            self.deny(self._offer)
            return
        scope = websocket_scope(request, self._lane)
        task = self._loop.create_task(self._asgi.run(self._config.loaded_app, scope))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    # What the application wants ------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where the connection stands."""
        return self._phase

    def accept(self, headers: RawHeaders, subprotocol: str | None) -> None:
        """Open the WebSocket."""
        extra = [*self._server.default_headers, *headers]
        self._write(accepted(self._offer, extra, subprotocol))
        self._phase = Phase.OPEN
        self._lane.start()
        config = self._config
        if config.ws_ping_interval:
            self._keepalive = Keepalive(
                self._loop, config.ws_ping_interval, config.ws_ping_timeout, self._ping, self._silent
            )
            self._keepalive.start()
        self._feed_early()
        self._resume_reading()

    def deny(self, response: Response) -> None:
        """Answer with `response` in place of a WebSocket."""
        self._write(response.serialize())
        self._asgi.disconnected(NO_CLOSE_FRAME)
        self._leave()

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one message."""
        self._transport.write(frames.encode(opcode, payload))

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, which the peer has `CLOSE_S` to finish."""
        self._write(frames.encode_close(code, reason))
        self._phase = Phase.CLOSING
        self._lane.deafen()
        self._stop_keepalive()
        self._asgi.disconnected(code, reason)
        self._resume_reading()
        self._abort_in(CLOSE_S, Cutoff.UNCLOSED)

    def fail(self, code: int, reason: str = "") -> None:
        """Say a last word and leave (RFC 6455 section 7.1.7)."""
        if self._phase is Phase.OPEN:
            self._write(frames.encode_close(code, reason))
        self._asgi.disconnected(code, reason)
        self._leave()

    def drop(self) -> None:
        """Abort the connection; nothing more reaches the peer."""
        self._observe(Cutoff.DROPPED)
        self._transport.abort()

    async def writable(self) -> None:
        """Until the peer has read enough of what was sent.

        Raises:
            ClientDisconnected: the connection is gone.
        """
        while self._clogged is not None:
            await self._clogged.wait()
        if self._phase is Phase.LOST:
            raise ClientDisconnected

    def read_on(self) -> None:
        """The application has taken a message."""
        if not self._reading and not self._lane.is_full() and self._phase is Phase.OPEN:
            self._resume_reading()

    # What the lane tells -------------------------------------------------------------------------------

    def held(self) -> None:
        """A message waits for the application; where many do, the peer waits too."""
        self._asgi.news()
        if self._lane.is_full():
            self._pause_reading()

    def pinged(self, payload: bytes) -> None:
        """Answer; a peer that doesn't read gets one answer in the end, to its latest ping (section 5.5.3)."""
        if self._phase not in (Phase.OPEN, Phase.CLOSING):
            return
        if self._clogged is None:
            self._write(frames.encode(frames.PONG, payload))
        else:
            self._unanswered = payload

    def ponged(self, payload: bytes) -> None:
        """The peer is alive."""
        if self._keepalive is not None:
            self._keepalive.ponged(payload)

    def closed(self, close: Close) -> None:
        """The peer closes, or has answered our close frame."""
        if self._phase is Phase.OPEN:
            self._write(frames.encode_close(None if close.code == NO_STATUS else close.code, close.reason))
            self._asgi.disconnected(close.code, close.reason)
        self._leave()

    def violated(self, violation: Violation) -> None:
        """The peer broke the protocol."""
        self._observe(Cutoff.VIOLATION)
        self.fail(violation.code, violation.reason)

    def failed(self) -> None:
        """The application could not take a message."""
        self.fail(frames.INTERNAL_ERROR)

    def flooded(self, detail: str, *, tellable: bool) -> None:
        """The peer sends too much: it isn't read any more, and in `FLOOD_S` it is gone."""
        self._observe(Cutoff.FLOOD)
        self._pause_reading()
        self._to_discard = 0
        if not tellable and self._phase is Phase.OPEN:
            self.close(frames.POLICY_VIOLATION, detail)
        self._abort_in(FLOOD_S, None)

    def aborted(self) -> None:
        """The application wants the connection gone."""
        self.drop()

    @property
    def clogged(self) -> bool:
        """Whether the peer doesn't read as fast as is written."""
        return self._clogged is not None

    def said(self, messages: Sequence[bytes | str]) -> None:
        """The application sends these messages, past ASGI: one write for all of them."""
        if self._phase is Phase.OPEN:
            self._write(b"".join(map(frames.message, messages)))

    # What the event loop calls -------------------------------------------------------------------------

    def get_buffer(self, _: int) -> memoryview:
        """Where the next bytes go, as few as a parser should see at once."""
        return RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` came."""
        if not self._lane.feed(nbytes):
            self._to_discard -= nbytes
            if self._to_discard <= 0:
                self._pause_reading()

    def eof_received(self) -> None:
        """The peer has shut its side; with that the transport closes itself, once all is written."""
        self._abort_in(LEAVE_S, Cutoff.UNCLOSED)

    def pause_writing(self) -> None:
        """The peer doesn't read as fast as is written."""
        self._clogged = asyncio.Event()

    def resume_writing(self) -> None:
        """It has read enough."""
        if self._clogged is not None:
            self._clogged.set()
            self._clogged = None
            self._lane.unclogged()
        payload, self._unanswered = self._unanswered, None
        if payload is not None:
            self.pinged(payload)

    def connection_lost(self, _: Exception | None) -> None:
        """The end."""
        self._phase = Phase.LOST
        self._server.connections.discard(self)
        self._lane.gone()
        self._stop_keepalive()
        if self._deadline is not None:
            self._deadline.cancel()
        self._asgi.disconnected(NO_CLOSE_FRAME)
        self._unanswered = None
        self.resume_writing()  # nobody else will wake up who waits for that
        # What referred to one another lets go: connections come and go too fast to wait for the collector.
        self._deadline = self._keepalive = None
        del self._asgi

    def shutdown(self) -> None:
        """The server stops; called by uvicorn for each connection that is left."""
        if self._phase is Phase.ASKED:
            headers = [(b"Retry-After", str(STOPPING_RETRY_S).encode())]
            self.deny(denial(HTTPStatus.SERVICE_UNAVAILABLE, headers, b"The server is stopping.\n"))
        elif self._phase is Phase.OPEN:
            self.fail(frames.SERVICE_RESTART)

    def abort(self) -> None:
        """End it now; the server stops, and this peer has had its time."""
        self._transport.abort()

    # Steps ---------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _leave(self) -> None:
        """Shut our side, and wait for the peer to shut its own."""
        if self._phase in (Phase.LEAVING, Phase.LOST):
            return
        self._phase = Phase.LEAVING
        self._lane.stop()
        self._stop_keepalive()
        self._abort_in(LEAVE_S, Cutoff.UNCLOSED)
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._resume_reading()
        else:
            self._transport.close()  # TLS says goodbye by itself

    def _feed_early(self) -> None:
        early, self._early = memoryview(self._early), b""
        while early and not self._lane.stopped:
            fits = min(len(RECEIVED), len(early))
            RECEIVED[:fits] = early[:fits]
            self._lane.feed(fits)
            early = early[fits:]

    def _resume_reading(self) -> None:
        if not self._reading and self._to_discard > 0 and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _ping(self, payload: bytes) -> None:
        self._write(frames.encode(frames.PING, payload))

    def _silent(self) -> None:
        """No pong came: the peer is gone, or reads nothing. (Nobody can tell while it isn't read itself.)"""
        if self._reading or self._keepalive is None:
            self._observe(Cutoff.SILENT)
            self._transport.abort()
        else:
            self._keepalive.start()

    def _stop_keepalive(self) -> None:
        if self._keepalive is not None:
            self._keepalive.stop()

    def _abort_in(self, seconds: float, fact: Cutoff | None) -> None:
        """Abort, unless the connection has ended by then; of several deadlines the earliest holds."""
        if self._phase is Phase.LOST:
            return
        if self._deadline is not None:
            if self._deadline.when() <= self._loop.time() + seconds:
                return
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._too_late, fact)

    def _too_late(self, fact: Cutoff | None) -> None:
        if fact is not None:
            self._observe(fact)
        self._transport.abort()
