"""What a sidecar says of a window → observations.

Every key that the contract knows is checked: a label that is missing, a confidence that is no number, a text
where a number belongs make the answer to that window worth nothing, and `MalformedEvent` says which. Keys
that it doesn't know are kept in `extra`. Events of a type or with a word of a closed vocabulary that this
version doesn't know are passed over, and counted.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.classify.port import (
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)
from protocol.labels import QueueLabel, SpeakerLabel

MAX_EVENTS: Final = 64
"""Events of one window."""
MAX_WORDS: Final = 8_192
"""Characters of a transcript."""
MAX_TEXT: Final = 256
"""Characters of any other text."""
MAX_FLAGS: Final = 32
"""Prosody flags of a tone."""
MAX_EXTRA: Final = 64
"""Keys of an event that the contract doesn't know."""
MAX_VALUES: Final = MAX_EVENTS * MAX_EXTRA
"""Values under such keys of a window's events, those in lists and maps included: each of them is written for
clients on the event loop."""

_ROUNDING: Final = 1e-6
"""How far a probability of 32-bit floats may be outside 0..1."""
_COMMON: Final = frozenset({"event_type", "label", "confidence", "timestamp", "session_id"})
"""Known of every event. The last two are the gateway's to say."""
_TONE: Final = _COMMON | {
    "speaker_id",
    "shift_magnitude",
    "shift_direction",
    "affect",
    "prosody_flags",
    "valence",
    "arousal",
    "dominance",
    "arousal_delta",
    "valence_delta",
    "trend",
    "model",
}
_SPEAKER: Final = _COMMON | {"speaker_id"}
_QUEUE: Final = _COMMON | {"digits"}
_TRANSCRIPT: Final = _COMMON | {"is_final", "revision", "speaker_id", "language"}
_SPEAKER_LABELS: Final = frozenset(SpeakerLabel)
_QUEUE_LABELS: Final = frozenset(QueueLabel)

Event = Mapping[str, Any]


class MalformedEvent(ValueError):
    """An event that is not what the contract says."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a sidecar said of one window."""

    observations: list[Observation]
    passed_over: int = 0
    """Events of a kind that this version doesn't know."""


def heard(events: object) -> Heard:
    """The observations in a list of events, in order.

    Raises:
        MalformedEvent: one of them, or the list, is not what was agreed.
    """
    if not isinstance(events, list):
        raise MalformedEvent("`events` is no list")
    if len(events) > MAX_EVENTS:
        raise MalformedEvent(f"over {MAX_EVENTS} events of one window")
    observations: list[Observation] = []
    values = 0
    for event in events:
        found = observe(event)
        if found is not None:
            observations.append(found)
            if found.extra:
                values = _counted(values, found.extra)
    return Heard(observations, len(events) - len(observations))


def _counted(values: int, extra: Mapping[str, Any]) -> int:
    """So many values, and those of `extra`; no list is gone through that is too long."""
    inside: list[Collection[Any]] = [extra.values()]
    while inside:
        level = inside.pop()
        values += len(level)
        if values > MAX_VALUES:
            raise MalformedEvent(f"over {MAX_VALUES} values under keys that nobody knows")
        for one in level:
            if isinstance(one, dict):
                inside.append(one.values())
            elif isinstance(one, list | tuple):
                inside.append(one)
    return values


def observe(event: object) -> Observation | None:
    """The observation in one event; None where it is of a kind that this version doesn't know.

    Raises:
        MalformedEvent: it is not what was agreed.
    """
    if not isinstance(event, dict):
        raise MalformedEvent("an event is no map")
    kind = event.get("event_type")
    if type(kind) is not str:
        raise MalformedEvent("`event_type` is missing or no text")
    make = _KINDS.get(kind)
    return None if make is None else make(event)


# One function a type of event ------------------------------------------------------------------------------


def _tone(event: Event) -> ToneObservation:
    confidence = _score(event, "confidence")
    if confidence is None:
        raise MalformedEvent("a tone needs a `confidence`")
    return ToneObservation(
        label=_label(event),
        confidence=confidence,
        speaker_id=_text(event, "speaker_id"),
        shift_magnitude=_score(event, "shift_magnitude"),
        shift_direction=_text(event, "shift_direction"),
        affect=_text(event, "affect"),
        prosody_flags=_flags(event),
        valence=_number(event, "valence"),
        arousal=_number(event, "arousal"),
        dominance=_number(event, "dominance"),
        arousal_delta=_number(event, "arousal_delta"),
        valence_delta=_number(event, "valence_delta"),
        trend=_text(event, "trend"),
        model=_text(event, "model"),
        extra=_extra(event, _TONE),
    )


