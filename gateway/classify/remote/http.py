"""Calls to one sidecar over kept connections: bytes out, bytes in, every failure one of a few kinds.

Pooled httpx over aiohttp's connections, used below httpx's client: what that adds (redirects, cookies,
authentication, proxies out of the environment) nobody wants here, and it costs more than the call itself.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.classify.remote.access import Access
from gateway.classify.remote.address import Address

CONNECT_S: Final = 1.0
"""A connection that takes longer counts as none, so that there is time for another try."""
KEPT_S: Final = 4.0
"""How long an idle connection is kept: less than the five seconds after which uvicorn closes it."""
_GATHERED: Final = 8
"""Windows that are written to the socket at once: fewer system calls, without a copy of the whole body."""


class Kind(StrEnum):
    """In what way a call failed."""

    UNREACHABLE = "unreachable"
    """No connection."""
    TLS = "tls"
    """A connection, and a certificate or a protocol that is not good."""
    TIMEOUT = "timeout"
    """No whole answer in time."""
    DISCONNECTED = "disconnected"
    """The connection was lost before the answer was whole."""
    REDIRECT = "redirect"
    REFUSED = "refused"
    """Another status: 4xx, or one that no answer has."""
    BUSY = "busy"
    """Status 429 or 503."""
    FAILED = "failed"
    """Status 5xx."""
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    """Not HTTP, or not what was agreed."""
    UNEXPECTED = "unexpected"
    """Something that nobody thought of."""


RETRIED: Final = frozenset({Kind.UNREACHABLE, Kind.BUSY})
"""What may be tried again: nothing was done with the windows. BUSY only with status 503."""


class CallFailed(Exception):
    """A call to a sidecar came to nothing."""

    def __init__(
        self, kind: Kind, detail: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.retry_after_s = retry_after_s
        """The pause that the sidecar asks for."""

    @property
    def retriable(self) -> bool:
        """Whether the same windows may be asked about again."""
        return self.kind in RETRIED and self.status in (None, 503)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, of any status."""

    status: int
    body: bytes


class Endpoint:
    """The connections to one sidecar.

    Args:
        connections: most of them at once; whoever calls keeps to it, too.
    """

    def __init__(self, address: Address, access: Access, *, connections: int) -> None:
        self._address = address
        self._connections = connections
        self._trust = access.trust
        host = httpx.URL(address.base).netloc.decode()
        self._common = {"host": host, "accept-encoding": "identity"}
        if access.token is not None:
            self._common["authorization"] = f"Bearer {access.token}"
        self._headers: dict[tuple[str, str], httpx.Headers] = {}
        self._urls: dict[str, httpx.URL] = {}
        # The context that the transport would make for itself reads every known authority, and is not used.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._transport = AiohttpTransport(verify=unused, trust_env=False, client=self._session)

    async def post(
        self,
        path: str,
        parts: Sequence[bytes | memoryview],
        *,
        content_type: str,
        accept: str,
        limit: int,
        deadline: float,
    ) -> bytes:
        """The body of the answer, which has status 200 and the type `accept`.

        Args:
            parts: the body, in order.
            limit: most bytes of the answer.
            deadline: event loop time at which the whole of it must be there.

        Raises:
            CallFailed: whatever went wrong.
        """
        headers = self._headers_for(content_type, accept)
        if len(parts) == 1:
            request = httpx.Request("POST", self._url(path), headers=headers, content=bytes(parts[0]))
        else:
            headers = httpx.Headers(headers)
            headers["content-length"] = str(sum(map(len, parts)))
            request = httpx.Request("POST", self._url(path), headers=headers, stream=_Body(parts))
        answer = await self._send(request, limit, deadline, accept)
        return answer.body

    async def get(self, path: str, *, limit: int, deadline: float) -> Answer:
        """The answer to a request without a body, whatever its status.

        Raises:
            CallFailed: there was none.
        """
        headers = httpx.Headers({**self._common, "accept": "application/json"})
        return await self._send(httpx.Request("GET", self._url(path), headers=headers), limit, deadline, None)

    async def aclose(self) -> None:
        """Close every connection; calls under way fail."""
        await self._transport.aclose()

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            if len(self._urls) > 8:  # a sidecar may offer another path each time
                self._urls.clear()
            url = self._urls[path] = httpx.URL(self._address.base + path)
        return url

    def _headers_for(self, content_type: str, accept: str) -> httpx.Headers:
        """Made once for each contract: they cost more than they look."""
        key = content_type, accept
        headers = self._headers.get(key)
        if headers is None:
            headers = httpx.Headers({**self._common, "content-type": content_type, "accept": accept})
            self._headers[key] = headers
        return headers

    def _session(self) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if self._address.socket is not None:
            connector = aiohttp.UnixConnector(
                self._address.socket, limit=self._connections, keepalive_timeout=KEPT_S
            )
        else:
            connector = aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=KEPT_S, ssl=self._trust or True
            )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent",),
        )

    async def _send(self, request: httpx.Request, limit: int, deadline: float, wanted: str | None) -> Answer:
        request.extensions = {"timeout": {"connect": CONNECT_S}}
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._transport.handle_async_request(request)
                try:
                    told = {name.lower(): value for name, value in response.headers.raw}
                    if wanted is not None:
                        _check(response.status_code, told, wanted)
                    return Answer(response.status_code, await _read(response, told, limit))
                finally:
                    await response.aclose()
        except CallFailed:
            raise
        except Exception as error:
            raise _translated(error) from error


