"""The contract of cf-voice, one window a call: what it asks, read strictly, and what it is told.

Fields that are not known here are passed over: callers are older and newer than this.
"""

import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pybase64

from gateway.annotate.subtext import subtext
from gateway.api.problems import Problem
from gateway.classify.port import SAMPLE_RATE, Hints
from gateway.classify.sidecar.single import MAX_CONTAINERS, weight
from protocol.control import MAX_SPEAKERS
from protocol.events import ShiftDirection

MAX_SECONDS = 30
"""Of one window."""
MAX_NAME = 256
"""Characters of a session's id."""
MAX_LANGUAGE = 35
"""Characters of a language tag (RFC 5646 section 4.4.1)."""
MAX_SAMPLES = MAX_SECONDS * SAMPLE_RATE
MAX_BODY_BYTES = -(-MAX_SAMPLES * 2 // 3) * 4 + 64 * 1024
"""The longest window in base64, and what stands around it."""
MAX_TIMESTAMP = 1e12
"""Seconds; some callers send the date."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What a caller wants to know about one window."""

    samples: npt.NDArray[np.int16]
    timestamp: float
    """Where the window starts, seconds of the session."""
    session_id: str
    """Empty: nothing is remembered."""
    hints: Hints

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.timestamp + len(self.samples) / SAMPLE_RATE

    def owned(self, heard_s: float | None) -> int:
        """Samples at its end that a window which ended at `heard_s` has not covered.

        A window that does not begin before that, or lies before it altogether, is new from end to end.
        """
        if heard_s is None or not self.timestamp < heard_s < self.end_s:
            return len(self.samples)
        return max(1, round((self.end_s - heard_s) * SAMPLE_RATE))


def read(body: bytes) -> Call:
    """The call in `body`.

    Raises:
        Problem: 400 for what is no JSON object, 422 for a field that can't be taken.
    """
    if len(body) > MAX_CONTAINERS and weight(body) > MAX_CONTAINERS:
        detail = "the body has too many lists and maps"
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", detail)
    try:
        given = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", "the body is not valid JSON") from error
    if not isinstance(given, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed_body", "the body is not a JSON object")
    return Call(
        samples=_audio(given.get("audio_chunk")),
        timestamp=_timestamp(given.get("timestamp")),
        session_id=_text(given, "session_id", MAX_NAME) or "",
        hints=Hints(_flag(given, "elcor"), _text(given, "language", MAX_LANGUAGE), _speakers(given)),
    )


def answer(call: Call, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The body that tells of `events`."""
    place: dict[str, Any] = {"timestamp": call.timestamp, "session_id": call.session_id}
    return {"events": [{**_worded(event, elcor=call.hints.elcor), **place} for event in events]}


def _worded(event: dict[str, Any], *, elcor: bool) -> dict[str, Any]:
    """A tone with a sentence for people, as callers of this contract expect it."""
    if event["event_type"] != "tone":
        return event
    shift = event.get("shift_direction")
    sentence = subtext(
        event["label"],
        confidence=event.get("confidence", 0.0),
        direction=ShiftDirection(shift) if shift in set(ShiftDirection) else None,
        magnitude=event.get("shift_magnitude"),
        elcor=elcor,
        affect=event.get("affect"),
    )
    return {**event, "subtext": sentence}


def _refused(code: str, name: str, why: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, f"{name} {why}", param=name, pointer=f"/{name}")


def _audio(value: object) -> npt.NDArray[np.int16]:
    name = "audio_chunk"
    if not isinstance(value, str):
        raise _refused("invalid_field", name, "must be text: PCM, s16le, 16 kHz, mono, in base64")
    if len(value) > -(-MAX_SAMPLES * 2 // 3) * 4:
        raise _refused("audio_too_long", name, f"must be at most {MAX_SECONDS} s of audio")
    try:
        raw = pybase64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _refused("invalid_base64", name, "is not base64 (RFC 4648 section 4)") from error
    if len(raw) % 2:
        raise _refused("audio_not_whole", name, "is no whole number of 16-bit samples")
    if not raw:
        raise _refused("audio_empty", name, "must hold at least one sample")
    return np.frombuffer(raw, dtype="<i2")


def _timestamp(value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TIMESTAMP:
        raise _refused("invalid_field", "timestamp", "must be seconds from the session's beginning")
    return float(value) if math.isfinite(value) else 0.0


def _text(given: Mapping[str, Any], name: str, most: int) -> str | None:
    value = given.get(name)
    if value is not None and not (isinstance(value, str) and len(value) <= most):
        raise _refused("invalid_field", name, f"must be text of at most {most} characters, or null")
    return value


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise _refused("invalid_field", name, "must be true or false")
    return bool(value)


def _speakers(given: Mapping[str, Any]) -> int | None:
    value = given.get("num_speakers")
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 1 <= value <= MAX_SPEAKERS:
        raise _refused("invalid_field", "num_speakers", f"must be from 1 to {MAX_SPEAKERS}, or null")
    return value
