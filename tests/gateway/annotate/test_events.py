"""Observations become the right events, or none."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.annotate import Context, annotate
from gateway.classify.port import (
    Observation,
    QueueObservation,
    SpeakerObservation,
    SurroundingsKind,
    SurroundingsObservation,
    ToneObservation,
    TranscriptObservation,
)
from protocol.codec import encode_event
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
from protocol.version import Encoding

EVERYTHING: dict[Feature, Observation] = {
    Feature.TONE: ToneObservation(label="Tense", confidence=0.5),
    Feature.SPEAKER: SpeakerObservation(label="human_single", speaker_id="Speaker B", confidence=0.5),
    Feature.QUEUE: QueueObservation(label="hold_music", confidence=0.5),
    Feature.TRANSCRIPT: TranscriptObservation(text="hello", confidence=0.5),
    Feature.ENVIRON: SurroundingsObservation(kind=SurroundingsKind.ENVIRON, label="street", confidence=0.5),
    Feature.SCENE: SurroundingsObservation(kind=SurroundingsKind.SCENE, label="office", confidence=0.5),
    Feature.ACCENT: SurroundingsObservation(kind=SurroundingsKind.ACCENT, label="scottish", confidence=0.5),
}


def context(**config: Any) -> Context:
    return Context(
        session_id="s" * 32,
        seq=7,
        timestamp=2.0,
        start_sample=16_000,
        end_sample=32_000,
        config=SessionConfig(**config),
        speaker_id="Speaker A",
        queued_ms=1.5,
        classify_ms=2.5,
    )


def event_of(observation: Observation, **config: Any) -> DurableEvent:
    event = annotate(observation, context=context(**config))
    assert event is not None
    return event


@pytest.mark.parametrize("family", Feature)
def test_every_family_becomes_its_own_event_in_its_place(family: Feature) -> None:
    """The event has the family's type, the number and the place that the context gives."""
    event: Any = event_of(EVERYTHING[family])
    assert event.type == family.value
    assert (event.seq, event.session_id, event.timestamp) == (7, "s" * 32, 2.0)
    assert (event.start_sample, event.end_sample) == (16_000, 32_000)
    if family in (Feature.TONE, Feature.SPEAKER, Feature.QUEUE, Feature.TRANSCRIPT):
        assert (event.queued_ms, event.classify_ms) == (1.5, 2.5)


@pytest.mark.parametrize("family", Feature)
def test_families_that_nobody_asked_for_are_left_out(family: Feature) -> None:
    """`features` decides alone, and for its own family only."""
    assert annotate(EVERYTHING[family], context=context(features=frozenset({family}))) is not None
    others = frozenset(Feature) - {family}
    assert annotate(EVERYTHING[family], context=context(features=others)) is None


@pytest.mark.parametrize("family", Feature)
def test_min_confidence_applies_to_every_family(family: Feature) -> None:
    """Exactly the minimum is enough; a hair below is not."""
    assert annotate(EVERYTHING[family], context=context(min_confidence=0.5)) is not None
    assert annotate(EVERYTHING[family], context=context(min_confidence=0.5001)) is None


def test_words_without_a_confidence_are_not_held_back() -> None:
    """An engine that gives none isn't taken for one that is unsure."""
    event = event_of(TranscriptObservation(text="hello"), min_confidence=1.0)
    assert isinstance(event, Transcript)
    assert event.confidence is None


@pytest.mark.parametrize(
    "seen",
    [
        SpeakerObservation(label="human_single", speaker_id="Speaker B", confidence=None),
        QueueObservation(label="hold_music", confidence=None),
        *(SurroundingsObservation(kind=kind, label="street", confidence=None) for kind in SurroundingsKind),
    ],
    ids=lambda seen: getattr(seen, "kind", type(seen).__name__),
)
def test_a_confidence_that_nobody_gave_is_null(seen: Observation) -> None:
    """Zero would say "surely not"; whoever gives none isn't taken for one that is unsure."""
    event: Any = event_of(seen, min_confidence=1.0)
    assert event.confidence is None
    told = json.loads(encode_event(event, Encoding.JSON))
    assert told["confidence"] is None


@pytest.mark.parametrize(
    ("given_confidence", "told"), [(float("nan"), 0.0), (-1.0, 0.0), (1.5, 1.0), (float("inf"), 0.0)]
)
def test_confidence_stays_between_0_and_1(given_confidence: float, told: float) -> None:
    """A model's slip doesn't reach the wire."""
    event = event_of(ToneObservation(label="Tense", confidence=given_confidence), min_confidence=0.0)
    assert isinstance(event, Tone)
    assert event.confidence == told


def test_a_confidence_that_is_no_number_is_no_confidence() -> None:
    """It is below any minimum, words included."""
    for seen in (
        ToneObservation(label="Tense", confidence=float("nan")),
        TranscriptObservation(text="hello", confidence=float("nan")),
    ):
        assert annotate(seen, context=context()) is None


