"""Addresses as people type them, and connection failures as one line each."""

import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.invocation import undertone
from protocol import events as ev
from protocol.close import NO_CLOSE_FRAME, CloseCode, Reconnect, reconnect
from protocol.errors import ErrorCode, ProtocolError

DEFAULT_URL = "ws://127.0.0.1:8522"
VOICE_PATH = "/ws/voice"

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_STATUS_HINTS = {
    400: "It does not take this request; is it an Undertone gateway, and of this version?",
    401: "It wants a credential.",
    403: "It does not take connections from here, or not at this path.",
    503: "It has no capacity now; try again in a while.",
}
_STRANGERS = frozenset({200, 204, 301, 302, 303, 307, 308, 404, 405, 410, 426, 501})
"""HTTP statuses that no Undertone gateway gives at the path of its WebSocket"""
_STOPPED = frozenset({CloseCode.SERVICE_RESTART, CloseCode.GOING_AWAY})


def voice_url(given: str) -> str:
    """The WebSocket address meant by `given`: `host:port`, `http…` or `ws…`, with or without a path.

    Raises CommandError where it is no address at all.
    """
    text = given if "://" in given else f"ws://{given}"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise CommandError(f"{given!r} is no address of a gateway", hint=f"Expected like {DEFAULT_URL}")
    path = parts.path if parts.path not in ("", "/") else VOICE_PATH
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))


def unreachable(url: str, reason: str) -> CommandError:
    """Nobody answered."""
    hint = f"Start one with `{undertone('serve')}`, or name another with --url."
    return CommandError(
        f"no gateway answers at {_shown(url)}: {reason}", hint=hint, code=ExitCode.UNREACHABLE
    )


def stranger(url: str) -> CommandError:
    """Somebody answered who does not speak our protocol."""
    message = f"something answers at {_shown(url)}, but it is not an Undertone gateway"
    hint = "Check the address, its path too; --url names another."
    return CommandError(message, hint=hint, code=ExitCode.UNREACHABLE)


def answered(error: BaseException) -> bool:
    """Whether a failed connection failed by what the other side said, rather than by its absence."""
    from websockets.exceptions import InvalidHandshake

    return any(isinstance(one, InvalidHandshake | ProtocolError) for one in _causes(error))


def reason_of(error: BaseException) -> str:
    """The operating system's own words for a failed connection, where it is behind `error`."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "no such host"
        if isinstance(cause, ssl.SSLError):
            told = (cause.reason or "").lower().replace("_", " ")
            return f"TLS failed ({told}); is it ws:// rather than wss:// there?"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    return str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def not_opened(url: str, status: int) -> CommandError:
    """Somebody answered, but opened no WebSocket."""
    if status in _STRANGERS:
        return stranger(url)
    message = f"{_shown(url)} refused the connection (HTTP {status})"
    return CommandError(message, hint=_STATUS_HINTS.get(status), code=ExitCode.REFUSED)


def refused(error: ev.Error) -> CommandError:
    """The gateway said why it ends the session."""
    where = f" ({error.param})" if error.param else ""
    return CommandError(
        f"the gateway refused: {error.code}{where}: {error.message}",
        hint=_advice(error.code),
        code=ExitCode.REFUSED,
    )


def lost(code: int, reason: str, error: ev.Error | None) -> CommandError:
    """The connection ended before its time; a verdict of the gateway's where its code is final."""
    if error is not None and reconnect(code) is Reconnect.NEVER:
        return refused(error)
    if error is None and code in _STOPPED:
        advice = f"Start it again with `{undertone('serve')}` or wait until it is back, then try again."
        return CommandError("the gateway was stopped", hint=advice, code=ExitCode.LOST)
    told = f"{error.code}: {error.message}" if error is not None else _meaning(code, reason)
    if reconnect(code) is Reconnect.NEVER:
        return CommandError(f"the gateway closed the session: {told}", code=ExitCode.REFUSED)
    hint = _advice(error.code) if error is not None else None
    return CommandError(f"the connection was lost: {told}", hint=hint, code=ExitCode.LOST)


def gone(code: int, reason: str, error: ev.Error | None) -> CommandError:
    """A session that can't be resumed; where the gateway has no word for it, ours says how long was tried."""
    if code == NO_CLOSE_FRAME and error is None:
        return CommandError(f"the connection was lost: {reason}", code=ExitCode.LOST)
    if error is not None and error.code == ErrorCode.SESSION_NOT_FOUND:
        advice = "It was started anew meanwhile, most likely. Start this anew, too."
        return CommandError("the gateway no longer knows this session", hint=advice, code=ExitCode.LOST)
    return lost(code, reason, error)


def _shown(url: str) -> str:
    """An address without its query and its user, which may hold what nobody else should read."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".removesuffix(VOICE_PATH)


def _advice(code: str) -> str | None:
    try:
        return ErrorCode(code).advice
    except ValueError:
        return None


def _meaning(code: int, reason: str) -> str:
    if code == NO_CLOSE_FRAME:
        return "without a word (is the gateway still running?)"
    try:
        return CloseCode(code).meaning
    except ValueError:
        return reason or f"close code {code}"
