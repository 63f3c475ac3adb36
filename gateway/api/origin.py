"""Where a request came from: the proxy in front, the address it was sent to, the page that sent it.

A peer's word about itself counts only if the peer is a trusted proxy. A page may talk to the gateway when
it was served from the gateway's own address, or when its origin is on the list (RFC 6454; exact match).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.api.forwarded import IpAddress, forwarded, ip_address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SECURE = {"http": "https", "ws": "wss", "https": "https", "wss": "wss"}
_WEB = {"ws": "http", "wss": "https"}
_SOCKET = {"http": "ws", "https": "wss"}
_DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """The address a client reaches this gateway at."""

    scheme: str
    """`http` or `https`."""
    authority: str
    """Host and, unless it is the scheme's own, port."""

    def http(self, path: str) -> str:
        """The URL of `path`."""
        return f"{self.scheme}://{self.authority}{path}"

    def websocket(self, path: str) -> str:
        """The WebSocket URL of `path`."""
        return f"{_SOCKET[self.scheme]}://{self.authority}{path}"


class OriginPolicy:
    """Decides whom to believe and which pages may come in."""

    def __init__(self, allowed: Iterable[str], trusted_proxies: Sequence[Network]) -> None:
        self._allowed = frozenset(allowed)
        self._trusted = tuple(trusted_proxies)

    def address(self, scope: Scope) -> Address:
        """The address the client used: what a trusted proxy says, else the socket's own."""
        scheme: str = scope["scheme"]
        scheme = _WEB.get(scheme, scheme)
        if not self.from_trusted_proxy(scope):
            return Address(scheme, _socket_authority(scope, scheme))
        headers = Headers(scope=scope)
        said = forwarded(headers, self._trusts)
        if said.proto in ("https", "wss"):
            scheme = _SECURE[scheme]
        elif said.proto in ("http", "ws"):
            scheme = "http"
        host = said.host or headers.get("host", "")
        return Address(scheme, host if _plain_authority(host) else _socket_authority(scope, scheme))

    def from_trusted_proxy(self, scope: Scope) -> bool:
        """Whether the peer is one of the trusted proxies."""
        peer = _peer(scope)
        return peer is not None and self._trusts(peer)

    def from_this_machine(self, scope: Scope) -> bool:
        """Whether the peer is on this machine and speaks for itself."""
        peer = _peer(scope)
        return peer is not None and peer.is_loopback and not self.from_trusted_proxy(scope)

    def admits(self, scope: Scope) -> bool:
        """Whether the request carries no Origin, its own, or one on the list. Exact: no suffix, no `null`.

        A browser sends one (RFC 6454 section 7.3); of two it can't be told which of them was the page's.
        """
        origins = Headers(scope=scope).getlist("origin")
        if len(origins) != 1:
            return not origins
        return origins[0] in self._allowed or origins[0] in self._own(scope)

    def believes_host(self, scope: Scope) -> bool:
        """Whether the Host header names this gateway.

        A page whose name is made to point at 127.0.0.1 is same-origin to its browser, which then sends no
        Origin with a GET: only the Host tells (DNS rebinding). So on the loopback interface a request must be
        addressed to it by number, as localhost, or by a name on the list. A trusted proxy has seen to it.
        """
        host = Headers(scope=scope).get("host")
        if host is None or self.from_trusted_proxy(scope) or not _is_loopback(scope):
            return True
        name = host.lower()
        bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        allowed = {origin.partition("://")[2] for origin in self._allowed}
        return bare in ("localhost", "127.0.0.1", "[::1]") or name in allowed

    def _trusts(self, peer: IpAddress) -> bool:
        return any(peer in network for network in self._trusted)

    def _own(self, scope: Scope) -> set[str]:
        address = self.address(scope)
        own = {address.http("")}
        host, _, port = address.authority.rpartition(":")
        if not self.from_trusted_proxy(scope) and host in ("127.0.0.1", "[::1]"):
            # People type localhost. No other name is believed, or DNS could make any page our own.
            own.add(f"{address.scheme}://localhost:{port}")
        return own


def _peer(scope: Scope) -> IpAddress | None:
    client = scope.get("client")
    return ip_address(client[0]) if client else None


def _socket_authority(scope: Scope, scheme: str) -> str:
    server = scope.get("server") or ("127.0.0.1", None)
    host, port = server[0], server[1]
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == _DEFAULT_PORT[scheme] else f"{host}:{port}"


def _plain_authority(host: str) -> bool:
    return 0 < len(host) <= 255 and all(char.isalnum() or char in ".-:[]_" for char in host)


def _is_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    if not server:
        return False
    address = ip_address(server[0])
    return address.is_loopback if address is not None else bool(server[0] == "localhost")
