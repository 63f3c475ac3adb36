"""What clients of the older tone-session routes call things. Pure: maps and values only.

They read one flat JSON object an event, whose keys are the same for every kind, and know tones, speakers,
transcripts, queue states, surroundings and the state of the service. What they have no word for isn't told
them: gaps, tasks, the summary. Nor are interim transcripts, which a page that lists what it hears would show
again and again, nor the service's warnings, which such a page would take for the loss of its microphone.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.sessions.ports import Entry, Recorded
from protocol import checks
from protocol.control import MAX_SPEAKERS, MAX_WINDOW_MS, MIN_WINDOW_MS, SessionConfig
from protocol.errors import ProtocolError, invalid_field
from protocol.events import (
    Accent,
    Environ,
    Queue,
    Scene,
    Service,
    ServiceStatus,
    Speaker,
    Tone,
    Transcript,
)
from protocol.version import Encoding

RUNNING = "running"
"""The state of a session that is there."""
STOPPED = "stopped"
"""The state of one that was ended."""
TIER = "free"
"""The older word for a session that is heard on this machine and needs no licence: here, all of them."""

KINDS = frozenset(one.type for one in (Tone, Speaker, Transcript, Queue, Environ, Scene, Accent, Service))
"""The events there is an older word for, by `type`."""

DEFAULT_WINDOW_MS = 1_000
_WINDOW_STEP_MS = 100
MAX_LANGUAGE_CHARS = 64

_KEYS = (
    "event_type",
    "label",
    "confidence",
    "speaker_id",
    "shift_magnitude",
    "timestamp",
    "session_id",
    "subtext",
    "affect",
    "shift_direction",
)
"""The keys of every older event beside `prosody_flags`; null where nobody knows, or its kind has no such."""

_NEVER_NULL: Mapping[str, Mapping[str, Any]] = {
    Tone.type: {"speaker_id": "", "shift_magnitude": 0.0, "affect": "neutral", "shift_direction": "stable"},
    Transcript.type: {"speaker_id": ""},
    Accent.type: {"language": ""},
}
"""What older clients calculate with, and what they were told where it was unknown."""


def flat(entry: Entry | Recorded) -> dict[str, Any] | None:
    """The event as older clients know it; None where they have no word for it."""
    if isinstance(entry, Entry) and entry.type not in KINDS:
        return None
    return flattened(orjson.loads(entry.encoded(Encoding.JSON)))


def flattened(wire: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same from the event's map on the wire: its own keys, and the older ones among them.

    Keys that a sidecar added stay.
    """
    kind = wire["type"]
    if kind not in KINDS or (kind == Transcript.type and not wire["is_final"]):
        return None
    if kind == Service.type and wire["status"] == ServiceStatus.WARNING:
        return None
    said = {**_blank(), **wire, "event_type": kind}
    del said["type"]
    if kind == Transcript.type:
        said["label"] = wire["text"]
    elif kind == Service.type:
        said["label"] = wire["status"]
    elif kind == Accent.type and wire["region"] is None:
        said["region"] = wire["label"]
    for name, known in _NEVER_NULL.get(kind, {}).items():
        if said[name] is None:
            said[name] = known
    return said


def service_state(session_id: str, timestamp: float, status: ServiceStatus, detail: str) -> dict[str, Any]:
    """How the classifier stands, for somebody who has just come; not an event of the session.

    `timestamp` is seconds of session audio.
    """
    return {
        **_blank(),
        "event_type": Service.type,
        "label": status,
        "timestamp": timestamp,
        "session_id": session_id,
        "status": status,
        "detail": detail,
    }


def sse(said: Mapping[str, Any]) -> bytes:
    """An older event in the text/event-stream format. It has no id, so that nobody asks to have it again."""
    return f"event: {said['event_type']}-event\ndata: ".encode() + orjson.dumps(said) + b"\n\n"


def session_config(given: Mapping[str, Any]) -> SessionConfig:
    """The settings that the body of an older `start` asks for; other keys of it are passed over.

    Numbers out of range are taken for the nearest in range, as they were; a window is rounded down to a tenth
    of a second. No language, and no speakers, leave it to the gateway.

    Raises:
        ProtocolError: `invalid_field`, naming the field of a wrong type.
    """
    elcor = _given(given, "elcor", False)
    checks.boolean("elcor", elcor)
    window_ms = _number(given, "window_ms", DEFAULT_WINDOW_MS) // _WINDOW_STEP_MS * _WINDOW_STEP_MS
    speakers = _number(given, "num_speakers", 0)
    language = _given(given, "transcribe_lang", "")
    checks.text("transcribe_lang", language, MAX_LANGUAGE_CHARS)
    wanted = {
        "elcor": elcor,
        "window_ms": min(max(window_ms, MIN_WINDOW_MS), MAX_WINDOW_MS),
        "num_speakers": min(max(speakers, 0), MAX_SPEAKERS) or None,
        "language": language or None,
    }
    try:
        return SessionConfig.from_mapping(wanted)
    except ProtocolError as error:  # only the language can still be wrong
        raise invalid_field("transcribe_lang", error.message) from error


def _blank() -> dict[str, Any]:
    return {**dict.fromkeys(_KEYS), "prosody_flags": []}


def _given(given: Mapping[str, Any], name: str, default: Any) -> Any:
    value = given.get(name)
    return default if value is None else value


def _number(given: Mapping[str, Any], name: str, default: int) -> int:
    value = _given(given, name, default)
    checks.whole(name, value, -checks.MAX_SAMPLE, checks.MAX_SAMPLE)
    number: int = value
    return number