class _Body(httpx.AsyncByteStream):
    """A body of many small parts, written in fewer, larger pieces."""

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = self._parts
        for at in range(0, len(parts), _GATHERED):
            piece = parts[at : at + _GATHERED]
            yield b"".join(piece)


def _check(status: int, told: Mapping[bytes, bytes], wanted: str) -> None:
    if status == 200:
        kind = told.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != wanted.encode():
            raise CallFailed(Kind.MALFORMED, f"the answer is not {wanted}", status=status)
        return
    detail = f"status {status}"
    if 300 <= status < 400:
        raise CallFailed(Kind.REDIRECT, detail, status=status)
    if status in (429, 503):
        pause = _retry_after(told.get(b"retry-after", b""))
        raise CallFailed(Kind.BUSY, detail, status=status, retry_after_s=pause)
    raise CallFailed(Kind.FAILED if status >= 500 else Kind.REFUSED, detail, status=status)


def _retry_after(text: bytes) -> float | None:
    """Seconds; the header's other form, a date, would need clocks that agree."""
    return float(min(int(text), 60)) if text.isdigit() and len(text) < 10 else None


async def _read(response: httpx.Response, told: Mapping[bytes, bytes], limit: int) -> bytes:
    """The body as it was sent, up to `limit` bytes of it."""
    if told.get(b"content-encoding", b"identity") != b"identity":
        raise CallFailed(Kind.MALFORMED, "the answer is compressed, which nobody asked for")
    if int(told.get(b"content-length", b"0")) > limit:
        raise CallFailed(Kind.TOO_LARGE, f"the answer is over {limit} bytes")
    pieces: list[bytes] = []
    size = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for piece in response.stream:
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise CallFailed(Kind.TOO_LARGE, f"the answer is over {limit} bytes")
    return b"".join(pieces)


def _translated(error: Exception) -> CallFailed:
    """What an error of these libraries means. The transport's own names for them mix up connecting with
    reading, so the error behind is asked."""
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    match cause:
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return CallFailed(Kind.TLS, "no trust: TLS failed")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return CallFailed(Kind.UNREACHABLE, "no connection")
        case TimeoutError():
            return CallFailed(Kind.TIMEOUT, "no answer in time")
        case aiohttp.ClientResponseError():
            return CallFailed(Kind.MALFORMED, "the answer is not HTTP")
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return CallFailed(Kind.DISCONNECTED, "the connection was lost")
        case _:
            return CallFailed(Kind.UNEXPECTED, type(cause).__name__)
