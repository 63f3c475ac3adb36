"""What the codec knows of a message class, worked out once from its declaration.

A shape turns an instance into the map that goes on the wire, and a received map into an instance. New classes
need nothing here as long as their fields are built from the types that `_reader` lists.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any, Union, get_args, get_origin, get_type_hints

from protocol.audio import AudioFormat
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event

Reader = Callable[[Any], Any]
"""A wire value → a field's value; raises MismatchError or UnknownLabelError."""


class MismatchError(Exception):
    """A value is not of the declared type."""


class UnknownLabelError(Exception):
    """A closed vocabulary got a word of a later version."""


class Shape:
    """The wire layout of one event class."""

    __slots__ = ("_convert", "_getter", "_keys", "_readers", "_required", "cls", "extends")

    def __init__(self, cls: type[Event]) -> None:
        hints = get_type_hints(cls)
        declared = [one for one in fields(cls) if one.name != "extra"]
        self.cls = cls
        self.extends = len(declared) < len(fields(cls))
        self._keys = ("type", *(one.name for one in declared))
        self._getter: Callable[[Event], tuple[Any, ...]] = attrgetter(*self._keys)
        self._readers = {one.name: _reader(hints[one.name]) for one in declared}
        self._required = frozenset(
            one.name for one in declared if one.default is MISSING and one.default_factory is MISSING
        )
        self._convert = {
            one.name: writer for one in declared if (writer := _writer(hints[one.name])) is not None
        }

    def to_map(self, event: Event) -> dict[str, Any]:
        """The declared keys with their values, `type` first; without `extra`."""
        wire = dict(zip(self._keys, self._getter(event)))  # noqa: B905 - `strict` costs 0.1 µs and both are ours
        if self._convert:
            for name, writer in self._convert.items():
                if wire[name] is not None:
                    wire[name] = writer(wire[name])
        return wire

    def from_map(self, wire: dict[str, Any]) -> Event:
        """The event that `wire` (without `type`) describes.

        Raises:
            ProtocolError: `malformed_message`, naming the field.
            UnknownLabelError: a closed vocabulary got a word of a later version.
        """
        values: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for name, value in wire.items():
            read = self._readers.get(name)
            if read is None:
                rest[name] = value
                continue
            try:
                values[name] = read(value)
            except MismatchError:
                raise _malformed(self.cls.type, name, "has a wrong type") from None
        for name in self._required:
            if name not in values:
                raise _malformed(self.cls.type, name, "is missing")
        if rest and self.extends:
            values["extra"] = rest
        return self.cls(**values)


def _malformed(kind: str, name: str, what: str) -> ProtocolError:
    return ProtocolError(ErrorCode.MALFORMED_MESSAGE, f"{kind}.{name} {what}", param=name)


def _writer(hint: Any) -> Callable[[Any], Any] | None:
    """How a value that the packers don't know is written; None where they do."""
    if hint is AudioFormat:
        return AudioFormat.to_dict
    if get_origin(hint) in (Union, types.UnionType):
        writers = [writer for one in get_args(hint) if (writer := _writer(one)) is not None]
        return writers[0] if writers else None
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        names = [one.name for one in fields(get_args(hint)[0])]
        return lambda items: [{name: getattr(item, name) for name in names} for item in items]
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return lambda value: {str(key): item for key, item in value.items()}
    return None


def _reader(hint: Any) -> Reader:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of([_reader(one) for one in get_args(hint)])
    if origin is tuple:
        return _many(_reader(get_args(hint)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _named(_reader(get_args(hint)[1]))
    if hint is AudioFormat:
        return _read_audio
    if hint is float:
        return _read_float
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _label(hint)
    if is_dataclass(hint):
        return _record(hint)
    return _exactly(hint)


def _exactly(cls: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not cls:
            raise MismatchError
        return value

    return read


def _read_float(value: Any) -> float:
    if type(value) not in (int, float):
        raise MismatchError
    return float(value)


def _read_audio(value: Any) -> AudioFormat:
    if type(value) is not dict:
        raise MismatchError
    try:
        return AudioFormat.from_mapping(value)
    except ProtocolError:
        raise MismatchError from None


def _label(enum: type[StrEnum]) -> Reader:
    def read(value: Any) -> StrEnum:
        if type(value) is not str:
            raise MismatchError
        try:
            return enum(value)
        except ValueError:
            raise UnknownLabelError from None

    return read


def _one_of(readers: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        for reader in readers:
            try:
                return reader(value)
            except MismatchError:
                continue
        raise MismatchError

    return read


def _many(reader: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise MismatchError
        return tuple(reader(item) for item in value)

    return read


def _named(reader: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise MismatchError
        return {name: reader(item) for name, item in value.items()}

    return read


def _record(cls: Any) -> Reader:
    hints = get_type_hints(cls)
    readers = {one.name: _reader(hints[one.name]) for one in fields(cls)}
    required = {one.name for one in fields(cls) if one.default is MISSING}

    def read(value: Any) -> Any:
        if type(value) is not dict or not required <= value.keys():
            raise MismatchError
        return cls(**{name: readers[name](item) for name, item in value.items() if name in readers})

    return read
