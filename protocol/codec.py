"""Messages ↔ bytes, with the limits that keep a hostile peer cheap.

Events leave in the connection's encoding; control messages are always JSON. What arrives is bounded in size
and depth, has nothing after its end and no number that JSON can't write; garbage raises `ProtocolError`.
"""

import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import msgpack  # type: ignore[import-untyped]
import orjson

from protocol.control import CONTROLS, Configure, ControlMessage, Feature
from protocol.errors import ErrorCode, ProtocolError, invalid_field
from protocol.events import EVENTS, Event, SensedEvent, UnknownEvent
from protocol.shape import Shape, UnknownLabelError
from protocol.version import Encoding

MAX_CONTROL_BYTES = 16_384
"""Bytes of one control message."""
MAX_CONTROL_DEPTH = 4
"""Nested maps and lists in a control message, itself included."""
MAX_MESSAGE_BYTES = 65_536
"""Bytes of any WebSocket message, events and audio alike."""
MAX_EVENT_DEPTH = 8
"""Nested maps and lists in an event, itself included."""

_MAX_NAME_CHARS = 64
"""How much of an unknown name an error repeats."""

_SHAPES = {cls: Shape(cls) for cls in EVENTS.values()}
_pack = msgpack.Packer(autoreset=True).pack
# A msgpack float64 that is NaN or infinite (IEEE 754: all exponent bits set). Other values may look like one;
# then the careful path runs for nothing, and the bytes are the same.
_non_finite = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL).search


def encode_event(event: Event, encoding: Encoding) -> bytes:
    """One message: a msgpack map, or JSON as UTF-8 (to be sent as text).

    Non-finite numbers become null, and what no encoding can write is made writable, so that an event always
    leaves. `extra` is left out where it would make the message too large.

    Raises:
        ProtocolError: `internal`, where the declared keys alone pass MAX_MESSAGE_BYTES.
    """
    shape = _SHAPES[event.__class__]
    wire = shape.to_map(event)
    if isinstance(event, SensedEvent) and event.extra:
        data = _write({**_flattened(event.extra), **wire}, encoding)
        if len(data) <= MAX_MESSAGE_BYTES:
            return data
    data = _write(wire, encoding)
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(ErrorCode.INTERNAL, f"a {event.type} event is too large to send")
    return data


def decode_event(data: bytes | str, encoding: Encoding) -> Event | UnknownEvent:
    """The event in one message; unknown keys are passed over, or kept in `extra` where the class has it.

    An event of a type or with a label that this version doesn't know is an `UnknownEvent`.

    Raises:
        ProtocolError: `message_too_large` or `malformed_message`.
    """
    wire = _read(data, encoding)
    kind = wire.pop("type", None)
    if type(kind) is not str:
        raise _malformed("an event needs a type")
    cls = EVENTS.get(kind)
    if cls is None:
        return UnknownEvent(kind, wire)
    try:
        return _SHAPES[cls].from_map(wire)
    except UnknownLabelError:
        return UnknownEvent(kind, wire)


def encode_control(message: ControlMessage) -> str:
    """One JSON object; fields that are None are left out."""
    wire: dict[str, Any] = {"type": message.type}
    for one in fields(message):
        value = getattr(message, one.name)
        if value is not None:
            wire[one.name] = value
    if isinstance(message, Configure) and message.features is not None:
        wire["features"] = [feature for feature in Feature if feature in message.features]
    return orjson.dumps(wire).decode()


def decode_control(text: str | bytes) -> ControlMessage:
    """The control message in one JSON object. Of repeated keys the last counts (RFC 8259 section 4).

    Raises:
        ProtocolError: `message_too_large`, `malformed_message`, `unknown_message`, or `invalid_field` naming
            the field, also one that the message doesn't have.
    """
    wire = _from_json(text, MAX_CONTROL_BYTES)
    _check(wire, MAX_CONTROL_DEPTH)
    kind = wire.pop("type", None)
    if type(kind) is not str:
        raise _malformed("a control message needs a type")
    cls = CONTROLS.get(kind)
    if cls is None:
        raise ProtocolError(
            ErrorCode.UNKNOWN_MESSAGE, f"known are {', '.join(CONTROLS)}", param=kind[:_MAX_NAME_CHARS]
        )
    known = {one.name: one.default is MISSING for one in fields(cls)}
    for name in wire.keys() - known.keys():
        raise invalid_field(name[:_MAX_NAME_CHARS], f"{kind} has no such field")
    for name, required in known.items():
        if required and name not in wire:
            raise invalid_field(name, f"{kind} needs it")
    return cls(**wire)


