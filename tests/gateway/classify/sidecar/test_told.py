"""Observations as events: what one side tells, the other one hears, and nothing that nobody could read."""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.port import (
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)
from gateway.classify.sidecar.events import heard
from gateway.classify.sidecar.told import Untellable, told
from protocol.labels import QueueLabel, SpeakerLabel

OURS = {
    *("event_type", "label", "confidence", "timestamp", "session_id", "speaker_id", "digits", "language"),
    *("shift_magnitude", "shift_direction", "affect", "prosody_flags", "valence", "arousal", "dominance"),
    *("arousal_delta", "valence_delta", "trend", "model", "is_final", "revision", "privacy_risk", "region"),
}
text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
maybe_text = st.none() | text
score = st.floats(0, 1)
number = st.none() | st.floats(-4, 4)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e9, 1e9) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
extra = st.dictionaries(text.filter(lambda key: key not in OURS), plain, max_size=4)

observations: st.SearchStrategy[Observation] = st.one_of(
    st.builds(
        ToneObservation,
        label=text,
        confidence=score,
        speaker_id=maybe_text,
        shift_magnitude=st.none() | score,
        shift_direction=st.sampled_from([None, "escalating", "de-escalating", "stable"]),
        affect=maybe_text,
        prosody_flags=st.lists(text, max_size=4).map(tuple),
        valence=number,
        arousal=number,
        dominance=number,
        arousal_delta=number,
        valence_delta=number,
        trend=maybe_text,
        model=maybe_text,
        extra=extra,
    ),
    st.builds(
        SpeakerObservation,
        label=st.sampled_from([one.value for one in SpeakerLabel]),
        speaker_id=maybe_text,
        confidence=score,
        extra=extra,
    ),
    st.builds(
        QueueObservation,
        label=st.sampled_from([one.value for one in QueueLabel]),
        confidence=score,
        digits=maybe_text,
        extra=extra,
    ),
    st.builds(
        TranscriptObservation,
        text=st.text(st.characters(codec="utf-8"), max_size=80),
        is_final=st.booleans(),
        revision=st.integers(0, 1_000),
        confidence=st.none() | score,
        speaker_id=maybe_text,
        language=maybe_text,
        extra=extra,
    ),
    st.builds(
        SurroundingsObservation,
        kind=st.sampled_from(SurroundingsKind),
        label=text,
        confidence=score,
        extra=extra,
    ),
)


@given(observations)
def test_what_is_told_is_heard(observation: Observation) -> None:
    """Over JSON and over msgpack, to the last key."""
    event = told(observation)
    for wired in (orjson.loads(orjson.dumps(event)), msgpack.unpackb(msgpack.packb(event))):
        assert heard([wired]).observations == [observation]


def test_numbers_of_numpy_are_pythons_own() -> None:
    """Models hand them out; JSON and msgpack know nothing of them."""
    event = told(ToneObservation(label="Calm", confidence=np.float32(0.5), extra={"n": np.int64(3)}))  # type: ignore[arg-type]
    assert event == {"event_type": "tone", "label": "Calm", "confidence": 0.5, "n": 3}
    assert type(event["confidence"]) is float
    assert type(event["n"]) is int


def test_our_keys_win() -> None:
    """A model's own key of the same name says nothing, also where ours is unknown."""
    tone = ToneObservation(label="Calm", confidence=0.5, extra={"label": "x", "valence": 1, "event_type": 2})
    assert told(tone) == {"event_type": "tone", "label": "Calm", "confidence": 0.5}


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**64,
        pytest.param(object(), id="object"),
        b"bytes",
        {1: 2},
        "\ud800",
        [[[[[[[[1]]]]]]]],
    ],
    ids=repr,
)
def test_what_nobody_could_read_is_not_told(value: Any) -> None:
    """It is an error of that window's, not a made-up number."""
    with pytest.raises(Untellable):
        told(ToneObservation(label="Calm", confidence=0.5, extra={"odd": value}))


def test_a_confidence_that_is_none_is_not_told() -> None:
    """Nor rounded to something."""
    with pytest.raises(Untellable):
        told(ToneObservation(label="Calm", confidence=float("nan")))
