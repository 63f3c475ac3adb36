"""Calls to one sidecar over kept connections: bytes out, bytes in, every failure one of a few kinds."""

from collections.abc import Awaitable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from gateway.classify.http1.address import Address
from gateway.classify.http1.connection import Lost, NotHttp, Part, Response, TooLarge
from gateway.classify.http1.connections import Connections, Unreachable, Untrusted
from gateway.classify.remote.access import Access


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


class Endpoint:
    """The connections to one sidecar; whoever calls bounds how many calls there are at once."""

    def __init__(self, address: Address, access: Access) -> None:
        headers = ["Accept-Encoding: identity"]
        if access.token is not None:
            headers.append(f"Authorization: Bearer {access.token}")
        self._connections = Connections(address, trust=access.trust, headers=headers)

    async def post(
        self,
        path: str,
        parts: Sequence[Part],
        *,
        content_type: str,
        accept: str,
        limit: int,
        deadline: float,
    ) -> Sequence[bytes]:
        """The body of the answer, as it came; it has status 200 and the type `accept`.

        Args:
            parts: the body, in order.
            limit: most bytes of the answer.
            deadline: event loop time at which the whole of it must be there.

        Raises:
            CallFailed: whatever went wrong.
        """

        def admit(status: int, told: Mapping[bytes, bytes]) -> int:
            _check(status, told, accept)
            return _identity(told, limit)

        fields = f"Content-Type: {content_type}", f"Accept: {accept}"
        call = self._connections.post(path, parts, *fields, admit=admit, deadline=deadline)
        return (await _answered(call, limit)).pieces

    async def get(self, path: str, *, limit: int, deadline: float) -> Response:
        """The answer to a request without a body, whatever its status.

        Raises:
            CallFailed: there was none.
        """

        def admit(_: int, told: Mapping[bytes, bytes]) -> int:
            return _identity(told, limit)

        call = self._connections.get(path, "Accept: application/json", admit=admit, deadline=deadline)
        return await _answered(call, limit)

    async def aclose(self) -> None:
        """Close every connection; calls under way fail."""
        await self._connections.aclose()


async def _answered(call: Awaitable[Response], limit: int) -> Response:
    try:
        return await call
    except CallFailed:
        raise
    except Exception as error:
        raise _translated(error, limit) from error


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


def _identity(told: Mapping[bytes, bytes], limit: int) -> int:
    """That limit, for a body that is what it is."""
    if told.get(b"content-encoding", b"identity") != b"identity":
        raise CallFailed(Kind.MALFORMED, "the answer is compressed, which nobody asked for")
    return limit


def _translated(error: Exception, limit: int) -> CallFailed:
    """What an error of the connections means."""
    match error:
        case Untrusted():
            return CallFailed(Kind.TLS, str(error))
        case Unreachable():
            return CallFailed(Kind.UNREACHABLE, "no connection")
        case TimeoutError():
            return CallFailed(Kind.TIMEOUT, "no answer in time")
        case TooLarge():
            return CallFailed(Kind.TOO_LARGE, f"the answer is over {limit} bytes")
        case NotHttp():
            return CallFailed(Kind.MALFORMED, str(error))
        case Lost():
            return CallFailed(Kind.DISCONNECTED, "the connection was lost")
        case _:
            return CallFailed(Kind.UNEXPECTED, type(error).__name__)