def _speaker(event: Event) -> SpeakerObservation | None:
    label, confidence = _label(event), _score(event, "confidence")
    speaker = _text(event, "speaker_id")
    if label not in _SPEAKER_LABELS:
        return None
    return SpeakerObservation(
        label=label, speaker_id=speaker, confidence=confidence, extra=_extra(event, _SPEAKER)
    )


def _queue(event: Event) -> QueueObservation | None:
    label, confidence, digits = _label(event), _score(event, "confidence"), _text(event, "digits")
    if label not in _QUEUE_LABELS:
        return None
    return QueueObservation(label=label, confidence=confidence, digits=digits, extra=_extra(event, _QUEUE))


def _transcript(event: Event) -> TranscriptObservation:
    return TranscriptObservation(
        text=_label(event, longest=MAX_WORDS, empty=True),
        is_final=_flag(event, "is_final", True),
        revision=_revision(event),
        confidence=_score(event, "confidence"),
        speaker_id=_text(event, "speaker_id"),
        language=_text(event, "language"),
        extra=_extra(event, _TRANSCRIPT),
    )


def _surroundings(kind: SurroundingsKind) -> Callable[[Event], SurroundingsObservation]:
    def make(event: Event) -> SurroundingsObservation:
        return SurroundingsObservation(
            kind=kind,
            label=_label(event),
            confidence=_score(event, "confidence"),
            extra=_extra(event, _COMMON),
        )

    return make


_KINDS: Mapping[str, Callable[[Event], Observation | None]] = {
    "tone": _tone,
    "speaker": _speaker,
    "queue": _queue,
    "transcript": _transcript,
    **{kind.value: _surroundings(kind) for kind in SurroundingsKind},
}

EVENT_TYPES: Final[Sequence[str]] = tuple(_KINDS)
"""The types of event that this version knows."""


# One function a kind of value ------------------------------------------------------------------------------


def _label(event: Event, longest: int = MAX_TEXT, *, empty: bool = False) -> str:
    label = event.get("label")
    if type(label) is not str or not (label or empty):
        raise MalformedEvent("`label` is missing or no text")
    if len(label) > longest:
        raise MalformedEvent(f"`label` is over {longest} characters")
    return label


def _text(event: Event, key: str) -> str | None:
    value = event.get(key)
    if value is None:
        return None
    if type(value) is not str or len(value) > MAX_TEXT:
        raise MalformedEvent(f"`{key}` is no text of up to {MAX_TEXT} characters")
    return value


def _number(event: Event, key: str) -> float | None:
    """A finite number. Dimensions are regressions that may overshoot 0..1; what is told is cut to that."""
    value = event.get(key)
    if value is None:
        return None
    if type(value) is not float and type(value) is not int:
        raise MalformedEvent(f"`{key}` is no number")
    try:
        plain = float(value)
    except OverflowError:
        plain = math.inf
    if not math.isfinite(plain):
        raise MalformedEvent(f"`{key}` is not finite")
    return plain


def _score(event: Event, key: str) -> float | None:
    value = _number(event, key)
    if value is None or 0.0 <= value <= 1.0:
        return value
    if not -_ROUNDING <= value <= 1.0 + _ROUNDING:
        raise MalformedEvent(f"`{key}` is not from 0 to 1")
    return min(1.0, max(0.0, value))


def _flag(event: Event, key: str, default: bool) -> bool:
    value = event.get(key)
    if value is None:
        return default
    if type(value) is not bool:
        raise MalformedEvent(f"`{key}` is neither true nor false")
    return value


def _revision(event: Event) -> int:
    value = event.get("revision")
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 2**31:
        raise MalformedEvent("`revision` is no count")
    return value


def _flags(event: Event) -> tuple[str, ...]:
    value = event.get("prosody_flags")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_FLAGS:
        raise MalformedEvent(f"`prosody_flags` is no list of up to {MAX_FLAGS}")
    if not all(type(flag) is str and len(flag) <= MAX_TEXT for flag in value):
        raise MalformedEvent("`prosody_flags` has something else than short texts")
    return tuple(value)


def _extra(event: Event, known: frozenset[str]) -> Mapping[str, Any]:
    if event.keys() <= known:
        return {}
    extra = {key: value for key, value in event.items() if key not in known}
    if len(extra) > MAX_EXTRA:
        raise MalformedEvent(f"over {MAX_EXTRA} keys that nobody knows")
    if not all(type(key) is str and len(key) <= MAX_TEXT for key in extra):
        raise MalformedEvent("a key is no short text")
    return extra
