"""A sidecar's events become observations, or a typed error; never a made-up value."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.port import (
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)
from gateway.classify.sidecar.events import EVENT_TYPES, MalformedEvent, heard, observe

FULL: dict[str, Any] = {
    "event_type": "tone",
    "label": "Warmly impatient",
    "confidence": 0.72,
    "timestamp": 4.5,
    "session_id": "abc",
    "speaker_id": "Speaker A",
    "shift_magnitude": 0.3,
    "shift_direction": "escalating",
    "affect": "warm",
    "prosody_flags": ["fast_rate", "rising"],
    "valence": 0.61,
    "arousal": 0.74,
    "dominance": 0.55,
    "arousal_delta": 0.1,
    "valence_delta": -0.2,
    "trend": "rising",
    "model": "wav2vec2",
    "emotion_scores": {"joy": 0.5},
}


def test_a_tone_with_everything() -> None:
    """Dimensions and unknown keys are kept; what the gateway says by itself is not."""
    assert observe(FULL) == ToneObservation(
        label="Warmly impatient",
        confidence=0.72,
        speaker_id="Speaker A",
        shift_magnitude=0.3,
        shift_direction="escalating",
        affect="warm",
        prosody_flags=("fast_rate", "rising"),
        valence=0.61,
        arousal=0.74,
        dominance=0.55,
        arousal_delta=0.1,
        valence_delta=-0.2,
        trend="rising",
        model="wav2vec2",
        extra={"emotion_scores": {"joy": 0.5}},
    )


def test_a_tone_with_the_least() -> None:
    """What is not said is not known."""
    least = {"event_type": "tone", "label": "Calm", "confidence": 1}
    assert observe(least) == ToneObservation(label="Calm", confidence=1.0)
    assert observe({**dict.fromkeys(FULL), **least}) == ToneObservation(
        label="Calm", confidence=1.0, extra={"emotion_scores": None}
    )


def test_every_other_type() -> None:
    """Their confidence may be missing: then it is unknown."""
    assert observe({"event_type": "speaker", "label": "human_multi"}) == SpeakerObservation(
        label="human_multi", speaker_id=None, confidence=None
    )
    assert observe(
        {"event_type": "queue", "label": "dtmf_tone", "confidence": 0.9, "digits": "12#"}
    ) == QueueObservation(label="dtmf_tone", confidence=0.9, digits="12#")
    assert observe(
        {"event_type": "transcript", "label": "hello", "is_final": False, "revision": 2, "language": "en"}
    ) == TranscriptObservation(text="hello", is_final=False, revision=2, language="en")
    assert observe(
        {"event_type": "scene", "label": "indoor", "confidence": 0.5, "privacy_risk": "low"}
    ) == SurroundingsObservation(
        kind=SurroundingsKind.SCENE, label="indoor", confidence=0.5, extra={"privacy_risk": "low"}
    )


def test_what_nobody_knows_is_passed_over_and_counted() -> None:
    """A new type, and a new word of a closed vocabulary."""
    found = heard(
        [
            FULL,
            {"event_type": "smell", "label": 7},
            {"event_type": "speaker", "label": "robot"},
            {"event_type": "queue", "label": "elevator"},
        ]
    )
    assert len(found.observations) == 1
    assert found.passed_over == 3


@pytest.mark.parametrize("kind", EVENT_TYPES)
@pytest.mark.parametrize("label", [None, 7, ["x"], "x" * 10_000])
def test_a_label_is_needed(kind: str, label: object) -> None:
    """Of every type; one that is missing, no text, or a book is malformed."""
    with pytest.raises(MalformedEvent, match="label"):
        observe({"event_type": kind, "label": label, "confidence": 0.5})


@pytest.mark.parametrize("kind", EVENT_TYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, "0.5", True, [0.5], 10**400])
def test_a_confidence_is_a_number_from_0_to_1(kind: str, value: object) -> None:
    """Of every type."""
    with pytest.raises(MalformedEvent, match="confidence"):
        observe({"event_type": kind, "label": "silence", "confidence": value})


def test_rounding_is_no_fault() -> None:
    """A softmax of 32-bit floats may end above 1; it counts as 1."""
    found = observe({**FULL, "confidence": 1.0000001})
    assert isinstance(found, ToneObservation)
    assert found.confidence == 1.0


def test_a_dimension_may_overshoot() -> None:
    """It is a regression; the event that clients see is cut to 0..1."""
    found = observe({**FULL, "arousal": 1.04})
    assert isinstance(found, ToneObservation)
    assert found.arousal == 1.04


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": None},
        {"event_type": 7},
        {"label": ""},
        {"confidence": None},
        {"speaker_id": 7},
        {"speaker_id": "x" * 300},
        {"shift_magnitude": 2},
        {"shift_direction": 1},
        {"affect": []},
        {"prosody_flags": "fast"},
        {"prosody_flags": [7]},
        {"prosody_flags": ["x"] * 100},
        {"valence": math.nan},
        {"arousal": "high"},
        {"dominance": math.inf},
        {"arousal_delta": {}},
        {"trend": 7},
        {"model": 7},
        {"event_type": "transcript", "is_final": 1},
        {"event_type": "transcript", "revision": -1},
        {"event_type": "transcript", "revision": 1.5},
        {"event_type": "queue", "label": "busy", "digits": 7},
        {7: 7},
        {"x" * 300: 7},
        {f"key{i}": i for i in range(100)},
    ],
)
def test_a_known_key_that_is_wrong(change: dict[Any, Any]) -> None:
    """Makes the event malformed."""
    observe(FULL)
    with pytest.raises(MalformedEvent):
        observe({**FULL, **change})


@pytest.mark.parametrize("events", [None, {}, "tone", [None], ["tone"], [[]], [FULL] * 65])
def test_what_is_no_list_of_events(events: object) -> None:
    with pytest.raises(MalformedEvent):
        heard(events)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    kind=st.sampled_from([*EVENT_TYPES, "other"]),
    event=st.dictionaries(st.sampled_from([*FULL, "digits", "revision", "is_final", "new"]), anything),
)
def test_anything_is_an_observation_or_malformed(kind: str, event: dict[str, Any]) -> None:
    """Whatever its values are; and what comes through has a label and a score that are sound."""
    try:
        found = observe({**event, "event_type": kind})
    except MalformedEvent:
        return
    if found is not None and not isinstance(found, TranscriptObservation):
        assert found.label
        assert found.confidence is None or 0.0 <= found.confidence <= 1.0
