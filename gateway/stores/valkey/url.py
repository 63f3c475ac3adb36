"""The address of a Valkey server, a Sentinel service or a cluster, as one URL.

    valkey://[user:password@]host[:6379][/db]
    valkey+sentinel://[user:password@]host[:26379][,host…]/service[/db]
    valkey+cluster://[user:password@]host[:6379][,host…]

`valkeys` in place of `valkey` is TLS, and `redis` and `rediss` mean the same two. Options follow as a query:
see `Target`, whose fields they are named after.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

Address: TypeAlias = tuple[str, int]
"""Host and port."""

PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_SCHEME: Final = re.compile(r"(?:valkey|redis)(?P<tls>s?)(?:\+(?P<kind>sentinel|cluster))?")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_HOST: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_MAX_CONNECTIONS: Final = 1_000


class Kind(StrEnum):
    """How servers are found."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and how."""

    kind: Kind
    addresses: tuple[Address, ...]
    """Of the server, of the sentinels, or of some nodes of the cluster."""
    service: str | None = None
    """What the sentinels call the master."""
    db: int = 0
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    """Sentinels are asked without a password unless they have their own."""
    ca_file: str | None = None
    """PEM; the system's authorities where there is none."""
    cert_file: str | None = None
    key_file: str | None = None
    """PEM, for servers that ask for a certificate."""
    prefix: str = "undertone"
    """Every key begins with it."""
    timeout_s: float = 2.0
    """Seconds for one exchange, connecting included."""
    connections: int = 16
    """At most so many at once to each server."""

    def __str__(self) -> str:
        """For people: without any secret."""
        where = ",".join(f"{host}:{port}" for host, port in self.addresses)
        return f"{self.kind} {where}" + (f" {self.service}" if self.service else "")


def parse(url: str) -> Target:
    """The target that `url` names.

    Raises:
        ValueError: it names none; the message says why, and nothing of what could be a secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("the store's URL can't be read") from None
    scheme = _SCHEME.fullmatch(parts.scheme)
    if scheme is None:
        raise ValueError("the store's URL must begin with valkey://, valkeys://, redis:// or rediss://")
    if parts.fragment:
        raise ValueError("the store's URL has a #; in a password it is written %23")
    if "@" in parts.path:
        raise ValueError("the store's URL has a / before its last @; in a password it is written %2F")
    kind = Kind(scheme["kind"] or "single")
    login, _, hosts = parts.netloc.rpartition("@")
    if "@" in parts.query and not login and not _HOST.fullmatch(hosts):
        raise ValueError("the store's URL has a ? before its last @; in a password it is written %3F")
    user, _, password = login.partition(":")
    given: dict[str, Any] = {
        "kind": kind,
        "addresses": _addresses(hosts, kind),
        "tls": bool(scheme["tls"]),
        "user": unquote(user) or None,
        "password": unquote(password) or None,
        **_path(parts.path, kind),
        **_options(parts.query),
    }
    if given["user"] is not None and given["password"] is None:
        raise ValueError("the store's URL has a user but no password (user:password@host)")
    target = Target(**given)
    if not target.tls and (target.ca_file or target.cert_file or target.key_file):
        raise ValueError("the store's URL has certificates but no TLS: valkeys:// has")
    if (target.cert_file is None) != (target.key_file is None):
        raise ValueError("the store's URL needs both cert_file and key_file, or neither")
    return target


def _addresses(hosts: str, kind: Kind) -> tuple[Address, ...]:
    found = [_address(one, SENTINEL_PORT if kind is Kind.SENTINEL else PORT) for one in hosts.split(",")]
    if kind is Kind.SINGLE and len(found) > 1:
        raise ValueError(
            "the store's URL has several hosts: that takes valkey+sentinel:// or valkey+cluster://"
        )
    return tuple(found)


def _address(text: str, default: int) -> Address:
    match = _HOST.fullmatch(text)
    if match is None:
        raise ValueError("the store's URL has no host, or one that is none")
    port = int(match["port"] or default)
    if not 0 < port < 65_536:
        raise ValueError("the store's URL has a port that is none")
    return match["v6"] or match["name"], port


def _path(path: str, kind: Kind) -> Mapping[str, Any]:
    words = [unquote(word) for word in path.strip("/").split("/")] if path.strip("/") else []
    service = None
    if kind is Kind.SENTINEL:
        if not words:
            raise ValueError("the store's URL must name the sentinels' service (…/service)")
        service = words.pop(0)
    if not words:
        return {"service": service}
    if len(words) > 1 or not re.fullmatch(r"[0-9]{1,4}", words[0]):
        raise ValueError("the store's URL may end in the number of a database, and in nothing else")
    if kind is Kind.CLUSTER and int(words[0]):
        raise ValueError("a cluster has no databases: the store's URL must not end in one")
    return {"service": service, "db": int(words[0])}


def _options(query: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in found:
            raise ValueError(f"the store's URL has {name} twice")
        match name:
            case "ca_file" | "cert_file" | "key_file" | "sentinel_user" | "sentinel_password" if value:
                found[name] = value
            case "prefix" if _PREFIX.fullmatch(value):
                found[name] = value
            case "timeout_s":
                found[name] = _seconds(value)
            case "connections" if re.fullmatch(r"[0-9]{1,4}", value) and 0 < int(value) <= _MAX_CONNECTIONS:
                found[name] = int(value)
            case "ca_file" | "cert_file" | "key_file" | "sentinel_user" | "sentinel_password":
                raise ValueError(f"the store's URL has {name} without a value")
            case "prefix":
                raise ValueError("prefix in the store's URL must be 1 to 64 letters, digits and . _ : -")
            case "connections":
                raise ValueError(f"connections in the store's URL must be 1 to {_MAX_CONNECTIONS}")
            case _:
                raise ValueError("an option in the URL of the store is unknown; see docs/deployment.md")
    return found


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", value) or not 0.05 <= float(value) <= 60.0:
        raise ValueError("timeout_s in the store's URL must be 0.05 to 60 seconds")
    return float(value)
