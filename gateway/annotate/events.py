"""Observations become events: numbered, placed in the session's audio, worded for people.

What the session did not ask for, or what is less certain than it wants to hear, becomes nothing. So does an
observation whose label is not of the protocol's closed vocabularies: adapters translate theirs before.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict, TypeVar

from gateway.annotate.labels import affect_of
from gateway.annotate.subtext import subtext
from gateway.classify.port import (
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)
from protocol.control import Feature, SessionConfig
from protocol.events import (
    Accent,
    DurableEvent,
    Environ,
    Queue,
    QueueLabel,
    Scene,
    ShiftDirection,
    Speaker,
    SpeakerLabel,
    Tone,
    Transcript,
)

E = TypeVar("E", bound=StrEnum)


@dataclass(slots=True)
class Context:
    """Where an observation belongs. Those of one window differ in `seq` and `speaker_id` only."""

    session_id: str
    seq: int
    """The number the event will carry."""
    timestamp: float
    """Seconds of session audio."""
    start_sample: int
    """First sample index spoken of, at the client's rate."""
    end_sample: int
    """One past the last."""
    config: SessionConfig
    """What the session wants to hear."""
    speaker_id: str | None = None
    """Who speaks, as far as the session knows; used where the observation doesn't say."""
    queued_ms: float | None = None
    """Milliseconds the window waited."""
    classify_ms: float | None = None
    """Milliseconds in the classifier."""


class _Place(TypedDict):
    seq: int
    session_id: str
    timestamp: float
    start_sample: int
    end_sample: int


class _Receipt(TypedDict):
    queued_ms: float | None
    classify_ms: float | None


def annotate(observation: Observation, *, context: Context) -> DurableEvent | None:
    """The event that tells of `observation`; None where the session doesn't want it.

    `min_confidence` applies to every observation that has a confidence; where nobody gave one, the event says
    null. One that is not a number counts as the least there is (0), and one outside 0..1 as the nearer end.
    """
    config = context.config
    family = _FAMILIES.get(observation.__class__)
    if family is None:
        assert isinstance(observation, SurroundingsObservation)
        family = _SURROUNDINGS[observation.kind]
    if family not in config.features:
        return None
    confidence = _unit(observation.confidence)
    if confidence is None and observation.confidence is not None:
        confidence = 0.0
    if confidence is not None and confidence < config.min_confidence:
        return None
    match observation:
        case ToneObservation():
            return _tone(observation, confidence or 0.0, context)
        case SpeakerObservation():
            return _speaker(observation, confidence, context)
        case QueueObservation():
            return _queue(observation, confidence, context)
        case TranscriptObservation():
            return _transcript(observation, confidence, context)
        case SurroundingsObservation():
            return _surroundings(observation, confidence, context)


_FAMILIES: Mapping[type[Observation], Feature] = {
    ToneObservation: Feature.TONE,
    SpeakerObservation: Feature.SPEAKER,
    QueueObservation: Feature.QUEUE,
    TranscriptObservation: Feature.TRANSCRIPT,
}
_SURROUNDINGS: Mapping[SurroundingsKind, Feature] = {kind: Feature(kind.value) for kind in SurroundingsKind}


def _tone(seen: ToneObservation, confidence: float, context: Context) -> Tone:
    affect = (affect_of(seen.affect) if seen.affect else None) or affect_of(seen.label)
    direction = _member(ShiftDirection, seen.shift_direction)
    magnitude = _unit(seen.shift_magnitude)
    sentence = subtext(
        seen.label,
        confidence=confidence,
        direction=direction,
        magnitude=magnitude,
        elcor=context.config.elcor,
        affect=seen.affect,
    )
    return Tone(  # of all events the one that comes each second: not by way of maps
        seq=context.seq,
        session_id=context.session_id,
        timestamp=context.timestamp,
        start_sample=context.start_sample,
        end_sample=context.end_sample,
        queued_ms=context.queued_ms,
        classify_ms=context.classify_ms,
        label=seen.label,
        confidence=confidence,
        speaker_id=seen.speaker_id or context.speaker_id,
        shift_magnitude=magnitude,
        shift_direction=direction,
        affect=affect,
        subtext=sentence,
        prosody_flags=tuple(seen.prosody_flags),
        valence=_unit(seen.valence),
        arousal=_unit(seen.arousal),
        dominance=_unit(seen.dominance),
        arousal_delta=_finite(seen.arousal_delta),
        valence_delta=_finite(seen.valence_delta),
        trend=seen.trend,
        model=seen.model,
        extra=seen.extra,
    )


def _speaker(seen: SpeakerObservation, confidence: float | None, context: Context) -> Speaker | None:
    label = _member(SpeakerLabel, seen.label)
    if label is None:
        return None
    return Speaker(
        **_place(context),
        **_receipt(context),
        label=label,
        speaker_id=seen.speaker_id,
        confidence=confidence,
        extra=seen.extra,
    )


def _queue(seen: QueueObservation, confidence: float | None, context: Context) -> Queue | None:
    label = _member(QueueLabel, seen.label)
    if label is None:
        return None
    return Queue(
        **_place(context),
        **_receipt(context),
        label=label,
        confidence=confidence,
        digits=seen.digits,
        extra=seen.extra,
    )


def _transcript(seen: TranscriptObservation, confidence: float | None, context: Context) -> Transcript:
    return Transcript(
        **_place(context),
        **_receipt(context),
        text=seen.text,
        speaker_id=seen.speaker_id or context.speaker_id,
        is_final=seen.is_final,
        revision=seen.revision,
        language=seen.language or context.config.language,
        confidence=confidence,
        extra=seen.extra,
    )


def _surroundings(
    seen: SurroundingsObservation, confidence: float | None, context: Context
) -> Environ | Scene | Accent:
    place, extra = _place(context), dict(seen.extra)
    if seen.kind is SurroundingsKind.ACCENT:
        region, language = _take_text(extra, "region"), _take_text(extra, "language")
        return Accent(
            **place, label=seen.label, confidence=confidence, region=region, language=language, extra=extra
        )
    risk = extra.pop("privacy_risk", None)
    cls = Environ if seen.kind is SurroundingsKind.ENVIRON else Scene
    return cls(
        **place,
        label=seen.label,
        confidence=confidence,
        privacy_risk=risk if isinstance(risk, str | bool | int | float) else None,
        extra=extra,
    )


def _place(context: Context) -> _Place:
    return {
        "seq": context.seq,
        "session_id": context.session_id,
        "timestamp": context.timestamp,
        "start_sample": context.start_sample,
        "end_sample": context.end_sample,
    }


def _receipt(context: Context) -> _Receipt:
    return {"queued_ms": context.queued_ms, "classify_ms": context.classify_ms}


def _finite(value: float | None) -> float | None:
    """A plain float (models hand out NumPy's), or None for what is no number."""
    if value is None:
        return None
    plain = float(value)
    return plain if math.isfinite(plain) else None


def _unit(value: float | None) -> float | None:
    """The same within 0..1."""
    plain = _finite(value)
    return None if plain is None else min(1.0, max(0.0, plain))


def _member(kind: type[E], value: str | None) -> E | None:
    try:
        return None if value is None else kind(value)
    except ValueError:
        return None


def _take_text(extra: dict[str, Any], key: str) -> str | None:
    value = extra.pop(key, None)
    return value if isinstance(value, str) else None