def _malformed(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.MALFORMED_MESSAGE, message)


def _flattened(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): _plain(value, MAX_EVENT_DEPTH - 1) for key, value in extra.items()}


def _write(wire: dict[str, Any], encoding: Encoding) -> bytes:
    try:
        data = orjson.dumps(wire) if encoding is Encoding.JSON else _pack(wire)
    except (TypeError, ValueError, OverflowError):
        return _write(_plain(wire, MAX_EVENT_DEPTH), encoding)
    if encoding is Encoding.MSGPACK and _non_finite(data) is not None:
        plain: bytes = _pack(_plain(wire, MAX_EVENT_DEPTH))
        return plain
    return data


def _plain(value: Any, depth: int) -> Any:
    """`value` out of what every encoding can write: finite numbers of 64 bits, whole text, `depth` levels."""
    if value is None or isinstance(value, bool):
        return value
    kind = type(value)  # what JSON and msgpack have, before the many things that there may be besides
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is int and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, numbers.Integral):
        whole = int(value)
        return whole if -(2**63) <= whole < 2**63 else _finite(whole)
    if isinstance(value, numbers.Real):
        return _finite(value)
    if isinstance(value, Mapping):
        return (
            {_plain(str(key), 1): _plain(item, depth - 1) for key, item in value.items()} if depth else None
        )
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, depth - 1) for item in value] if depth else None
    return None


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _read(data: bytes | str, encoding: Encoding) -> dict[str, Any]:
    wire = (
        _from_json(data, MAX_MESSAGE_BYTES)
        if encoding is Encoding.JSON
        else _from_msgpack(data, MAX_MESSAGE_BYTES)
    )
    _check(wire, MAX_EVENT_DEPTH)
    return wire


def _from_json(data: bytes | str, limit: int) -> dict[str, Any]:
    _check_size(len(data), limit)
    try:
        raw = data.encode() if isinstance(data, str) else data
        _check_size(len(raw), limit)
        wire = orjson.loads(raw)
    except ValueError:
        raise _malformed("not one JSON value") from None
    if type(wire) is not dict:
        raise _malformed("not a JSON object")
    return wire


def _from_msgpack(data: bytes | str, limit: int) -> dict[str, Any]:
    if isinstance(data, str):
        raise _malformed("text where a binary message was agreed on")
    _check_size(len(data), limit)
    try:
        wire = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException):
        raise _malformed("not one msgpack value") from None
    if type(wire) is not dict:
        raise _malformed("not a msgpack map")
    return wire


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ProtocolError(ErrorCode.MESSAGE_TOO_LARGE, f"at most {limit} bytes")


def _check(wire: dict[str, Any], depth: int) -> None:
    """Nothing nested deeper than `depth`, nothing JSON can't write; level by level, without recursion."""
    level: list[Any] = [wire]
    while level:
        if depth == 0:
            raise _malformed("nested too deeply")
        depth -= 1
        level = [item for one in level for item in _contents(one) if not _is_scalar(item)]


def _contents(container: Any) -> Iterable[Any]:
    if type(container) is dict:
        if not all(type(key) is str for key in container):
            raise _malformed("keys must be text")
        return container.values()
    if type(container) is list:
        return container
    raise _malformed("a value that JSON can't write")


def _is_scalar(value: Any) -> bool:
    if type(value) is float:
        if not math.isfinite(value):
            raise _malformed("numbers must be finite")
        return True
    return value is None or type(value) in (str, int, bool)
