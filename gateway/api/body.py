"""What a client may ask of a new session, over REST and in the WebSocket's query, read strictly."""

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from gateway.api.problems import Problem
from gateway.sessions.service import NewSession
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.errors import ErrorCode, ProtocolError

MAX_BODY_BYTES = 16 * 1024
MAX_NAME_CHARS = 128

TEXT_FIELDS = ("namespace_id", "user_id", "device_type", "client_version")
_AUDIO = ("encoding", "sample_rate", "channels")
_CONFIG = (
    "hop_ms",
    "window_ms",
    "elcor",
    "language",
    "num_speakers",
    "min_confidence",
    "features",
    "delivery",
)
OLD_NAMES = {"agent_type": "device_type"}
"""What older callers say, and what it is called here."""
OBJECT_FIELDS = ("metadata", "context")
BODY_FIELDS = frozenset((*TEXT_FIELDS, *OLD_NAMES, *OBJECT_FIELDS, *_AUDIO, *_CONFIG, "key_hash"))
"""All that the body of a new session may hold."""
_ATTACH = frozenset(("session_id", "epoch", "after", "role"))
_QUERY = frozenset((*TEXT_FIELDS, *OLD_NAMES, *_AUDIO, *_CONFIG, *_ATTACH))
KEY_HASH = re.compile(r"[0-9a-fA-F]{64}\Z")
"""A SHA-256 in hexadecimal."""

MAX_OBJECT_BYTES = 4 * 1024
"""Of a JSON object that the gateway keeps and never looks into."""
MAX_OBJECT_DEPTH = 8
MAX_NOTE_BYTES = 1024
"""Of the same, where a session may have many."""


_NOT_JSON = "the body is not valid JSON, or has numbers too large or nests too deep to be read"


async def read_json_object(request: Request) -> dict[str, Any]:
    """The request's body: a JSON object, or nothing at all for an empty one.

    Raises:
        Problem: too large, not JSON, not an object, or not sent as JSON.
    """
    body = await _read(request)
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "send the body as application/json"
        )
    try:
        given = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", _NOT_JSON) from error
    if not isinstance(given, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", "the body is not a JSON object")
    return {name: _whole_if_so(value) for name, value in given.items()}


def _whole_if_so(value: object) -> object:
    """`1.0` as 1: to JSON Schema they are one number, and some clients write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def _read(request: Request) -> bytearray:
    body = bytearray()
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and len(declared) < 20 and int(declared) > MAX_BODY_BYTES:
        raise _too_large()  # before the server refuses to read on
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect as gone:  # nobody will read this, but it is no failure of ours
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", "the body is not whole") from gone
    return body


def _too_large() -> Problem:
    detail = f"the body is over {MAX_BODY_BYTES} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)


def new_session_from_body(given: Mapping[str, Any]) -> NewSession:
    """The session a POST body asks for.

    Raises:
        ProtocolError: `invalid_field`, naming it.
    """
    refuse_unknown(given, BODY_FIELDS)
    check_key_hash(given)
    return NewSession(
        **_names(given),
        **_objects(given),
        audio=AudioFormat.from_mapping(given),
        config=SessionConfig.from_mapping(given),
    )


def check_key_hash(given: Mapping[str, Any]) -> None:
    """A `key_hash` that is there looks like one.

    Raises:
        ProtocolError: `invalid_field`, naming it.
    """
    key_hash = given.get("key_hash")
    if key_hash is not None and not (isinstance(key_hash, str) and KEY_HASH.match(key_hash)):
        raise invalid("key_hash", "must be a SHA-256 in 64 hexadecimal digits")


def kept_object(name: str, value: object, max_bytes: int = MAX_OBJECT_BYTES) -> dict[str, Any]:
    """A JSON object of a bearable size.

    Raises:
        ProtocolError: `invalid_field`, naming it.
    """
    if not isinstance(value, dict):
        raise invalid(name, "must be a JSON object")
    if _deeper_than(MAX_OBJECT_DEPTH, value):
        raise invalid(name, f"must be nested at most {MAX_OBJECT_DEPTH} deep")
    if len(orjson.dumps(value)) > max_bytes:
        raise invalid(name, f"must be at most {max_bytes} bytes of JSON")
    return value


def new_session_from_query(given: Mapping[str, str]) -> NewSession:
    """The session a WebSocket's query asks for.

    Raises:
        ProtocolError: `invalid_field`, naming it.
    """
    return NewSession(
        **_names(given), audio=AudioFormat.from_query(given), config=SessionConfig.from_query(given)
    )


def refuse_unknown_query(given: Mapping[str, str]) -> None:
    """A misspelt parameter must not pass for a default.

    Raises:
        ProtocolError: `invalid_field`, naming the first unknown parameter.
    """
    refuse_unknown(given, _QUERY)


def refuse_settings(given: Mapping[str, str]) -> None:
    """A session that exists has its settings; they are changed by `configure`.

    Raises:
        ProtocolError: `invalid_field`, naming the first setting.
    """
    for name in (*_CONFIG, *TEXT_FIELDS, *OLD_NAMES):
        if name in given:
            raise invalid(name, "is set when a session is created; `configure` changes settings")


def asks_for_audio(given: Mapping[str, str]) -> bool:
    """Whether the query names an audio format."""
    return any(name in given for name in _AUDIO)


def refuse_unknown(given: Mapping[str, Any], known: Collection[str]) -> None:
    """A misspelt field must not pass for one that was left out.

    Raises:
        ProtocolError: `invalid_field`, naming the first unknown one.
    """
    for name in given:
        if name not in known:
            raise invalid(str(name)[:64], "is not a known field")


def invalid(name: str, why: str) -> ProtocolError:
    """What is wrong with a field."""
    return ProtocolError(ErrorCode.INVALID_FIELD, f"{name} {why}", param=name)


def _names(given: Mapping[str, Any]) -> dict[str, Any]:
    names: dict[str, str] = {}
    for said in (*TEXT_FIELDS, *OLD_NAMES):
        value = given.get(said)
        if value is None:
            continue
        if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS or not value.isprintable():
            raise invalid(said, f"must be 1 to {MAX_NAME_CHARS} printable characters")
        name = OLD_NAMES.get(said, said)
        if names.setdefault(name, value) != value:
            raise invalid(said, f"must not differ from {name}, whose older name it is")
    return names


def _objects(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kept_object(name, given[name]) for name in OBJECT_FIELDS if given.get(name) is not None}


def _deeper_than(levels: int, value: object) -> bool:
    """Whether lists and objects are nested deeper than that; looks no deeper."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(levels - 1, one) for one in inner)
