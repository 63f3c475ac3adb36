"""HTTP requests under uvicorn, from peers that may be hostile: deadlines, and a bound on their heads.

uvicorn's h11 protocol waits for ever for a request (2,000 silent sockets are 2,000 descriptors), bounds only
heads that come in pieces and no body, writes a warning for each malformed one, and loses what a client sends
right behind its request to upgrade.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gateway.hangup import EXTENSION
from gateway.server.facts import Cutoff, observer_of
from gateway.server.websocket import WebSocketProtocol

HEAD_S = 5.0
"""Seconds from a connection's beginning, or from a later request's first byte, to the end of its head."""
BODY_S = 10.0
"""Seconds from there to the end of its body; the largest one that the gateway takes has some KiB."""
LEAVE_S = 2.0
"""Seconds a refused peer has to read why."""
MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 64
"""Bounds of a request's head; a browser's has about 20 headers and 1 KiB."""
MAX_BODY_BYTES = 64 * 1024
"""What of a body is read at all; the application refuses less than that, and says why."""
MAX_BODY_PIECES = 128
"""Chunks or segments that it may come in: each takes h11 some 25 µs, and 256 KiB come in at once."""
LEAVE_BYTES = 1024 * 1024
"""What may still come from a refused peer, to be discarded."""


_CODES = {
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head_too_large",
}
"""Problem codes (RFC 9457) of what never reaches the application."""


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """What of a request's body is read at all."""

    max_bytes: int = MAX_BODY_BYTES
    max_pieces: int = MAX_BODY_PIECES
    """Chunks or segments, however small."""
    bytes_a_piece: int | None = None
    """Where bodies are large: each so many bytes that have come allow one piece more."""

    def exceeded(self, nbytes: int, pieces: int) -> bool:
        """Whether `nbytes` in `pieces` are too much."""
        more = nbytes // self.bytes_a_piece if self.bytes_a_piece else 0
        return nbytes > self.max_bytes or pieces > self.max_pieces + more


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with guards. Upgrades go to `gateway.server.websocket`."""

    bounds = BodyBounds()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = self._guarded = _Guarded(self._progress, self._refuse, self.bounds)
        self._observe = observer_of(config)
        self._deadline: asyncio.TimerHandle | None = None
        self._deaf = False
        self._to_discard = LEAVE_BYTES

    # What the event loop calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A silent peer has until the deadline, too."""
        super().connection_made(transport)
        self._due(HEAD_S, self._late, Cutoff.HEAD_LATE)

    def data_received(self, data: bytes) -> None:
        """Some bytes of requests."""
        if self._deaf:
            self._discard(len(data))
            return
        super().data_received(data)
        # The next request on a connection that is kept alive begins with its first byte.
        if not self._deaf and self._deadline is None and self.conn.their_state is h11.IDLE:
            self._due(HEAD_S, self._late, Cutoff.HEAD_LATE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._done()
        super().connection_lost(exc)
        self._let_go()

    @property
    def is_answering(self) -> bool:
        """Whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def abort(self) -> None:
        """End it now, whatever is under way."""
        self.transport.abort()

    def hang_up(self) -> None:
        """The application gives up its answer; a peer that has stopped reading has no say in that."""
        self._observe(Cutoff.DROPPED)
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.transport.abort()

    # What uvicorn calls --------------------------------------------------------------------------------

    def handle_events(self) -> None:
        """What came; the application, which runs only later, finds in its scope how to hang up."""
        super().handle_events()
        if self.cycle is not None:
            extensions: dict[str, Any] = {EXTENSION: self.hang_up}
            self.cycle.scope["extensions"] = extensions

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, with all that came behind the request."""
        self._done()
        self._deaf = True
        self.connections.discard(self)
        early, _ = self.conn.trailing_data
        # uvloop looks at how a protocol wants its bytes only when it begins to read.
        self.transport.pause_reading()
        protocol = WebSocketProtocol(self.config, self.server_state, self.app_state, self.loop)
        self.transport.set_protocol(protocol)
        protocol.begin(self.transport, dict(self.scope), early)
        self._let_go()

    def _unsupported_upgrade_warning(self) -> None:
        """Not worth a line: the request is answered as if it had not asked."""

    # Guards --------------------------------------------------------------------------------------------

    def _progress(self, event: object) -> None:
        """h11 found the next part of a request."""
        if isinstance(event, h11.Request):
            self._due(BODY_S, self._late, Cutoff.BODY_LATE)
        elif isinstance(event, h11.EndOfMessage):
            self._done()

    def _late(self, fact: Cutoff) -> None:
        self._observe(fact)
        if fact is Cutoff.HEAD_LATE and self.conn.trailing_data[0] == b"":
            self._deaf = True
            self.transport.abort()  # it has said nothing: there is nothing to answer
        else:
            self._leave(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")

    def _refuse(self, status: int, told: str) -> None:
        self._observe(Cutoff.REQUEST)
        self._leave(status, told)

    def _leave(self, status: int, told: str) -> None:
        """Say why, where nothing was said yet, and end; what still comes is discarded for a moment, or the
        kernel would answer it with a reset that can take the answer away from the peer."""
        self._deaf = True
        self._unset_keepalive_if_required()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._due(LEAVE_S, self.transport.abort)
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self._answer(status, told))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _discard(self, nbytes: int) -> None:
        self._to_discard -= nbytes
        if self._to_discard <= 0:
            self.flow.pause_reading()

    def _answer(self, status: int, told: str) -> bytes:
        phrase = HTTPStatus(status).phrase
        code = _CODES.get(HTTPStatus(status), "malformed_request")
        problem = {"type": "about:blank", "title": phrase, "status": status, "code": code, "detail": told}
        body = orjson.dumps(problem)
        headers = [
            ("content-type", "application/problem+json"),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            ("connection", "close"),
        ]
        events = (
            h11.Response(status_code=status, headers=headers, reason=phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        return b"".join(self.conn.send(event) or b"" for event in events)

    def _due(self, seconds: float, callback: Callable[..., None], *arguments: object) -> None:
        self._done()
        self._deadline = self.loop.call_later(seconds, callback, *arguments)

    def _let_go(self) -> None:
        """What referred to one another lets go, and needs no garbage collector."""
        self._guarded.let_go()
        if self.cycle is not None:
            self.cycle.scope.pop("extensions", None)
        self.cycle = None  # type: ignore[assignment]  # as uvicorn has it before the first request

    def _done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Guarded(h11.Connection):
    """h11's connection, which tells of its progress, and of errors instead of raising them."""

    def __init__(
        self, progress: Callable[[object], None], refuse: Callable[[int, str], None], bounds: BodyBounds
    ) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._bounds = bounds
        self._tell = progress
        self._refuse = refuse
        self._body_bytes = self._body_pieces = 0

    def next_event(self) -> Any:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, "the request is not HTTP/1.1, or too large")
            error.with_traceback(None)  # its frames hold it, and this connection
            return h11.NEED_DATA
        if isinstance(event, h11.Request) and _of_two_lengths(event):
            self._refuse(HTTPStatus.BAD_REQUEST, "the request has a length and is chunked, too")
            return h11.NEED_DATA
        if isinstance(event, h11.Request) and _too_large(event):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")
            return h11.NEED_DATA
        if isinstance(event, h11.Data) and self._too_much(event):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request's body is too large")
            return h11.NEED_DATA
        self._tell(event)
        return event

    def _too_much(self, piece: h11.Data) -> bool:
        self._body_bytes += len(piece.data)
        self._body_pieces += 1
        return self._bounds.exceeded(self._body_bytes, self._body_pieces)

    def let_go(self) -> None:
        """There is nobody to tell any more."""
        self._tell = self._refuse = _nobody

    def start_next_cycle(self) -> None:
        super().start_next_cycle()
        self._body_bytes = self._body_pieces = 0


def _nobody(*_: object) -> None:
    """Is told what no connection hears."""


def _of_two_lengths(request: h11.Request) -> bool:
    """Whoever stands before us may have believed the other one (RFC 9112 section 6.1): request smuggling."""
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}


def _too_large(request: h11.Request) -> bool:
    """h11 bounds only what it has to wait for; a head that came in one piece is measured here."""
    fields = request.headers.raw_items()
    size = (
        len(request.method) + len(request.target) + sum(len(name) + len(value) + 4 for name, value in fields)
    )
    return len(fields) > MAX_HEADERS or size > MAX_HEAD_BYTES
