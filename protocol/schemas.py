"""JSON Schema (draft 7) of every message, read from its declaration as the reference page is.

A schema says no more than the code holds to: types, closed vocabularies, and for what a client sends the
bounds that are checked. Events may grow keys in a later version, so theirs are open; controls may not.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from protocol import audio, checks, control
from protocol.audio import AudioFormat
from protocol.control import Ack, Configure, ControlMessage, Flush, Ping, Position
from protocol.events import Event, Word
from protocol.reference import field_docs

Schema = dict[str, Any]

NAMED: Mapping[type, str] = {AudioFormat: "audioFormat", Word: "word"}
"""Records that stand within messages, and the names of their schemas."""

_SCHEMAS = "#/components/schemas/"
_SIMPLE: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
}


def _between(low: float, high: float) -> Schema:
    return {"minimum": low, "maximum": high}


_TOKEN: Schema = {"maxLength": checks.MAX_TOKEN_CHARS, **_between(-checks.MAX_SAMPLE, checks.MAX_SAMPLE)}
_BOUNDS: Mapping[type, Mapping[str, Schema]] = {
    AudioFormat: {
        "sample_rate": _between(audio.MIN_SAMPLE_RATE, audio.MAX_SAMPLE_RATE),
        "channels": _between(1, audio.MAX_CHANNELS),
    },
    Configure: {
        "hop_ms": _between(control.MIN_HOP_MS, control.MAX_WINDOW_MS),
        "window_ms": _between(control.MIN_WINDOW_MS, control.MAX_WINDOW_MS),
        "language": {"pattern": f"^{control.LANGUAGE_PATTERN}$", "maxLength": control.MAX_LANGUAGE_CHARS},
        "num_speakers": _between(0, control.MAX_SPEAKERS),
        "min_confidence": _between(0, 1),
    },
    Position: {"sample": _between(0, checks.MAX_SAMPLE)},
    Flush: {"id": _TOKEN},
    Ack: {"seq": _between(0, checks.MAX_SAMPLE)},
    Ping: {"t": {"maxLength": checks.MAX_TOKEN_CHARS}},
}
"""What is checked beyond the types, by class and field."""


def event_schema(cls: type[Event]) -> Schema:
    """One event: every declared key is always there, and there may be others."""
    return _record(cls, {"type": {"const": cls.type}}, all_required=True)


def control_schema(cls: type[ControlMessage]) -> Schema:
    """One control message: nothing but its own keys."""
    return {**_record(cls, {"type": {"const": cls.type}}), "additionalProperties": False}


def named_schemas() -> dict[str, Schema]:
    """The records that messages refer to, by name."""
    return {name: _record(cls, {}, all_required=True) for cls, name in NAMED.items()}


def property_schemas(cls: type) -> dict[str, Schema]:
    """The schema of each field of a message or record, with the docstring under it."""
    hints = get_type_hints(cls)
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        docs |= field_docs(base)
    bounds = _BOUNDS.get(cls, {})
    return {
        one.name: _described(_of(hints[one.name]) | bounds.get(one.name, {}), docs[one.name])
        for one in _wire_fields(cls)
    }


def _described(schema: Schema, text: str) -> Schema:
    # Draft 7 passes over whatever stands beside a $ref.
    return {"allOf": [schema], "description": text} if "$ref" in schema else schema | {"description": text}


def _record(cls: type, first: Schema, *, all_required: bool = False) -> Schema:
    required = [one.name for one in _wire_fields(cls) if all_required or _has_no_default(one)]
    return {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").split()),
        "properties": {**first, **property_schemas(cls)},
        "required": [*first, *required],
    }


def _wire_fields(cls: Any) -> list[Field[Any]]:
    return [one for one in fields(cls) if one.name != "extra"]


def _has_no_default(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _of(hint: Any) -> Schema:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _any_of([_of(one) for one in get_args(hint)])
    if origin in (tuple, frozenset):
        return {"type": "array", "items": _of(get_args(hint)[0])}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(get_args(hint)[1])}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [one.value for one in hint]}
    if isinstance(hint, type) and is_dataclass(hint):
        return {"$ref": _SCHEMAS + NAMED[hint]}
    return {"type": _SIMPLE[hint]}


def _any_of(schemas: list[Schema]) -> Schema:
    """One of several types in one schema; `null` joins a vocabulary as one more word."""
    merged: Schema = {"type": [one["type"] for one in schemas]}
    if {"integer", "number"} <= set(merged["type"]):
        merged["type"].remove("integer")
    for one in schemas:
        merged |= {name: value for name, value in one.items() if name != "type"}
    if "enum" in merged:
        merged["enum"] = [*merged["enum"], None]
    return merged
