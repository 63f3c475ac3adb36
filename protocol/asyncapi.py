"""The WebSocket as an AsyncAPI 3.0 document: what the protocol page tells people, for machines.

Nothing is written twice: messages come from their classes, codes and states from their tables. The
application that the document describes is the gateway, so it *receives* audio and controls and *sends* events
(AsyncAPI 3.0, Operation Object). What the specification has no place for (close codes, error codes, the
connection's states, the limits) stands in extensions whose names begin with `x-`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from protocol import audio, codec, control, schemas, version
from protocol.audio import AudioFormat
from protocol.close import CloseCode, reconnect
from protocol.control import CONTROLS, Configure
from protocol.errors import ErrorCode
from protocol.events import EVENTS, AudioEvent, ClassifiedEvent, Event
from protocol.reference import field_docs
from protocol.states import TRANSITIONS, ConnectionState
from protocol.version import Encoding

ADDRESS = "/ws/voice"

Document = dict[str, Any]

_MEDIA_TYPES: Mapping[Encoding, str] = {
    Encoding.MSGPACK: "application/msgpack",
    Encoding.JSON: "application/json",
}
_REPLIES: Mapping[str, str] = {
    "configure": "configured",
    "flush": "flushed",
    "ping": "pong",
    "end": "summary",
}
"""What answers a control message where it is taken."""
_PLACES: Mapping[str, str] = {
    "session_id": "An existing session; without it a new one is created.",
    "user_id": "Whom a new session belongs to; 1 to 128 printable characters.",
    "device_type": "What a new session is on; 1 to 128 printable characters.",
    "agent_type": "The older name of `device_type`.",
    "client_version": "Of the software that asks; 1 to 128 printable characters.",
    "namespace_id": "The namespace of a new session; with keys it is the key's own.",
    "role": "`observer` only reads and never replaces the owner.",
    "epoch": "Resume: the `epoch` of the last `welcome`.",
    "after": "Resume: the last `seq` seen.",
}
"""What a URL's query may hold beside an audio format and settings."""
_VOICE = """One socket for a session's audio, its controls and its events.

A client's binary messages are PCM and nothing else, its text messages are one JSON object each. Events
come as binary messages (one msgpack map each) with the subprotocol `undertone.v1.msgpack`, which is the
default, and as text messages (one JSON object each) with `undertone.v1.json`. Both hold the same keys, so
one schema serves both. `welcome` always comes first. Pass over events of unknown types, unknown keys and
unknown labels: later versions of `undertone.v1` may add some."""


def document(software_version: str) -> Document:
    """The whole description, but for the servers, which depend on who asks.

    Args:
        software_version: of the gateway; the protocol's own is in its name.
    """
    return {
        "asyncapi": "3.0.0",
        "info": _info(software_version),
        "defaultContentType": _MEDIA_TYPES[Encoding.MSGPACK],
        "channels": {"voice": _voice()},
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": schemas.named_schemas(),
            "securitySchemes": _security_schemes(),
        },
        "x-limits": _limits(),
        "x-close-codes": _close_codes(),
        "x-error-codes": _error_codes(),
        "x-states": _states(),
    }


def server(host: str, *, secure: bool, keyed: bool) -> Document:
    """A Server Object: where to connect, and with what.

    Args:
        host: name and, unless it is the scheme's own, port.
        secure: TLS.
        keyed: a credential is needed.
    """
    found: Document = {
        "host": host,
        "protocol": "wss" if secure else "ws",
        "protocolVersion": "13",
        "description": "This gateway.",
    }
    if keyed:
        found["security"] = [_ref("components", "securitySchemes", name) for name in _security_schemes()]
    return found


def _info(software_version: str) -> Document:
    return {
        "title": "Undertone: voice",
        "version": software_version,
        "description": (
            f"The WebSocket protocol `{version.PROTOCOL}`: microphone audio in, events about how things are "
            "said out."
        ),
        "license": {"name": "MIT"},
    }


def _ref(*path: str) -> Document:
    return {"$ref": "#/" + "/".join(path)}


def _voice() -> Document:
    names = ["audio", *CONTROLS, *EVENTS]
    return {
        "address": ADDRESS,
        "title": "Voice",
        "description": _VOICE,
        "servers": [_ref("servers", "gateway")],
        "messages": {name: _ref("components", "messages", name) for name in names},
        "bindings": {"ws": {"method": "GET", "query": _query(), "headers": _headers()}},
        "x-subprotocols": {name: _MEDIA_TYPES[one] for name, one in version.SUBPROTOCOLS.items()},
    }


def _query() -> Document:
    given = {**schemas.property_schemas(AudioFormat), **schemas.property_schemas(Configure)}
    return {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "description": text} for name, text in _PLACES.items()},
            **{name: _as_text(name, schema) for name, schema in given.items()},
        },
        "additionalProperties": False,
    }


