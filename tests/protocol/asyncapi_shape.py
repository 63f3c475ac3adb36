"""The objects of AsyncAPI 3.0 that the description uses, as a JSON Schema of our own.

Written by hand after the specification's tables of fields, since no package of the tests' set-up carries the
published schema: each object has the fields that the specification gives it, `x-` extensions, and no others.
"""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_WORD = {"type": "string", "pattern": r"^[A-Za-z0-9_-]+$"}
_SCHEMA = {"$ref": "http://json-schema.org/draft-07/schema#"}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }


def _map(of: Any) -> dict[str, Any]:
    return {"type": "object", "propertyNames": _WORD, "additionalProperties": of, "minProperties": 1}


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1, "uniqueItems": True}


_REF = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
    "additionalProperties": False,
}
_SERVER = _object(
    ("host", "protocol"),
    host=_TEXT,
    protocol={"enum": ["ws", "wss"]},
    protocolVersion=_TEXT,
    description=_TEXT,
    security=_list(_REF),
)
_WEBSOCKET = _object((), method={"enum": ["GET", "POST"]}, query=_SCHEMA, headers=_SCHEMA)
_CHANNEL = _object(
    ("address",),
    address=_TEXT,
    title=_TEXT,
    description=_TEXT,
    servers=_list(_REF),
    messages=_map(_REF),
    bindings=_object((), ws=_WEBSOCKET),
)
_OPERATION = _object(
    ("action", "channel"),
    action={"enum": ["send", "receive"]},
    channel=_REF,
    summary=_TEXT,
    messages=_list(_REF),
    reply=_object((), channel=_REF, messages=_list(_REF)),
)
_MESSAGE = _object(
    (),
    name=_TEXT,
    title=_TEXT,
    summary=_TEXT,
    description=_TEXT,
    contentType={"type": "string", "pattern": r"^\w+/[\w.+-]+$"},
    tags={"type": "array", "items": _object(("name",), name=_TEXT)},
    payload=_SCHEMA,
)
_SECURITY = {
    "oneOf": [
        _object(("type", "scheme"), type={"const": "http"}, scheme=_TEXT, description=_TEXT),
        _object(
            ("type", "name", "in"),
            type={"const": "httpApiKey"},
            name=_TEXT,
            description=_TEXT,
            **{"in": {"enum": ["query", "header", "cookie"]}},
        ),
    ]
}

SHAPE = _object(
    ("asyncapi", "info"),
    asyncapi={"const": "3.0.0"},
    info=_object(
        ("title", "version"),
        title=_TEXT,
        version=_TEXT,
        description=_TEXT,
        license=_object(("name",), name=_TEXT),
    ),
    defaultContentType=_TEXT,
    servers=_map(_SERVER),
    channels=_map(_CHANNEL),
    operations=_map(_OPERATION),
    components=_object((), messages=_map(_MESSAGE), schemas=_map(_SCHEMA), securitySchemes=_map(_SECURITY)),
)
