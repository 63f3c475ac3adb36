"""JSON Schema (2020-12), put together from declarations: enums, patterns, bounds and dataclasses."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

STRING: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
"""ISO 8601 in UTC, to the millisecond."""
COUNT: Schema = {"type": "integer", "minimum": 0}


def whole(low: int, high: int) -> Schema:
    """A whole number within [low, high]."""
    return {"type": "integer", "minimum": low, "maximum": high}


def number(low: float, high: float) -> Schema:
    """A number within [low, high]."""
    return {"type": "number", "minimum": low, "maximum": high}


def one_of(words: Iterable[str] | type[StrEnum]) -> Schema:
    """One of these words, or of the enum's values."""
    return {"type": "string", "enum": [str(word) for word in words]}


def matching(pattern: re.Pattern[str], max_chars: int | None = None) -> Schema:
    r"""Text that `pattern` matches from its beginning to its `\Z`, which ECMA 262 doesn't know."""
    schema: Schema = {"type": "string", "pattern": "^" + pattern.pattern.removesuffix(r"\Z") + "$"}
    return schema if max_chars is None else {**schema, "maxLength": max_chars}


def array(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in schema or "anyOf" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    wider = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        wider["enum"] = [*schema["enum"], None]
    return wider


def closed(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """An object with these properties and no others."""
    return {**record(properties, required), "additionalProperties": False}


def record(properties: Mapping[str, Schema], required: Iterable[str] | None = None) -> Schema:
    """An object with these properties, all of them unless `required` says which, and perhaps others."""
    needed = list(properties if required is None else required)
    schema: Schema = {"type": "object", "properties": dict(properties)}
    return {**schema, "required": needed} if needed else schema


def ref(name: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def told(schema: Schema, description: str) -> Schema:
    """The same with a word about it."""
    return {**schema, "description": description}
