"""Addresses as people type them, and connection failures as one line each."""

import os
import socket
from urllib.parse import urlsplit, urlunsplit

from gateway.commands.exits import CommandError, ExitCode
from protocol import events as ev
from protocol.close import NO_CLOSE_FRAME, CloseCode, Reconnect, reconnect
from protocol.errors import ErrorCode

DEFAULT_URL = "ws://127.0.0.1:8522"
VOICE_PATH = "/ws/voice"

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_STATUS_HINTS = {
    400: "It does not take this request; is it an Undertone gateway, and of this version?",
    401: "It wants a credential.",
    403: "It does not take connections from here, or not at this path.",
    404: "Something answers there, but it is no Undertone gateway; check the address.",
    426: "Something answers there, but it is no Undertone gateway; check the address.",
    503: "It has no capacity now; try again in a while.",
}


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
    hint = "Start one with `undertone serve`, or name another with --url."
    return CommandError(
        f"no gateway answers at {_shown(url)}: {reason}", hint=hint, code=ExitCode.UNREACHABLE
    )


def reason_of(error: BaseException) -> str:
    """The operating system's own words for a failed connection, where it is behind `error`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "no such host"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return str(error)


def not_opened(url: str, status: int) -> CommandError:
    """Somebody answered, but opened no WebSocket."""
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
    told = f"{error.code}: {error.message}" if error is not None else _meaning(code, reason)
    if reconnect(code) is Reconnect.NEVER:
        return CommandError(f"the gateway closed the session: {told}", code=ExitCode.REFUSED)
    hint = _advice(error.code) if error is not None else None
    return CommandError(f"the connection was lost: {told}", hint=hint, code=ExitCode.LOST)


def _shown(url: str) -> str:
    """An address without its query, which may hold what nobody else should read."""
    return url.split("?", 1)[0].removesuffix(VOICE_PATH)


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
