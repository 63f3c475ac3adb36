"""The connections to one server: opened when there is none to spare, kept for a while, closed in the end."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohappyeyeballs

from gateway.classify.http1.address import Address
from gateway.classify.http1.connection import Admit, Connection, Part, Response

CONNECT_S: Final = 1.0
"""A connection that takes longer counts as none, so that there is time for another try."""
KEPT_S: Final = 4.0
"""How long an idle connection is kept: less than the five seconds after which uvicorn closes it."""
HAPPY_EYEBALLS_S: Final = 0.25
"""Pause before the next address of a name is tried as well (RFC 8305)."""
PIECE_BYTES: Final = 262_144
"""Of a body that are written at once, about: few system calls, and the event loop isn't held up."""


class Unreachable(Exception):
    """No connection."""


class Untrusted(Exception):
    """A connection, and a certificate or a protocol that is not good."""


class Connections:
    """To one server; whoever calls bounds how many calls there are at a time.

    Args:
        trust: for `https`; None trusts whom the system trusts.
        headers: fields of every request besides `Host`, as they are to be written.
    """

    def __init__(self, address: Address, *, trust: ssl.SSLContext | None, headers: Sequence[str]) -> None:
        parts = urlsplit(address.base)
        self._socket = address.socket
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if address.secure else 80)
        self._trust = (trust or ssl.create_default_context()) if address.secure else None
        self._root = parts.path
        self._fields = "".join(f"{field}\r\n" for field in (f"Host: {parts.netloc}", *headers))
        self._heads: dict[tuple[str, ...], bytes] = {}
        self._open: set[Connection] = set()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._closed = False

    async def get(self, path: str, *fields: str, admit: Admit, deadline: float | None = None) -> Response:
        """The answer to a request without a body; see `post`."""
        return await self._exchange([[self._head("GET", path, *fields), b"\r\n"]], admit, deadline)

    async def post(
        self, path: str, parts: Sequence[Part], *fields: str, admit: Admit, deadline: float | None = None
    ) -> Response:
        """The answer to a request whose body is `parts`, one after the other.

        Args:
            path: begins with a slash; is added to the path of the address.
            fields: further header fields, as they are to be written.
            admit: see there.
            deadline: event loop time at which all of the answer must be there; None: the caller sees to that.

        Raises:
            Unreachable, Untrusted: there is no connection.
            NotHttp, TooLarge, Lost, TimeoutError: there is, and no good answer. And whatever `admit` raises.
        """
        length = b"Content-Length: %d\r\n\r\n" % sum(map(len, parts))
        pieces: list[list[Part]] = [[self._head("POST", path, *fields), length]]
        size = 0
        for part in _slices(parts):
            if size > PIECE_BYTES:
                pieces.append([])
                size = 0
            pieces[-1].append(part)
            size += len(part)
        return await self._exchange(pieces, admit, deadline)

    async def aclose(self) -> None:
        """End every connection; calls under way fail. Safe to call again."""
        self._closed = True
        self._idle.clear()
        for connection in tuple(self._open):
            connection.abort()
        await asyncio.sleep(0)

    def _head(self, *key: str) -> bytes:
        """Made once for each kind of request."""
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) > 8:  # a server may offer another path each time
                self._heads.clear()
            method, path, *fields = key
            text = f"{method} {self._root}{path} HTTP/1.1\r\n{self._fields}"
            head = (text + "".join(f"{field}\r\n" for field in fields)).encode("ascii")
            self._heads[key] = head
        return head

    async def _exchange(
        self, pieces: Sequence[Sequence[Part]], admit: Admit, deadline: float | None
    ) -> Response:
        async with asyncio.timeout_at(deadline):
            connection = self._spare() or await self._connect()
            response = await connection.exchange(pieces, admit)
            if connection.reusable:
                self._idle.append((asyncio.get_running_loop().time(), connection))
            else:
                connection.abort()
            return response

    def _spare(self) -> Connection | None:
        """The connection that was idle for the shortest time; those that were for too long are ended."""
        oldest = asyncio.get_running_loop().time() - KEPT_S
        while self._idle and self._idle[0][0] < oldest:
            self._idle.popleft()[1].abort()
        while self._idle:
            connection = self._idle.pop()[1]
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._opened()
        except ssl.SSLError as error:
            bad = isinstance(error, ssl.SSLCertVerificationError)
            raise Untrusted("the certificate is not trusted" if bad else "TLS failed") from error
        except (OSError, UnicodeError) as error:  # no time left, too; and a name that none can have
            raise Unreachable from error
        if self._closed:
            connection.abort()
        if connection.reusable:
            self._open.add(connection)
        return connection

    async def _opened(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            return (await loop.create_unix_connection(self._made, self._socket))[1]
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=HAPPY_EYEBALLS_S, interleave=1, loop=loop
        )
        try:
            name = self._host if self._trust is not None else None
            return (
                await loop.create_connection(self._made, sock=sock, ssl=self._trust, server_hostname=name)
            )[1]
        except BaseException:
            sock.close()
            raise

    def _made(self) -> Connection:
        return Connection(self._open.discard)


def _slices(parts: Sequence[Part]) -> Iterator[Part]:
    """The same bytes, none of the parts too large for a piece."""
    for part in parts:
        if len(part) <= PIECE_BYTES:
            yield part
        else:
            view = memoryview(part)
            for at in range(0, len(view), PIECE_BYTES):
                yield view[at : at + PIECE_BYTES]