def _as_text(name: str, schema: Document) -> Document:
    """A setting as a URL says it: never `null`, and lists separated by commas."""
    text = {key: value for key, value in schema.items() if key not in ("items", "type")}
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    (kind,) = (one for one in kinds if one != "null")
    if kind == "array":
        words = ", ".join(schema["items"]["enum"])
        return {"type": "string", "description": f"{text['description']} Separated by commas: {words}."}
    if "enum" in text:
        text["enum"] = [one for one in text["enum"] if one is not None]
    default = {**AudioFormat().to_dict(), **control.SessionConfig().to_dict()}[name]
    return {"type": kind, **text} | ({"default": default} if default is not None else {})


def _headers() -> Document:
    offer = (
        f"One or more of {', '.join(version.SUBPROTOCOLS)}; and, where a browser needs a credential, "
        f"`{version.TICKET_PREFIX}` with a ticket of at most {version.MAX_TICKET_CHARS} characters behind it."
    )
    return {
        "type": "object",
        "properties": {
            "Sec-WebSocket-Protocol": {"type": "string", "description": offer},
            "Authorization": {"type": "string", "description": "`Bearer` and a ticket, token or key."},
        },
    }


def _security_schemes() -> dict[str, Document]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A ticket, a resume token, or the key of the session's namespace.",
        },
        "ticket": {
            "type": "httpApiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": f"A ticket behind `{version.TICKET_PREFIX}`, beside the subprotocol wanted.",
        },
    }


def _messages() -> dict[str, Document]:
    return {
        "audio": _audio(),
        **{
            name: {
                **_heading(cls),
                "contentType": _MEDIA_TYPES[Encoding.JSON],
                "payload": schemas.control_schema(cls),
            }
            for name, cls in CONTROLS.items()
        },
        **{
            name: {**_heading(cls), "tags": _tags(cls), "payload": schemas.event_schema(cls)}
            for name, cls in EVENTS.items()
        },
    }


def _heading(cls: Any) -> Document:
    return {"name": cls.type, "title": cls.__name__, "summary": " ".join((cls.__doc__ or "").split())}


def _tags(cls: type[Event]) -> list[Document]:
    held = {
        "durable": cls.durable,
        "about audio": issubclass(cls, AudioEvent),
        "latency receipt": issubclass(cls, ClassifiedEvent),
    }
    return [{"name": name} for name, holds in held.items() if holds]


def _audio() -> Document:
    docs = field_docs(audio.AudioEncoding)
    kinds = " ".join(f"`{one.value}`: {docs[one.name]}" for one in audio.AudioEncoding)
    return {
        "name": "audio",
        "title": "Audio",
        "summary": "PCM in the session's format, cut anywhere; channels are interleaved.",
        "description": kinds,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary", "maxLength": codec.MAX_MESSAGE_BYTES},
    }


def _operations() -> dict[str, Document]:
    return {
        "audio": _operation("receive", ["audio"], "Hear what the client's microphone hears."),
        **{name: _control(name) for name in CONTROLS},
        "events": _operation("send", EVENTS, "Tell what was heard, and how the session fares."),
    }


def _control(name: str) -> Document:
    found = _operation("receive", [name], " ".join((CONTROLS[name].__doc__ or "").split()))
    if name in _REPLIES:
        answers = [_ref("channels", "voice", "messages", one) for one in (_REPLIES[name], "error")]
        found["reply"] = {"channel": _ref("channels", "voice"), "messages": answers}
    return found


def _operation(action: str, names: Iterable[str], summary: str) -> Document:
    return {
        "action": action,
        "channel": _ref("channels", "voice"),
        "summary": summary,
        "messages": [_ref("channels", "voice", "messages", name) for name in names],
    }


def _limits() -> Document:
    return {
        "messageBytes": codec.MAX_MESSAGE_BYTES,
        "controlBytes": codec.MAX_CONTROL_BYTES,
        "controlDepth": codec.MAX_CONTROL_DEPTH,
        "eventDepth": codec.MAX_EVENT_DEPTH,
        "ticketChars": version.MAX_TICKET_CHARS,
    }


def _close_codes() -> list[Document]:
    return [
        {"code": one.value, "meaning": one.meaning, "reconnect": reconnect(one).value} for one in CloseCode
    ]


def _error_codes() -> list[Document]:
    return [
        {
            "code": one.value,
            "fault": one.fault.value,
            "advice": one.advice,
            "closeCode": one.close_code.value,
        }
        for one in ErrorCode
    ]


def _states() -> Document:
    docs = field_docs(ConnectionState)
    steps: dict[str, dict[str, str]] = {one.value: {} for one in ConnectionState}
    for (state, given), following in TRANSITIONS.items():
        steps[state.value][given.value] = following.value
    return {
        "initial": ConnectionState.OPENING.value,
        "states": {one.value: {"description": docs[one.name], "on": steps[one]} for one in ConnectionState},
    }
