"""The model server as a peer: requests out, bounded answers back. What went wrong has one name here.

Pooled httpx over aiohttp's connections, used below httpx's client: what that adds (redirects, cookies,
authentication, proxies out of the environment) is not wanted, and costs more than the call itself.
"""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.classify.kserve.protocol import HEADER_LENGTH, read_error
from gateway.classify.retry import RetryBudget
from gateway.classify.slices import parse_in_slices

TOLD_BYTES = 65_536
"""Of what a server says of itself, its models, and what went wrong: read in a millisecond or two."""
CONNECTIONS = 16
"""For calls, at most. Looks at how the server is have another, so that they never wait for calls."""
KEEP_ALIVE_S = 4.0
"""Seconds an idle connection is kept: less than the five after which common servers close theirs."""
PIECE_BYTES = 262_144
"""Written to the socket at once: a whole batch would hold up the event loop."""


class ServerError(Exception):
    """The server could not be reached, or answered what is no answer; the message is fit for logs."""


class NoAnswerError(ServerError):
    """There was no answer at all."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached
        """Whether there was a connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whole."""

    status: int
    body: bytes
    header_length: str | None = None
    """`Inference-Header-Content-Length`."""

    @property
    def ok(self) -> bool:
        return self.status == 200

    def told(self) -> str:
        """The status and what the server said of it, for logs."""
        reason = read_error(self.body)
        return f"status {self.status}" + (f": {reason}" if reason else "")


class ModelServer:
    """One server, by its URL: http, https, or `unix:///path` of a socket. Opens nothing before it is asked.

    Connections are pooled; what is asked with `get` has one of its own. Redirects and compressed answers are
    declined; how long anything may take is the caller's to say.
    """

    def __init__(self, url: str, *, trust: ssl.SSLContext | None = None, token: str | None = None) -> None:
        """Prepare to talk to the server at `url`.

        Args:
            url: without a slash at its end.
            trust: whose certificates are good for https; None trusts whom the system trusts.
            token: sent as `Authorization: Bearer`.
        """
        parts = urlsplit(url)
        # Idle connections are closed by anybody's server, also before much was asked.
        self._budget = RetryBudget.full()
        self._socket = parts.path if parts.scheme == "unix" else None
        self._base = "http://localhost" if self._socket else url
        self._headers = {"host": urlsplit(self._base).netloc, "accept-encoding": "identity"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        secure = parts.scheme == "https"
        self._trust = (trust or ssl.create_default_context()) if secure else None
        # The context that the transport would make for itself reads every known authority, and is not used.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._looks, self._calls = (
            AiohttpTransport(verify=unused, trust_env=False, client=partial(self._session, most))
            for most in (1, CONNECTIONS)
        )

    async def get(self, path: str) -> Reply:
        """Ask for `path`, one question at a time.

        Raises:
            ServerError: there was no answer, or what is none.
        """
        return await self._exchange(self._looks, "GET", path, (), {}, TOLD_BYTES)

    async def post(
        self, path: str, parts: Sequence[bytes], headers: Mapping[str, str], *, limit: int
    ) -> Reply:
        """Send a body of `parts` to `path`; an answer of status 200 has at most `limit` bytes.

        Raises:
            ServerError: there was no answer, or what is none.
        """
        length = {"content-length": str(sum(map(len, parts)))}
        return await self._exchange(self._calls, "POST", path, parts, {**headers, **length}, limit)

    async def aclose(self) -> None:
        """Close every connection. Safe to call again."""
        await self._looks.aclose()
        await self._calls.aclose()

    def _session(self, most: int) -> aiohttp.ClientSession:
        kept = {"limit": most, "keepalive_timeout": KEEP_ALIVE_S}
        connector: aiohttp.BaseConnector
        if self._socket is not None:
            connector = aiohttp.UnixConnector(self._socket, **kept)  # type: ignore[arg-type]
        else:
            connector = aiohttp.TCPConnector(ssl=self._trust or True, **kept)  # type: ignore[arg-type]
        parse_in_slices(connector)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent",),
        )

    async def _exchange(
        self,
        over: AiohttpTransport,
        method: str,
        path: str,
        parts: Sequence[bytes],
        headers: Mapping[str, str],
        limit: int,
    ) -> Reply:
        self._budget.earn()
        try:
            try:
                response = await self._send(over, method, path, parts, headers)
            except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
                if not _lost(error) or not self._budget.spend():
                    raise
                # A connection that the server had just closed looks like this; nothing has been answered yet,
                # and to ask again what is heard in a window changes nothing.
                response = await self._send(over, method, path, parts, headers)
            try:
                return await _whole(response, limit)
            finally:
                await response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            cause = _cause(error)
            reached = not isinstance(cause, aiohttp.ClientConnectorError)
            message = f"the model server gave no answer: {type(cause).__name__}"
            raise NoAnswerError(message, reached=reached) from error

    async def _send(
        self,
        over: AiohttpTransport,
        method: str,
        path: str,
        parts: Sequence[bytes],
        headers: Mapping[str, str],
    ) -> httpx.Response:
        request = httpx.Request(
            method,
            self._base + path,
            headers={**self._headers, **headers},
            stream=_Body(parts) if parts else None,
        )
        return await over.handle_async_request(request)


class _Body(httpx.AsyncByteStream):
    """A body that is written piece by piece."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            for at in range(0, len(part), PIECE_BYTES):
                yield part[at : at + PIECE_BYTES]


def _cause(error: Exception) -> BaseException:
    """The transport's own names mix up connecting with reading, so the error behind is asked."""
    return error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error


def _lost(error: Exception) -> bool:
    """Whether a connection was lost that there had been."""
    cause = _cause(error)
    if isinstance(cause, aiohttp.ClientConnectorError):
        return False
    return isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError)


async def _whole(response: httpx.Response, limit: int) -> Reply:
    """The answer; of one that is none, what is over the limit for those is left out."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ServerError("the model server's answer is compressed, which nobody asked for")
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for part in response.stream:
        body += part
        if response.status_code != 200 and len(body) > TOLD_BYTES:
            del body[TOLD_BYTES:]
            break
        if len(body) > limit:
            raise ServerError(f"the model server's answer is over {limit} bytes")
    return Reply(response.status_code, bytes(body), response.headers.get(HEADER_LENGTH))
