"""What the gateway and a decoder process say to each other over two pipes: length-prefixed frames.

A frame is a little-endian 32-bit payload length, one byte of kind, and the payload: PCM for `AUDIO`, JSON
otherwise. Every answer names the utterance it belongs to, so one that was dropped meanwhile is recognised.
Standard library only: the decoder process starts faster for it.
"""

import asyncio
import json
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

MAX_PAYLOAD: Final = 1 << 20
"""Bytes. An utterance of five seconds is 160,000."""

_HEADER: Final = struct.Struct("<IB")


class FrameError(Exception):
    """The other side doesn't speak this protocol, or stopped in the middle of a frame."""


class Kind(IntEnum):
    """Gateway to decoder, then decoder to gateway."""

    BEGIN = 1
    """`{utterance, profile}`: forget whatever was open and begin."""
    AUDIO = 2
    """int16 little-endian, mono, 16 kHz."""
    FINISH = 3
    """No more audio; answer `FINAL`."""
    DROP = 4
    """The result isn't wanted any more; no answer."""
    READY = 16
    """The model is loaded; sent once."""
    PARTIAL = 17
    """`{utterance, text, samples}`."""
    FINAL = 18
    """`{utterance, words: [[text, start, end, confidence], …], profile, text, language, confidence}`."""
    FAILED = 19
    """`{reason}`: the process ends."""


def pack(kind: Kind, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEADER.pack(len(payload), kind) + payload


def pack_fields(kind: Kind, **fields: Any) -> bytes:
    """One frame with a JSON payload."""
    return pack(kind, json.dumps(fields, separators=(",", ":")).encode())


def fields_of(payload: bytes) -> dict[str, Any]:
    """The fields of a JSON payload.

    Raises:
        FrameError: it is no JSON object.
    """
    try:
        fields = json.loads(payload)
    except ValueError as error:
        raise FrameError("a payload is not JSON") from error
    if not isinstance(fields, dict):
        raise FrameError("a payload is not a JSON object")
    return fields


def read(take: Callable[[int], bytes]) -> tuple[Kind, bytes] | None:
    """The next frame from a blocking `take(n)` that returns fewer bytes only at the end; None at the end.

    Raises:
        FrameError: the stream ends inside a frame, or holds something else.
    """
    header = take(_HEADER.size)
    if not header:
        return None
    kind, length = _parse(header)
    payload = take(length)
    if len(payload) < length:
        raise FrameError("the stream ends inside a frame")
    return kind, payload


async def read_from(reader: asyncio.StreamReader) -> tuple[Kind, bytes] | None:
    """The next frame of `reader`; None at its end. Raises FrameError as `read` does."""
    try:
        kind, length = _parse(await reader.readexactly(_HEADER.size))
        return kind, await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        if error.expected == _HEADER.size and not error.partial:
            return None
        raise FrameError("the stream ends inside a frame") from error


def _parse(header: bytes) -> tuple[Kind, int]:
    if len(header) < _HEADER.size:
        raise FrameError("the stream ends inside a frame")
    length, kind = _HEADER.unpack(header)
    if length > MAX_PAYLOAD:
        raise FrameError(f"a frame of {length} bytes is too long")
    try:
        return Kind(kind), length
    except ValueError as error:
        raise FrameError(f"unknown frame kind {kind}") from error
