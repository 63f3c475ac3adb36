"""Observations as a sidecar tells them: the events of cf-voice, `{"event_type", "label", "confidence", …}`.

What is unknown is left out. `event_type` is the port's name of the observation; the words of a transcript
stand in `label`. Keys of a model's own (`extra`) stand beside ours, which win where both have one.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.classify.port import (
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)

MAX_DEPTH = 6
"""Of what a model adds of its own."""
_MIN_WHOLE, _MAX_WHOLE = -(2**63), 2**64 - 1
"""What JSON libraries and msgpack can write."""

_TONE = (
    "label",
    "confidence",
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
)


class Untellable(ValueError):
    """A model's answer holds what no peer could read: a number that is none, or a thing of its own."""


def told(observation: Observation) -> dict[str, Any]:
    """The event that tells of `observation`.

    Raises:
        Untellable: see there.
    """
    match observation:
        case ToneObservation():
            event = _event("tone", observation, _TONE)
            if not observation.prosody_flags:
                event.pop("prosody_flags", None)
            return event
        case SpeakerObservation():
            return _event("speaker", observation, ("label", "speaker_id", "confidence"))
        case QueueObservation():
            return _event("queue", observation, ("label", "confidence", "digits"))
        case TranscriptObservation():
            names = ("is_final", "revision", "confidence", "speaker_id", "language")
            return _event("transcript", observation, names) | {"label": observation.text}
        case SurroundingsObservation():
            return _event(observation.kind.value, observation, ("label", "confidence"))


def _event(kind: str, observation: Observation, names: tuple[str, ...]) -> dict[str, Any]:
    event: dict[str, Any] = _plain(observation.extra, MAX_DEPTH)
    event["event_type"] = kind
    for name in names:
        value = getattr(observation, name)
        event.pop(name, None)
        if value is not None:
            event[name] = _plain(value, 1)
    return event


def _plain(value: Any, depth: int) -> Any:
    """`value` as every peer can read it: NumPy's numbers as Python's own."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise Untellable("a text is not Unicode")
        return str(value)
    if isinstance(value, int) and _MIN_WHOLE <= value <= _MAX_WHOLE:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth > 0 and isinstance(value, list | tuple):
        return [_plain(one, depth - 1) for one in value]
    if depth > 0 and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {_plain(key, 0): _plain(one, depth - 1) for key, one in value.items()}
    raise Untellable(f"a {type(value).__name__} can't be told")
