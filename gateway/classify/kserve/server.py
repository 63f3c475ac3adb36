"""The model server as a peer: requests out, bounded answers back. What went wrong has one name here."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.classify.http1.address import Address
from gateway.classify.http1.connection import Lost, NotHttp, Response, TooLarge
from gateway.classify.http1.connections import Connections, Unreachable, Untrusted
from gateway.classify.kserve.protocol import HEADER_LENGTH, read_error
from gateway.classify.retry import RetryBudget

TOLD_BYTES = 65_536
"""Of what a server says of itself, its models, and what went wrong: read in a millisecond or two."""
CONNECTIONS = 16
"""For calls, at most. Looks at how the server is have others, so that they never wait for calls."""

BUSY = 503
"""The status of a server that has no room now, or is not there yet."""
PAUSE_S = 0.05
"""Before it is asked again."""

_HEADER_LENGTH = HEADER_LENGTH.lower().encode()


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

    Connections are kept. Redirects and compressed answers are declined; how long anything may take is the
    caller's to say.
    """

    def __init__(self, url: str, *, trust: ssl.SSLContext | None = None, token: str | None = None) -> None:
        """Prepare to talk to the server at `url`.

        Args:
            url: without a slash at its end.
            trust: whose certificates are good for https; None trusts whom the system trusts.
            token: sent as `Authorization: Bearer`.
        """
        headers = ["Accept-Encoding: identity"]
        if token is not None:
            headers.append(f"Authorization: Bearer {token}")
        self._connections = Connections(Address.of(url), trust=trust, headers=headers)
        self._calls = asyncio.Semaphore(CONNECTIONS)
        # Idle connections are closed by anybody's server, also before much was asked.
        self._budget = RetryBudget.full()

    async def get(self, path: str) -> Reply:
        """Ask for `path`.

        Raises:
            ServerError: there was no answer, or what is none.
        """
        answer = _Answer(TOLD_BYTES)
        return await self._exchange(lambda: self._connections.get(path, admit=answer.admit), answer)

    async def post(
        self, path: str, parts: Sequence[bytes], headers: Mapping[str, str], *, limit: int
    ) -> Reply:
        """Send a body of `parts` to `path`; an answer of status 200 has at most `limit` bytes.

        Raises:
            ServerError: there was no answer, or what is none.
        """
        answer = _Answer(limit, matters=True)
        fields = [f"{name}: {value}" for name, value in headers.items()]
        async with self._calls:
            return await self._exchange(
                lambda: self._connections.post(path, parts, *fields, admit=answer.admit), answer
            )

    async def aclose(self) -> None:
        """Close every connection. Safe to call again."""
        await self._connections.aclose()

    async def _exchange(self, ask: Callable[[], Awaitable[Response]], answer: "_Answer") -> Reply:
        self._budget.earn()
        try:
            response = await self._once_or_twice(ask, answer)
        except TooLarge:
            if answer.status != 200:
                return Reply(answer.status, b"")
            raise ServerError(f"the model server's answer is over {answer.limit} bytes") from None
        except (Unreachable, Untrusted, Lost, NotHttp) as error:
            message = f"the model server gave no answer: {_WORDS.get(type(error)) or error}"
            raise NoAnswerError(message, reached=not isinstance(error, Unreachable)) from error
        header_length = response.headers.get(_HEADER_LENGTH)
        return Reply(
            response.status, response.body, None if header_length is None else header_length.decode("latin-1")
        )

    async def _once_or_twice(self, ask: Callable[[], Awaitable[Response]], answer: "_Answer") -> Response:
        """A second time where nothing was done with what was asked: to ask again changes nothing then."""
        try:
            response = await ask()
            if response.status != BUSY or not answer.matters or not self._budget.spend():
                return response
            await asyncio.sleep(PAUSE_S)
        except Unreachable:
            if not answer.matters or not self._budget.spend():
                raise
            await asyncio.sleep(PAUSE_S)
        except Lost:
            # A connection that the server had just closed looks like this.
            if answer.status or not self._budget.spend():
                raise
        return await ask()


_WORDS = {
    Unreachable: "there is no connection",
    Lost: "the connection was lost",
}


class _Answer:
    """What is let in of an answer, and its status once that is known."""

    def __init__(self, limit: int, *, matters: bool = False) -> None:
        self.limit = limit
        self.matters = matters
        """Whether windows are lost without it; looks come again anyway."""
        self.status = 0

    def admit(self, status: int, told: Mapping[bytes, bytes]) -> int:
        """See `gateway.classify.http1.connection.Admit`."""
        self.status = status
        if told.get(b"content-encoding", b"identity") != b"identity":
            raise ServerError("the model server's answer is compressed, which nobody asked for")
        return self.limit if status == 200 else min(self.limit, TOLD_BYTES)
