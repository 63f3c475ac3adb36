"""Where several nodes keep what they share, as people write it into settings."""

import re
from typing import Final
from urllib.parse import urlsplit

from gateway.config.problems import Refused

MEMORY: Final = "memory"
POSTGRES: Final = "postgres"

_VALKEY: Final = re.compile(r"(?:valkey|redis)s?(?:\+(?:sentinel|cluster))?")
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}")


def store(text: str) -> str:
    """`memory`, `postgres`, or the URL of a Valkey or Redis server; raises Refused."""
    if text.lower() in (MEMORY, POSTGRES):
        return text.lower()
    return _url(text, _VALKEY, "valkey://127.0.0.1:6379", f"must be {MEMORY}, {POSTGRES} or a valkey:// URL")


def database(text: str) -> str:
    """The URL of a PostgreSQL database; raises Refused."""
    told = "must be a postgresql:// URL"
    return _url(text, re.compile("postgres(?:ql)?"), "postgresql://undertone@127.0.0.1/undertone", told)


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
