"""One connection to a server, and one call on it at a time (RFC 9112); llhttp parses what comes back.

Nothing is followed, decoded, kept of cookies or read out of the environment. What an answer may cost is
bounded: its head, its body, and the pieces that it comes in.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import httptools

MAX_HEAD: Final = 16_384
"""Bytes of status line and header fields, those of interim answers included."""
MAX_FIELDS: Final = 128
"""Header and trailer fields."""
MAX_PIECES: Final = 4_096
"""Small pieces of a body, such as chunks: one byte at a time it would hold up the event loop."""
SMALL: Final = 512
"""Bytes of a piece below which it is small; networks deliver larger ones, as many as a body has."""
MAX_FRAMING: Final = 524_288
"""Bytes behind the head that are no body: sizes of chunks and what stands beside them, trailer fields."""

Part: TypeAlias = bytes | memoryview
Admit: TypeAlias = Callable[[int, Mapping[bytes, bytes]], int]
"""Looks at a status and header fields (names in lower case) before the body is read, and says how many bytes
of body it may have, or raises what the call is to raise."""


class NotHttp(Exception):
    """What came is not HTTP, or in more or smaller pieces than anybody needs."""


class TooLarge(Exception):
    """The body is larger than was admitted."""


class Lost(Exception):
    """The connection was lost before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[bytes, bytes]
    """By name in lower case; of a repeated field the last counts."""
    pieces: Sequence[bytes]
    """The body, as it came: to join many megabytes takes as many milliseconds."""

    @property
    def body(self) -> bytes:
        """The whole of it."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


class Connection(asyncio.Protocol):
    """To be made by an event loop, like any protocol.

    Args:
        ended: called once when the connection is no more.
    """

    def __init__(self, ended: Callable[["Connection"], None]) -> None:
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._reusable = True
        self._sent = True
        self._admit: Admit | None = None
        self._parser: Any = None
        self._headed = self._interim = False
        self._headers: dict[bytes, bytes] = {}

    @property
    def reusable(self) -> bool:
        """Whether another call may be made on it."""
        return self._reusable and self._transport is not None and not self._transport.is_closing()

    def _asker(self) -> "asyncio.Future[Response] | None":
        """Who waits for an answer and has none yet."""
        waiter = self._waiter
        return waiter if waiter is not None and not waiter.done() else None

    async def exchange(self, pieces: Sequence[Sequence[Part]], admit: Admit) -> Response:
        """Send a request, and wait for the answer to it.

        Args:
            pieces: the whole request; a piece is written at once, and the next one waits until there is room
                in the socket.

        Raises:
            NotHttp, TooLarge, Lost: and whatever `admit` raises. The connection is over then, as it is when
                the call is cancelled.
        """
        assert self._waiter is None
        if not self.reusable:
            raise Lost
        self._expect(admit)
        waiter: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        try:
            await self._send(pieces, waiter)
            return await waiter
        except BaseException:
            self.abort()
            raise
        finally:
            self._waiter = None

    def abort(self) -> None:
        """End it at once; a call under way fails."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    # The request ---------------------------------------------------------------------------------------

    async def _send(self, pieces: Sequence[Sequence[Part]], waiter: "asyncio.Future[Response]") -> None:
        transport = self._transport
        assert transport is not None
        self._sent = False
        for piece in pieces:
            if self._drained is not None:
                # Released as well by an answer, or an end, that comes before everything is said.
                await self._drained
            if waiter.done():
                return
            transport.writelines(piece)
        self._sent = True

    def pause_writing(self) -> None:
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # The answer ----------------------------------------------------------------------------------------

    def _expect(self, admit: Admit) -> None:
        self._admit = admit
        self._parser = httptools.HttpResponseParser(self)
        self._head_left = MAX_HEAD
        self._fields_left = MAX_FIELDS
        self._headed = self._interim = False
        self._headers = {}
        self._status = 0
        self._body: list[bytes] = []
        self._body_left = 0
        self._small_left = MAX_PIECES
        self._framing_left = MAX_FRAMING

    def data_received(self, data: bytes) -> None:
        if self._asker() is None:
            self.abort()  # nobody asked
            return
        while not self._headed and data:
            head, data = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(head)
            self._parse(head)
            if not self._headed and not self._head_left:
                self._fail(NotHttp("the head of the answer is too large"))
            if self._asker() is None:
                self._reusable = self._reusable and not data
                return
        if data:
            self._framing_left -= len(data)  # what of it is body is given back
            self._parse(data)
            if self._framing_left < 0:
                self._fail(NotHttp("the answer has too much around its body"))

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp("the answer is not HTTP"))

    def on_message_begin(self) -> None:
        if self._asker() is None:
            self._reusable = False  # an answer that nobody asked for stands behind this one

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            self._fail(NotHttp("the answer has too many header fields"))
        elif not self._headed:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._asker() is None:
            return
        self._status = self._parser.get_status_code()
        self._interim = 100 <= self._status < 200
        if self._interim:
            self._headers = {}
            return
        self._headed = True
        assert self._admit is not None
        try:
            self._body_left = self._admit(self._status, self._headers)
            length = self._headers.get(b"content-length", b"0")
            if int(length) > self._body_left:
                raise TooLarge
        except Exception as error:
            self._fail(error)

    def on_body(self, piece: bytes) -> None:
        if self._asker() is None:
            return
        self._body_left -= len(piece)
        self._framing_left += len(piece)
        if len(piece) < SMALL:
            self._small_left -= 1
        if self._body_left < 0:
            self._fail(TooLarge())
        elif self._small_left < 0:
            self._fail(NotHttp("the answer comes in too many pieces"))
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        self._reusable = self._reusable and self._sent and self._parser.should_keep_alive()
        self._complete()

    def _complete(self) -> None:
        asker = self._asker()
        if asker is not None:
            asker.set_result(Response(self._status, self._headers, self._body))
        self.resume_writing()

    def _fail(self, error: Exception) -> None:
        self._reusable = False
        asker = self._asker()
        if asker is not None:
            asker.set_exception(error)
        self.resume_writing()

    # The connection ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by type

    def connection_lost(self, exc: Exception | None) -> None:
        self._reusable = False
        if exc is None and self._until_end():
            self._complete()
        self._fail(Lost())
        self._parser = self._admit = None  # or each connection would be garbage that only a collection finds
        self._ended(self)

    def _until_end(self) -> bool:
        """Whether the body is whole when the connection ends (RFC 9112 section 6.3)."""
        told = self._headers.keys()
        return self._headed and b"content-length" not in told and b"transfer-encoding" not in told
