"""The Open Inference Protocol v2 over HTTP, without the HTTP: requests to bytes, bytes to answers. Pure.

One request asks for the classes, dimensions or events of several windows of one length: an input of shape
[windows, samples]. It goes out either as JSON, or with the binary tensor data extension as JSON and the raw
samples behind it; `Inference-Header-Content-Length` tells where the one ends. Answers are read in whichever
of the two ways they come, tensor by tensor.

Sources: the Open Inference Protocol (HTTP/REST) and its binary tensor data extension.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import orjson

from gateway.classify.kserve.tensors import (
    BYTES,
    MOST_DIMENSIONS,
    NUMERIC,
    TEXTS,
    MalformedError,
    Tensor,
    Wanted,
    count_of,
    from_json,
    read_shape,
    unpack,
)

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Bytes of JSON in front of the raw tensors; HTTP header of requests and answers."""
BINARY_EXTENSION = "binary_tensor_data"
"""Its name among a server's extensions."""
MOST_TENSORS = 64
"""In one answer, or in one description of a model."""

HEAD_MARKS = 8_192
"""Marks (see `marks_of`) that may stand in an answer's JSON beside what was asked for."""
TEXT_MARKS = 1_024
"""Marks in the JSON of one window's events: some thirty events with all that can be said of them."""
MOST_LENIENT = 49_152
"""Bytes of JSON in an answer with `NaN` or `Infinity`: what reads those takes some three milliseconds for so
many, whatever they are."""

PART_SAMPLES = 16_384
"""Samples that are written as JSON at a time: some hundred microseconds."""

Rows = npt.NDArray[np.int16] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Named:
    """A model's place on its server."""

    model: str
    version: str | None = None

    @property
    def path(self) -> str:
        """Of the model's description; `/ready` and `/infer` are below it."""
        version = "" if self.version is None else f"/versions/{quote(self.version, safe='')}"
        return f"/v2/models/{quote(self.model, safe='')}{version}"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model says of one of its inputs or outputs."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """-1 where any size will do."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a server says of a model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def datatype_of(rows: Rows) -> str:
    """`INT16` or `FP32`."""
    return next(name for name, dtype in NUMERIC.items() if dtype == rows.dtype)


def binary_request(name: str, rows: Rows, outputs: Sequence[str]) -> tuple[list[bytes], dict[str, str]]:
    """A request with its samples as they are, in parts, and the headers it needs.

    Args:
        name: the input's.
        rows: [windows, samples].
        outputs: which are wanted; they are asked for in binary, too.
    """
    raw = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
    about = {"name": name, "shape": list(rows.shape), "datatype": datatype_of(rows)}
    head = orjson.dumps(
        {
            "inputs": [{**about, "parameters": {"binary_data_size": raw.nbytes}}],
            "outputs": [{"name": one, "parameters": {"binary_data": True}} for one in outputs],
        }
    )
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return [head, raw.tobytes()], headers


def json_request(name: str, rows: Rows, outputs: Sequence[str]) -> Iterator[bytes]:
    """The same in JSON, in parts: half a million numbers at once would take too long."""
    about = {"name": name, "shape": list(rows.shape), "datatype": datatype_of(rows)}
    yield b'{"inputs":[' + orjson.dumps(about)[:-1] + b',"data":['
    flat = np.ascontiguousarray(rows).ravel()
    for at in range(0, len(flat), PART_SAMPLES):
        listed = orjson.dumps(flat[at : at + PART_SAMPLES], option=orjson.OPT_SERIALIZE_NUMPY)
        yield (b"," if at else b"") + listed[1:-1]
    yield b']}],"outputs":' + orjson.dumps([{"name": one} for one in outputs]) + b"}"


def read_answer(body: bytes, header_length: str | None, wanted: Mapping[str, Wanted]) -> dict[str, Tensor]:
    """The outputs of an answer that are wanted, by name; others are passed over.

    What says that it is something else than what is wanted is refused before its data is looked at.

    Args:
        body: all of it.
        header_length: the value of `Inference-Header-Content-Length`, where the answer has one.
        wanted: what was asked for, by name.

    Raises:
        MalformedError: it is not what the protocol says.
    """
    head, raw = _split(body, header_length)
    if marks_of(head) > HEAD_MARKS + sum(map(_marks_for, wanted.values())):
        raise MalformedError("the answer holds more than was asked for")
    document = _document(head, lenient=len(head) <= MOST_LENIENT)
    listed = document.get("outputs")
    if not isinstance(listed, list) or not len(listed) <= MOST_TENSORS:
        raise MalformedError("the answer has no list of outputs")
    found: dict[str, Tensor] = {}
    names: set[str] = set()
    at = 0
    for one in listed:
        told = _head(one, len(raw) - at)
        if told.name in names:
            raise MalformedError("an output comes twice")
        names.add(told.name)
        if told.name in wanted:
            found[told.name] = _tensor(told, raw[at : at + (told.size or 0)], wanted[told.name])
        at += told.size or 0
    if at != len(raw):
        raise MalformedError("there are bytes left behind the last output")
    return found


