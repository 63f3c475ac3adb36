"""What may be sent: schemas of the bodies, from what checks them.

Three rules of a body can't be said in JSON Schema and stand in descriptions: `hop_ms` is never more than
`window_ms`, kept objects are bounded in bytes of JSON, and names are printable.
"""

import re
from functools import cache
from typing import Any

from gateway.api.body import (
    KEY_HASH,
    MAX_NAME_CHARS,
    MAX_NOTE_BYTES,
    MAX_OBJECT_BYTES,
    MAX_OBJECT_DEPTH,
    OBJECT_FIELDS,
    OLD_NAMES,
    TEXT_FIELDS,
)
from gateway.api.described import schema as s
from gateway.api.described.schema import Schema
from gateway.api.legacy_words import DEFAULT_WINDOW_MS
from gateway.api.legacy_words import MAX_LANGUAGE_CHARS as MAX_LEGACY_LANGUAGE_CHARS
from gateway.api.notes import CHECKPOINT_NAME
from gateway.sessions.model import Session
from gateway.sessions.notes import Milestone
from gateway.sessions.tickets import Role
from gateway.tasks.export.formats import FORMATS
from gateway.tasks.export.lanes import Lane
from gateway.tasks.recipes import DEFAULT_EXPORT, DEFAULT_REPORT, EXPORT_OPTIONS, REPORT_OPTIONS, REPORTS
from protocol import checks
from protocol.audio import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioEncoding, AudioFormat
from protocol.control import (
    LANGUAGE_PATTERN,
    MAX_LANGUAGE_CHARS,
    MAX_SPEAKERS,
    MAX_WINDOW_MS,
    MIN_HOP_MS,
    MIN_WINDOW_MS,
    Configure,
    Delivery,
    Feature,
    SessionConfig,
)
from protocol.reference import field_docs

_LANGUAGE = re.compile(LANGUAGE_PATTERN)

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}
"""Printable, as the description says: what that is has no words in the dialect that every validator knows."""

AUDIO: dict[str, Schema] = {
    "encoding": s.one_of(AudioEncoding),
    "sample_rate": s.whole(MIN_SAMPLE_RATE, MAX_SAMPLE_RATE),
    "channels": s.whole(1, MAX_CHANNELS),
}
CONFIG: dict[str, Schema] = {
    "hop_ms": s.whole(MIN_HOP_MS, MAX_WINDOW_MS),
    "window_ms": s.whole(MIN_WINDOW_MS, MAX_WINDOW_MS),
    "elcor": s.BOOLEAN,
    "language": s.matching(_LANGUAGE, MAX_LANGUAGE_CHARS),
    "num_speakers": s.whole(0, MAX_SPEAKERS),
    "min_confidence": s.number(0, 1),
    "features": s.array(s.one_of(Feature)),
    "delivery": s.one_of(Delivery),
}


@cache
def settings() -> dict[str, Schema]:
    """Each setting of a session with its default and the words of its declaration; null is left out."""
    docs = field_docs(AudioFormat) | field_docs(Configure)
    defaults = AudioFormat().to_dict() | SessionConfig().to_dict()
    return {
        name: {**s.told(s.nullable(schema), docs[name]), "default": defaults[name]}
        for name, schema in {**AUDIO, **CONFIG}.items()
    }


def new_session() -> Schema:
    """The body of `POST /api/v1/sessions`."""
    kept = f"Kept as it is: at most {MAX_OBJECT_BYTES} bytes of JSON, nested at most {MAX_OBJECT_DEPTH} deep."
    docs = field_docs(Session)
    printable = f"1 to {MAX_NAME_CHARS} printable characters."
    properties = {name: s.told(s.nullable(NAME), f"{docs[name]} {printable}") for name in TEXT_FIELDS}
    properties |= {
        old: {**s.told(s.nullable(NAME), f"The older name of {name}."), "deprecated": True}
        for old, name in OLD_NAMES.items()
    }
    properties |= {name: s.told(s.nullable(s.ANYTHING), kept) for name in OBJECT_FIELDS}
    hashed = "SHA-256 of the key's secret in hexadecimal, in place of an Authorization header."
    properties["key_hash"] = s.told(s.nullable(s.matching(KEY_HASH)), hashed)
    return s.closed(properties | settings())


def checkpoint() -> Schema:
    """The body of `POST …/checkpoints`."""
    name = {**s.matching(CHECKPOINT_NAME), "not": {"enum": [str(one) for one in Milestone]}}
    kept = f"Kept as it is: at most {MAX_NOTE_BYTES} bytes of JSON, nested at most {MAX_OBJECT_DEPTH} deep."
    return s.closed({"name": name, "data": s.told(s.nullable(s.ANYTHING), kept)}, ["name"])


def ticket() -> Schema:
    """The body of `POST …/tickets`."""
    return s.closed({"role": {**s.one_of(Role), "default": str(Role.OWNER)}})


def task() -> Schema:
    """The body of `POST …/tasks`: what options there are depends on the type, and on the format."""
    plain = [name for name, one in FORMATS.items() if not one.takes_lanes]
    laned = [name for name, one in FORMATS.items() if one.takes_lanes]
    lanes = s.nullable({**s.array(s.one_of(Lane)), "minItems": 1, "maxItems": len(Lane)})
    as_it_is = s.nullable({**s.one_of(plain), "default": DEFAULT_EXPORT})
    chosen = {"format": s.one_of(laned), "lanes": lanes}
    report = dict.fromkeys(REPORT_OPTIONS, s.nullable({**s.one_of(REPORTS), "default": DEFAULT_REPORT}))
    return {
        "anyOf": [
            _task("export", s.closed({"format": as_it_is, "lanes": {"type": "null"}})),
            _task(
                "export", s.closed({name: chosen[name] for name in EXPORT_OPTIONS}, ["format"]), ["options"]
            ),
            _task("report", s.closed(report)),
            _task("summary", s.closed({})),
        ]
    }


def _task(name: str, options: Schema, required: list[str] | None = None) -> Schema:
    given = options if required else s.nullable(options)
    return s.closed({"type": s.one_of([name]), "options": given}, ["type", *(required or [])])


def legacy_start() -> Schema:
    """The body of `POST /session/start`: numbers out of range become the nearest, other keys are passed."""
    any_number = s.nullable(s.whole(-checks.MAX_SAMPLE, checks.MAX_SAMPLE))
    language: dict[str, Any] = s.matching(_LANGUAGE, min(MAX_LANGUAGE_CHARS, MAX_LEGACY_LANGUAGE_CHARS))
    properties: dict[str, Schema] = {
        "elcor": {**s.nullable(s.BOOLEAN), "default": False},
        "window_ms": {**any_number, "default": DEFAULT_WINDOW_MS},
        "transcribe_lang": {"anyOf": [language, {"enum": ["", None]}]},
        "num_speakers": any_number,
    }
    return {"type": "object", "properties": properties}
