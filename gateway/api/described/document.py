"""The OpenAPI document (https://spec.openapis.org/oas/v3.1.1.html)."""

from typing import Any

from gateway.api.described import catalogue, older
from gateway.api.described.answers import components
from gateway.api.described.operation import Operation

OPERATIONS: tuple[Operation, ...] = (*catalogue.OPERATIONS, *older.OPERATIONS)
"""Every operation over HTTP, in the order that a reader meets them; `HEAD` goes wherever `GET` does."""

_ABOUT = (
    "Sessions of the real-time audio gateway over HTTP. Audio goes in and events come out over the WebSocket "
    "that a session names. Whatever can't be done is told in a problem document (RFC 9457) whose `code` is "
    "stable. Each `GET` can be asked with `HEAD`, and `OPTIONS` tells what a path answers to."
)
_OPEN = " This gateway is open: whoever knows a session's id may use it."
_KEYED = " This gateway needs keys."


def document(server: str, version: str, *, keyed: bool) -> dict[str, Any]:
    """The whole of it, for a gateway of this `version` that is reached at the URL `server`.

    Args:
        keyed: whether it needs keys.
    """
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = one.written(keyed=keyed)
    parts: dict[str, Any] = {"schemas": components()}
    if keyed:
        parts["securitySchemes"] = _schemes()
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Undertone",
            "version": version,
            "description": _ABOUT + (_KEYED if keyed else _OPEN),
        },
        "servers": [{"url": server}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in OPERATIONS)],
        "paths": paths,
        "components": parts,
    }


def _schemes() -> dict[str, Any]:
    return {
        "key": {"type": "http", "scheme": "bearer", "description": "A namespace's key: `prefix.secret`."},
        "ticket": {"type": "http", "scheme": "bearer", "description": "A ticket or a resume token."},
    }