def test_a_tone_keeps_all_that_the_model_said_and_gains_words() -> None:
    """Every field arrives; affect and subtext are added."""
    seen = ToneObservation(
        label="Tense",
        confidence=0.5,
        shift_magnitude=0.4,
        shift_direction="escalating",
        prosody_flags=("loud", "fast"),
        valence=0.1,
        arousal=0.9,
        dominance=0.2,
        arousal_delta=0.3,
        valence_delta=-0.3,
        trend="rising",
        model="acoustic",
        extra={"sarcasm": 0.2},
    )
    tone = event_of(seen)
    assert isinstance(tone, Tone)
    for one in dataclasses.fields(seen):
        if one.name not in ("speaker_id", "affect"):
            assert getattr(tone, one.name) == getattr(seen, one.name), one.name
    assert tone.shift_direction is ShiftDirection.ESCALATING
    assert tone.affect == "tense"
    assert tone.subtext == "Sounds tense, and getting more so."
    assert tone.speaker_id == "Speaker A"


def test_what_is_unknown_stays_null() -> None:
    """Nothing is made up."""
    tone = event_of(ToneObservation(label="Calm", confidence=0.5))
    assert isinstance(tone, Tone)
    unknown = ("shift_magnitude", "shift_direction", "valence", "arousal", "dominance", "trend", "model")
    assert [getattr(tone, name) for name in unknown] == [None] * len(unknown)


def test_elcor_is_the_sessions_choice() -> None:
    """`elcor` changes the subtext and nothing else."""
    plain, elcor = (event_of(EVERYTHING[Feature.TONE], elcor=elcor) for elcor in (False, True))
    assert isinstance(plain, Tone)
    assert isinstance(elcor, Tone)
    assert elcor.subtext == "With tension:"
    assert dataclasses.replace(elcor, subtext=plain.subtext) == plain


def test_the_model_goes_before_the_session() -> None:
    """A model's own speaker, affect word and language are not overwritten."""
    tone = event_of(ToneObservation(label="Tense", confidence=0.5, speaker_id="Speaker C", affect="Wound-up"))
    words = event_of(
        TranscriptObservation(text="hallo", speaker_id="Speaker C", language="de"), language="en"
    )
    assert isinstance(tone, Tone)
    assert isinstance(words, Transcript)
    assert (tone.speaker_id, tone.affect) == ("Speaker C", "wound up")
    assert (words.speaker_id, words.language) == ("Speaker C", "de")


def test_numbers_become_plain_floats() -> None:
    """Models hand out NumPy scalars, which no codec takes."""
    numbers: dict[str, Any] = {
        "confidence": np.float32(0.5),
        "arousal": np.float64("nan"),
        "valence": np.float32(2),
    }
    tone = event_of(ToneObservation(label="Tense", **numbers))
    assert isinstance(tone, Tone)
    assert type(tone.confidence) is float
    assert tone.arousal is None
    assert tone.valence == 1.0


@pytest.mark.parametrize(
    "observation",
    [
        SpeakerObservation(label="alien", speaker_id=None, confidence=0.9),
        QueueObservation(label="elevator", confidence=0.9),
    ],
)
def test_labels_outside_a_closed_vocabulary_become_nothing(observation: Observation) -> None:
    """The protocol promises these labels to be of a list."""
    assert annotate(observation, context=context()) is None


@pytest.mark.parametrize("label", SpeakerLabel)
def test_every_speaker_label(label: SpeakerLabel) -> None:
    """All of the list pass, with the speaker as observed."""
    event = event_of(SpeakerObservation(label=label.value, speaker_id=None, confidence=0.4))
    assert isinstance(event, Speaker)
    assert (event.label, event.speaker_id) == (label, None)


@pytest.mark.parametrize("label", QueueLabel)
def test_every_queue_label(label: QueueLabel) -> None:
    """All of the list pass, with their digits."""
    event = event_of(QueueObservation(label=label.value, confidence=0.4, digits="12#"))
    assert isinstance(event, Queue)
    assert (event.label, event.digits) == (label, "12#")


def test_surroundings_take_their_own_fields_out_of_the_rest() -> None:
    """`privacy_risk`, `region` and `language` are declared keys; what else a sidecar says is kept beside."""
    extra = {"privacy_risk": "high", "region": "Fife", "language": "en-GB", "more": 1}
    events = {}
    for kind in SurroundingsKind:
        seen = SurroundingsObservation(kind=kind, label="x", confidence=0.5, extra=extra)
        events[kind] = event_of(seen)
    environ, scene, accent = (events[kind] for kind in SurroundingsKind)
    assert isinstance(environ, Environ)
    assert isinstance(scene, Scene)
    assert isinstance(accent, Accent)
    assert environ.privacy_risk == scene.privacy_risk == "high"
    assert (accent.region, accent.language) == ("Fife", "en-GB")
    assert environ.extra == {"region": "Fife", "language": "en-GB", "more": 1}
    assert accent.extra == {"privacy_risk": "high", "more": 1}


@given(
    st.builds(
        ToneObservation,
        label=st.text(),
        confidence=st.floats(),
        shift_magnitude=st.none() | st.floats(),
        shift_direction=st.none() | st.text(),
        affect=st.none() | st.text(),
        arousal=st.none() | st.floats(),
        valence_delta=st.none() | st.floats(),
    )
)
def test_no_observation_makes_it_fail(observation: ToneObservation) -> None:
    """Whatever a model says, the event that comes out keeps its promises."""
    tone = event_of(observation, min_confidence=0.0)
    assert isinstance(tone, Tone)
    assert 0 <= tone.confidence <= 1
    for value in (tone.shift_magnitude, tone.arousal):
        assert value is None or 0 <= value <= 1
    assert tone.subtext
    assert len(tone.subtext.splitlines()) == 1
    assert tone.affect is None or len(tone.affect) <= 40
