"""Tensors of the Open Inference Protocol: values ↔ bytes, values ↔ JSON, strict in both directions.

Sources: the protocol's "Tensor Data" and "Binary Tensor Data Extension". Everything is little-endian and
row-major; a BYTES element is four bytes of length and then that many bytes. Where JSON has `null` in a tensor
of floating-point numbers it stands for one that is none: JSON can't say NaN.
"""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[Any] | tuple[bytes, ...]
"""Numbers in the tensor's shape, or the elements of a BYTES tensor in row-major order."""

BYTES = "BYTES"
NUMERIC: dict[str, "np.dtype[Any]"] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes of numbers; BYTES is the other one. BF16 has no numpy type and is not supported."""

NUMBERS = frozenset(NUMERIC) - {"BOOL"}
"""Datatypes of what may be a score."""
TEXTS = frozenset({BYTES})

MOST_ELEMENTS = 2**24
"""In one tensor of an answer."""
MOST_DIMENSIONS = 16


class MalformedError(ValueError):
    """What a server sent is not what the protocol says; the message is fit for logs."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A named tensor of an answer."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tensor of an answer must be."""

    datatypes: frozenset[str]
    shapes: tuple[tuple[int, ...], ...]
    """Any of them will do."""

    def check(self, datatype: str, shape: tuple[int, ...]) -> None:
        """Compare it with what a tensor says it is.

        Raises:
            MalformedError: it is something else.
        """
        if shape not in self.shapes:
            raise MalformedError(f"an output has shape {list(shape)} and not {list(self.shapes[0])}")
        if datatype not in self.datatypes:
            known = datatype if datatype in NUMERIC or datatype == BYTES else "of a datatype not supported"
            raise MalformedError(f"an output that should be {self._kind} is {known}")

    @property
    def _kind(self) -> str:
        return BYTES if self.datatypes == TEXTS else "numbers"


def count_of(shape: Sequence[int]) -> int:
    """Elements in a tensor of `shape`; one for a scalar."""
    return math.prod(shape)


def read_shape(value: object) -> tuple[int, ...]:
    """A shape out of JSON.

    Raises:
        MalformedError: it is none, or one of an absurd size.
    """
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        raise MalformedError("a shape is not a list of whole numbers")
    if not all(type(one) is int and one >= 0 for one in value):
        raise MalformedError("a shape is not a list of whole numbers")
    if count_of(value) > MOST_ELEMENTS:
        raise MalformedError("a tensor has too many elements")
    return tuple(value)


def pack(values: Values) -> bytes:
    """Raw bytes of `values`, whose own type says the datatype."""
    if isinstance(values, tuple):
        return b"".join(struct.pack("<I", len(one)) + one for one in values)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()


def unpack(raw: bytes | memoryview, datatype: str, shape: tuple[int, ...]) -> Values:
    """The values that `raw` holds: all of it, and neither more nor less than `shape` asks for.

    Raises:
        MalformedError: the datatype is unknown, or the bytes don't fit the shape.
    """
    if datatype == BYTES:
        return _unpack_texts(memoryview(raw), count_of(shape))
    dtype = dtype_of(datatype)
    if len(raw) != count_of(shape) * dtype.itemsize:
        raise MalformedError(f"{len(raw)} bytes are no {datatype} tensor of shape {list(shape)}")
    if datatype == "BOOL":
        flags = np.frombuffer(raw, dtype=np.uint8)
        if (flags > 1).any():
            raise MalformedError("a BOOL is neither 0 nor 1")
        return flags.astype(np.bool_).reshape(shape)
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def dtype_of(datatype: str) -> "np.dtype[Any]":
    """How numpy calls `datatype`.

    Raises:
        MalformedError: it is not one of numbers that is supported.
    """
    try:
        return NUMERIC[datatype]
    except KeyError:
        raise MalformedError("a tensor has a datatype that is not supported") from None


def _unpack_texts(raw: memoryview, count: int) -> tuple[bytes, ...]:
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) < count:
        if len(raw) - at < 4:
            break
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if length > len(raw) - at:
            raise MalformedError("an element of a BYTES tensor is longer than the tensor")
        found.append(bytes(raw[at : at + length]))
        at += length
    if at != len(raw) or len(found) != count:
        raise MalformedError(f"the bytes are no BYTES tensor of {count} elements")
    return tuple(found)


def from_json(data: object, datatype: str, shape: tuple[int, ...], *, base64_texts: bool = False) -> Values:
    """The values of a tensor's `data`, flat or nested as its shape is.

    Raises:
        MalformedError: they are not of the datatype, or don't fit the shape.
    """
    flat = _flat(data, shape)
    if datatype == BYTES:
        return tuple(_text(one, base64_texts) for one in flat)
    dtype, kinds = dtype_of(datatype), set(map(type, flat))
    if dtype.kind == "b":
        if not kinds <= {bool}:
            raise MalformedError("a BOOL is neither true nor false")
    elif dtype.kind == "f":
        if not kinds <= {float, int, type(None)}:
            raise MalformedError(f"an {datatype} is no number")
        if type(None) in kinds:
            flat = [math.nan if one is None else one for one in flat]
    elif not kinds <= {int}:
        raise MalformedError(f"an {datatype} is no whole number")
    try:
        with np.errstate(over="ignore"):
            return np.array(flat, dtype=dtype).reshape(shape)
    except OverflowError:
        raise MalformedError(f"a number is out of range for {datatype}") from None


def _flat(data: object, shape: tuple[int, ...]) -> list[Any]:
    """The elements in order; nested lists must be nested exactly as the shape says."""
    if not isinstance(data, list):
        raise MalformedError("a tensor's data is not a list")
    if len(data) == count_of(shape) and list not in set(map(type, data)):
        return data
    level: list[Any] = [data]
    for size in shape:
        if not all(isinstance(one, list) and len(one) == size for one in level):
            raise MalformedError("a tensor's data doesn't fit its shape")
        level = list(chain.from_iterable(level))
    if set(map(type, level)) & {list, dict}:
        raise MalformedError("a tensor's data doesn't fit its shape")
    return level


def _text(value: object, base64_texts: bool) -> bytes:
    if not isinstance(value, str):
        raise MalformedError("an element of a BYTES tensor is no text")
    try:
        return base64.b64decode(value, validate=True) if base64_texts else value.encode()
    except (binascii.Error, ValueError):
        raise MalformedError("an element of a BYTES tensor is not what it is said to be") from None
