"""Where a client connects: the URL of `/ws/voice` and its query."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from protocol.audio import AudioFormat

_PATH = "/ws/voice"


def query_of(
    session_id: str | None, audio: AudioFormat, config: Mapping[str, Any], resume: Mapping[str, Any]
) -> dict[str, str]:
    """The query of an opening handshake; audio and settings only where a session is to be created."""
    wanted: dict[str, Any] = {"session_id": session_id, **resume}
    if session_id is None:
        wanted |= {**audio.to_dict(), **config}
    return {name: _as_text(value) for name, value in wanted.items() if value is not None}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(sorted(str(one) for one in value))
    return str(value)


def address_of(url: str, query: Mapping[str, str]) -> str:
    """`url` with its scheme and path completed and `query` added.

    Raises:
        ValueError: `url` is malformed.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = _PATH if parts.path in ("", "/") else parts.path
    joined = "&".join(one for one in (parts.query, urlencode(query)) if one)
    return urlunsplit((scheme, parts.netloc, path, joined, ""))


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own, so that no proxy may stand between."""
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def same_security(before: str, after: str) -> bool:
    """Whether going from one address to the other gives up no encryption: `wss` is left for `wss` only, and
    nothing for a malformed one."""
    secure = ("wss", "https")
    try:
        schemes = urlsplit(before).scheme, urlsplit(after).scheme
    except ValueError:
        return False
    return schemes[0] not in secure or schemes[1] in secure
