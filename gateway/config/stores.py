"""Where several nodes keep what they share, as people write it into settings."""

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.config.problems import Refused

MEMORY: Final = "memory"
POSTGRES: Final = "postgres"

_VALKEY: Final = re.compile(r"(?:valkey|redis)s?(?:\+(?:sentinel|cluster))?")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:,]+)(?::(?P<port>[0-9]*))?")
_TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_ESCAPED: Final = "in a password / is written %2F, ? %3F, # %23, @ %40 and % %25"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}")


def store(text: str) -> str:
    """`memory`, `postgres`, or the URL of a Valkey or Redis server; raises Refused."""
    if text.lower() in (MEMORY, POSTGRES):
        return text.lower()
    return _url(text, _VALKEY, "valkey://127.0.0.1:6379", f"must be {MEMORY}, {POSTGRES} or a valkey:// URL")


def database(text: str) -> str:
    """The URL of a PostgreSQL database, which names its host or the folder of its socket; raises Refused."""
    told, example = "must be a postgresql:// URL", "postgresql://undertone@127.0.0.1/undertone"
    parts = urlsplit(_url(text, re.compile("postgres(?:ql)?"), example, told))
    if parts.fragment or "@" in parts.path or parts.netloc.count("@") > 1:
        raise Refused("has a character that must be escaped", _ESCAPED)
    try:
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise Refused("has options that can't be read", f"such as ?sslmode=require; {_ESCAPED}") from None
    given = parts.netloc.rpartition("@")[2] or options.get("host", [""])[-1]
    if not given:
        # The driver would take what the environment names, or this machine's own server.
        raise Refused("names no host", f"such as {example}, or ?host=/run/postgresql for a Unix socket")
    for one in given.split(","):
        _check_host(unquote(one))
    if not all(_is_port(one) for one in options.get("port", ["5432"])[-1].split(",")):
        raise Refused("has a port that is none")
    mode = options.get("sslmode", ["prefer"])[-1]
    if mode.replace("_", "-") not in _TLS_MODES:
        raise Refused("has an sslmode that is none", f"there are {', '.join(_TLS_MODES)}")
    return text


def _check_host(text: str) -> None:
    match = _HOST.fullmatch(text)
    if not text.startswith("/") and (match is None or not _is_port(match["port"] or "5432")):
        raise Refused("has a host or a port that can't be", _ESCAPED)


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 65_536


def schema(text: str) -> str:
    """The name of a schema in a database; raises Refused."""
    if not _SCHEMA.fullmatch(text) or text.startswith("pg_"):
        raise Refused("must be at most 40 small letters, digits and `_`, beginning with a letter")
    return text


def _url(text: str, scheme: re.Pattern[str], example: str, told: str) -> str:
    found, separator, rest = text.partition("://")
    if not separator or not scheme.fullmatch(found):
        raise Refused(told, f"such as {example}")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise Refused("must be ASCII without blanks", "write such characters in a password as %XX")
    try:
        urlsplit("//" + rest)
    except ValueError:
        raise Refused("has an address that can't be", f"write it as {example}") from None
    return text
