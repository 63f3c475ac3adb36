"""A session as a document, for stores that keep it outside this process: JSON, with the version of its shape.

What a later version adds is ignored by an earlier one of the same major number and lost when that writes, so
a rolling upgrade changes the number only where losing it would matter.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final, get_args, get_origin, get_type_hints

import orjson

from gateway.errors import BadDocument
from gateway.sessions.model import Checkpoint, Session, Status
from protocol.audio import AudioFormat
from protocol.control import Delivery, Feature, SessionConfig
from protocol.errors import ProtocolError

VERSION: Final = 1
"""Of the shape; a document with a greater one was written by a newer gateway."""

_PLAIN: Final = tuple(
    one.name for one in fields(Session) if one.name not in {"audio", "config", "checkpoints", "status"}
)
_OPTIONAL: Final = frozenset(
    one.name for one in fields(Session) if one.default is not MISSING or one.default_factory is not MISSING
)


def _kinds(hint: Any) -> tuple[type[Any], ...]:
    """What JSON may have in the place of a field; a whole number is a number."""
    kinds = tuple(get_origin(one) or one for one in get_args(hint) or (hint,))
    return (*kinds, int) if float in kinds else kinds


_HINTS: Final = get_type_hints(Session)
_KINDS: Final = {
    name: (dict,) if get_origin(_HINTS[name]) is Mapping else _kinds(_HINTS[name]) for name in _PLAIN
}


def encode_session(session: Session) -> bytes:
    """The document of a session: a JSON object, UTF-8.

    Raises:
        BadDocument: its metadata holds what JSON can't say.
    """
    told = {name: getattr(session, name) for name in _PLAIN}
    checkpoints = [
        {"name": one.name, "at": one.at, "sample": one.sample, "data": one.data}
        for one in session.checkpoints
    ]
    try:
        return orjson.dumps(
            {
                "v": VERSION,
                **told,
                "status": session.status.value,
                "audio": session.audio.to_dict(),
                "config": session.config.to_dict(),
                "checkpoints": checkpoints,
            },
            default=_plain,
        )
    except orjson.JSONEncodeError as error:
        raise BadDocument("the session can't be written as JSON") from error


def decode_session(document: bytes | str, session_id: str | None = None) -> Session:
    """The session of a document, which is `session_id`'s where that is given.

    Raises:
        BadDocument: it is damaged, or newer than this gateway; the message says which, and nothing it holds.
    """
    try:
        said = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise BadDocument("a session's document is no JSON") from error
    if not isinstance(said, Mapping) or not isinstance(said.get("v"), int):
        raise BadDocument("a session's document has no version")
    if said["v"] > VERSION:
        raise BadDocument(f"a session's document has version {said['v']}, this gateway knows {VERSION}")
    try:
        plain = {name: said[name] for name in _PLAIN if name in said or name not in _OPTIONAL}
        if any(not isinstance(value, _KINDS[name]) for name, value in plain.items()):
            raise BadDocument("a session's document has a field of another type")
        if session_id is not None and plain["id"] != session_id:
            raise BadDocument("a session's document is another session's")
        return Session(
            **plain,
            status=Status(said["status"]),
            audio=AudioFormat(**_known(AudioFormat, said["audio"])),
            config=config_of(said["config"]),
            checkpoints=tuple(Checkpoint(**_known(Checkpoint, one)) for one in said["checkpoints"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ProtocolError) as error:
        raise BadDocument("a session's document is damaged") from error


def config_of(said: Mapping[str, Any]) -> SessionConfig:
    """A configuration out of what `SessionConfig.to_dict` made of it; what is not known is passed over.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, ProtocolError: it is damaged.
    """
    given = _known(SessionConfig, said)
    given["features"] = frozenset(map(Feature, given["features"]))
    given["delivery"] = Delivery(given["delivery"])
    return SessionConfig(**given)


def _known(kind: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What this version has a place for."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in said.items() if name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