def marks_of(text: bytes) -> int:
    """How many lists, objects and their members JSON has at most.

    No thread but the one that makes values of a text gets a turn meanwhile, so how many there are is counted
    first. A mark is up to 0.1 µs of it.
    """
    return sum(map(text.count, (b"[", b"{", b",", b":")))


def _marks_for(one: Wanted) -> int:
    """Marks in its data."""
    return count_of(one.shapes[0]) * (TEXT_MARKS if one.datatypes == TEXTS else 1)


def read_metadata(body: bytes) -> Metadata:
    """What a server says of a model.

    Raises:
        MalformedError: it is not what the protocol says.
    """
    document = _document(body)
    return Metadata(_specs(document.get("inputs")), _specs(document.get("outputs")))


def read_extensions(body: bytes) -> frozenset[str]:
    """What a server says it can do beyond the protocol.

    Raises:
        MalformedError: it is not what the protocol says.
    """
    listed = _document(body).get("extensions", [])
    if not isinstance(listed, list):
        raise MalformedError("the server's extensions are no list")
    return frozenset(one for one in listed if isinstance(one, str))


def read_error(body: bytes) -> str:
    """What a server says went wrong, short; empty where it says nothing that can be read."""
    try:
        told = _document(body).get("error")
    except MalformedError:
        return ""
    text = told if isinstance(told, str) else ""
    return "".join(char for char in text if char.isprintable())[:200]


def _split(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 12:
        raise MalformedError(f"{HEADER_LENGTH} is no number")
    if int(header_length) > len(body):
        raise MalformedError(f"{HEADER_LENGTH} is more than there is")
    return body[: int(header_length)], memoryview(body)[int(header_length) :]


def _document(body: bytes, *, lenient: bool = False) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        if not lenient:
            raise MalformedError("the answer is no JSON") from None
        value = _lenient(body)
    if not isinstance(value, dict):
        raise MalformedError("the answer is no JSON object")
    return value


def _lenient(body: bytes) -> Any:
    """JSON with the `NaN` and `Infinity` that some servers write: one window's loss, not the batch's."""
    if b"NaN" not in body and b"Infinity" not in body:
        raise MalformedError("the answer is no JSON")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError("the answer is no JSON") from None


@dataclass(frozen=True, slots=True)
class _Head:
    """What an output says of itself, in front of its data."""

    name: str
    datatype: str
    told: Mapping[str, Any]
    """All of it."""
    parameters: Mapping[str, Any]
    size: int | None
    """How many of the raw bytes are its own; None where its data is JSON."""


def _head(value: object, left: int) -> _Head:
    """The head of an output, which has at most `left` raw bytes."""
    if not isinstance(value, dict):
        raise MalformedError("an output is no JSON object")
    name, datatype = value.get("name"), value.get("datatype")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise MalformedError("an output has no name or no datatype")
    parameters = value.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise MalformedError("an output's parameters are no JSON object")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or not 0 <= size <= left):
        raise MalformedError("an output says it has more bytes than there are")
    return _Head(name, datatype, value, parameters, size)


def _tensor(head: _Head, raw: memoryview, wanted: Wanted) -> Tensor:
    """The output behind `head`, whose raw bytes are `raw`, where it is what is wanted."""
    name, datatype, shape = head.name, head.datatype, read_shape(head.told.get("shape"))
    wanted.check(datatype, shape)
    if head.size is None:
        texts = datatype == BYTES and head.parameters.get("content_type") == "base64"
        return Tensor(
            name, datatype, shape, from_json(head.told.get("data"), datatype, shape, base64_texts=texts)
        )
    if "data" in head.told:
        raise MalformedError("an output has data twice")
    return Tensor(name, datatype, shape, unpack(raw, datatype, shape))


def _specs(value: object) -> tuple[TensorSpec, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_TENSORS:
        raise MalformedError("a model's inputs and outputs are no lists")
    return tuple(_spec(one) for one in value)


def _spec(value: object) -> TensorSpec:
    if not isinstance(value, dict):
        raise MalformedError("a model's input or output is no JSON object")
    name, datatype, shape = value.get("name"), value.get("datatype"), value.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str) or not isinstance(shape, list):
        raise MalformedError("a model's input or output lacks its name, datatype or shape")
    if len(shape) > MOST_DIMENSIONS or not all(type(one) is int and one >= -1 for one in shape):
        raise MalformedError("a model's input or output has no proper shape")
    return TensorSpec(name, datatype, tuple(shape))
