"""Addresses that people write into settings: hosts, origins of pages, networks of proxies, sidecars."""

import ipaddress
import re
from typing import TypeAlias
from urllib.parse import urlsplit

from gateway.config.files import socket_path
from gateway.config.problems import Refused

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORT = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_.-]+\Z")


def host(text: str) -> str:
    """An IP address or a host name, without a port or brackets; raises Refused."""
    if not _HOST.match(text) and _address(text) is None:
        raise Refused("must be an IP address or a host name", "127.0.0.1 serves this machine only")
    return text


def is_loopback(text: str) -> bool:
    """Whether only this machine can reach `text`."""
    address = _address(text)
    return text.lower() == "localhost" if address is None else address.is_loopback


def origin(text: str) -> str:
    """An origin exactly as browsers send it (RFC 6454 section 6.2); raises Refused.

    Anything else would be compared and never match: a path, a default port, capital letters, a wildcard.
    """
    try:
        parts = urlsplit(text)
        name, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("has an address or a port that can't be") from None
    if not parts.scheme or not name or "*" in text:
        raise Refused("must be exact origins such as https://app.example.org", "patterns are not supported")
    if not text.isascii():
        raise Refused("must be ASCII", "write international names in Punycode (xn--…)")
    name = f"[{name}]" if ":" in name else name
    suffix = "" if port is None or port == _DEFAULT_PORT.get(parts.scheme) else f":{port}"
    exact = f"{parts.scheme}://{name}{suffix}"
    if text != exact:
        raise Refused("is not how a browser writes an origin", f"write {exact}")
    return exact


def websocket(text: str) -> str:
    """The URL of a WebSocket endpoint, without a query, which is the client's own; raises Refused."""
    try:
        parts = urlsplit(text)
        name, _ = parts.hostname, parts.port
    except ValueError:
        raise Refused("has an address or a port that can't be") from None
    if parts.scheme not in ("ws", "wss") or not name:
        raise Refused("must be a ws:// or wss:// URL", "such as wss://voice.example.org/ws/voice")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise Refused("must have no query, fragment or credentials", "clients add what their session needs")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise Refused("must be ASCII without blanks", "write international names in Punycode (xn--…)")
    return text


def network(text: str) -> Network:
    """An IP address or a network in CIDR notation; raises Refused."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Refused("must be IP addresses or networks such as 10.0.0.0/8") from None
    if found.prefixlen == 0:
        raise Refused("would let anybody say where a request came from", "name the proxies' addresses")
    if ipaddress.ip_interface(text).ip != found.network_address:
        raise Refused("names one host and a whole network at once", f"write {found} or {text.split('/')[0]}")
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def sidecar(text: str) -> str:
    """The URL of a sidecar, without credentials, query or a slash at its end; raises Refused.

    A Unix socket is written `unix:///path/of.sock`.
    """
    if text.startswith("unix:"):
        if not text.startswith("unix:///"):
            raise Refused(
                "must be unix:// and an absolute path", "such as unix:///run/undertone/sidecar.sock"
            )
        return f"unix://{socket_path(text.removeprefix('unix://'))}"
    try:
        parts = urlsplit(text)
        name, _ = parts.hostname, parts.port
    except ValueError:
        raise Refused("has an address or a port that can't be") from None
    if parts.scheme not in ("http", "https") or not name:
        raise Refused("must be http://, https:// or unix:// URLs", "such as http://127.0.0.1:8523")
    if parts.username is not None or parts.password is not None:
        raise Refused("must have no credentials", "put a token into a file: UNDERTONE_CLASSIFIER_TOKEN_FILE")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise Refused("must have no query and no fragment")
    if not (text.isascii() and text.isprintable()) or " " in text or "\\" in text:
        raise Refused("must be ASCII without blanks", "write international names in Punycode (xn--…)")
    return text.rstrip("/")
