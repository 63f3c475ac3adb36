"""Outputs become what was heard: by classes, by dimensions, by events."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify import arousal as arousals
from gateway.classify.activation import Activation, activated
from gateway.classify.arousal import led_by
from gateway.classify.kserve import mapping
from gateway.classify.kserve.mapping import observe
from gateway.classify.kserve.model import ClassesSpec, DimensionsSpec, EventsSpec, ModelSpec
from gateway.classify.kserve.protocol import TEXT_MARKS, Named
from gateway.classify.kserve.tensors import MalformedError, Tensor
from gateway.classify.port import Answer, ClassifierError, SpeakerObservation, ToneObservation

LABELS = ("Neutral", "Happy", "Sad")


def numbers(name: str, values: Any, datatype: str = "FP32") -> dict[str, Tensor]:
    found = np.array(values, np.float64 if datatype == "FP64" else np.float32)
    return {name: Tensor(name, datatype, found.shape, found)}


def texts(*values: bytes, shape: tuple[int, ...] | None = None) -> dict[str, Tensor]:
    return {"EVENTS": Tensor("EVENTS", "BYTES", shape or (len(values),), values)}


def classes(activation: Activation = Activation.SOFTMAX) -> ModelSpec:
    return ModelSpec(Named("m"), classes=ClassesSpec("logits", LABELS, activation))


DIMENSIONS = ModelSpec(Named("m"), dimensions=DimensionsSpec("out", low=-1.0, high=1.0))
EVENTS = ModelSpec(Named("m"), events=EventsSpec("EVENTS"))


def tone(answer: Answer) -> ToneObservation:
    assert not isinstance(answer, ClassifierError), answer
    (found,) = answer
    assert isinstance(found, ToneObservation)
    return found


@pytest.mark.parametrize(
    ("activation", "row", "label", "confidence"),
    [
        (Activation.SOFTMAX, [0, math.log(2), 0], "Happy", 0.5),
        (Activation.SOFTMAX, [1000, -1000, 999], "Neutral", 1 / (1 + math.exp(-1))),
        (Activation.SIGMOID, [-1, -2, 0], "Sad", 0.5),
        (Activation.SIGMOID, [-1000, -1001, -1002], "Neutral", 0.0),
        (Activation.NONE, [0.2, 0.3, 0.5], "Sad", 0.5),
        (Activation.NONE, [0, 1 + 5e-7, 0], "Happy", 1.0),
    ],
)
def test_the_likeliest_class_is_told_with_its_score(
    activation: Activation, row: list[float], label: str, confidence: float
) -> None:
    """Nothing else is made of it: dimensions stay unknown."""
    (answer,) = observe(classes(activation), numbers("logits", [row], "FP64"), 1)
    found = tone(answer)
    assert (found.label, found.model, found.valence) == (label, "m", None)
    assert found.confidence == pytest.approx(confidence)


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=5), st.sampled_from(list(Activation)[:2]))
def test_any_finite_numbers_have_scores(row: list[float], activation: Activation) -> None:
    """From 0 to 1, and the largest number has the largest."""
    values = np.array(row)
    scores = activated(activation, values)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[values.argmax()] == scores.max()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("spec", [classes(), DIMENSIONS])
def test_what_is_no_number_fails_its_window_alone(spec: ModelSpec, bad: float) -> None:
    """Of classes and of dimensions."""
    (name,) = spec.outputs
    first, second, third = observe(spec, numbers(name, [[0, 0, 1], [0, bad, 0], [1, 0, 0]]), 3)
    assert isinstance(second, ClassifierError)
    assert tone(first)
    assert tone(third)


@pytest.mark.parametrize("row", [[0, 0, 1.5], [-1, -2, -3]])
def test_scores_that_are_none_are_refused(row: list[float]) -> None:
    """The file says that they are scores already: then logits would be a made-up confidence."""
    (answer,) = observe(classes(Activation.NONE), numbers("logits", [row]), 1)
    assert isinstance(answer, ClassifierError)


def test_dimensions_are_brought_from_their_range_to_ours() -> None:
    """By their names' order; a regression that overshoots is cut."""
    (answer,) = observe(DIMENSIONS, numbers("out", [[0.0, 1.2, -0.5]]), 1)
    found = tone(answer)
    assert (found.arousal, found.dominance, found.valence) == (0.5, 1.0, 0.25)
    assert found.label == "Neutral"
    spec = ModelSpec(Named("m"), dimensions=DimensionsSpec("out", ("valence", "arousal")))
    (answer,) = observe(spec, numbers("out", [[0.9, 0.1]]), 1)
    found = tone(answer)
    assert (found.label, found.dominance) == ("Subdued", None)
    assert found.arousal == pytest.approx(0.1)
    assert found.valence == pytest.approx(0.9)


def test_classes_and_dimensions_together_are_one_tone() -> None:
    """The label is the classes'."""
    spec = ModelSpec(Named("m"), classes=ClassesSpec("logits", LABELS), dimensions=DimensionsSpec("out"))
    outputs = numbers("logits", [[0, 5, 0]]) | numbers("out", [[0.1, 0.2, 0.3]])
    (answer,) = observe(spec, outputs, 1)
    assert tone(answer).label == "Happy"
    assert tone(answer).arousal == pytest.approx(0.1)


@given(st.floats(0, 1), st.none() | st.floats(0, 1))
def test_labels_by_arousal_claim_nothing_more(arousal: float, valence: float | None) -> None:
    """The embedded classifier's ranges; `Tense` only where valence is heard to be low."""
    label, confidence = led_by(arousal, valence)
    edges = arousals.EDGES
    place = sum(arousal >= edge for edge in edges)
    tense = place == len(edges) and valence is not None and valence < arousals.LOW_VALENCE
    assert label == ("Tense" if tense else arousals.LABELS[place])
    assert arousals.EDGE_SURE <= confidence <= arousals.MOST_SURE + 1e-9


def test_events_are_a_sidecars() -> None:
    """A list of them for each window; unknown keys are kept, of either shape."""
    told = json.dumps(
        [
            {"event_type": "tone", "label": "Warm", "confidence": 0.5, "arousal": 0.25, "pitch": 1},
            {"event_type": "speaker", "label": "human_single", "speaker_id": "A", "confidence": 1},
            {"event_type": "aura", "label": "purple"},
        ]
    ).encode()
    for shape in ((2,), (2, 1)):
        first, second = observe(EVENTS, texts(told, b"[]", shape=shape), 2)
        assert second == []
        assert isinstance(first, list)
        warm, speaker = first
        assert isinstance(warm, ToneObservation)
        assert (warm.label, warm.arousal, warm.extra) == ("Warm", 0.25, {"pitch": 1})
        assert isinstance(speaker, SpeakerObservation)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"{}",
        b"\xff",
        b"[1]",
        b'[{"event_type": "tone", "label": "Warm"}]',
        b'[{"event_type": "tone", "label": "Warm", "confidence": 2}]',
        b'[{"event_type": "tone", "confidence": 1}]',
        b"[" + b" " * mapping.MAX_EVENTS_BYTES + b"]",
    ],
)
def test_events_that_cannot_be_read_fail_their_window_alone(bad: bytes) -> None:
    """And are never half told."""
    first, second = observe(EVENTS, texts(bad, b"[]"), 2)
    assert isinstance(first, ClassifierError)
    assert second == []


@pytest.mark.parametrize(
    ("spec", "windows", "most"),
    [
        (classes(), 1, 65_536 + 192),
        (classes(), 32, 65_536 + 32 * 192),
        (DIMENSIONS, 2, 65_536 + 384),
        (EVENTS, 1, 131_072),
        (EVENTS, 32, mapping.MAX_ANSWER_BYTES),
    ],
)
def test_an_answer_is_as_long_as_the_question_allows(spec: ModelSpec, windows: int, most: int) -> None:
    """Room for each number and each list, and never more than a whole answer may have."""
    assert mapping.most_bytes(spec, windows) == most


@pytest.mark.parametrize(
    ("spec", "outputs"),
    [
        (classes(), {}),
        (classes(), numbers("logits", [[1, 2, 3]])),
        (classes(), numbers("logits", [[1, 2], [1, 2]])),
        (classes(), numbers("logits", [1, 2, 3])),
        (classes(), {"logits": Tensor("logits", "BYTES", (2, 3), (b"",) * 6)}),
        (classes(), {"logits": Tensor("logits", "BOOL", (2, 3), np.zeros((2, 3), bool))}),
        (DIMENSIONS, numbers("out", [[1, 2]] * 2)),
        (EVENTS, texts(b"[]")),
        (EVENTS, texts(b"[]", b"[]", shape=(1, 2))),
        (EVENTS, numbers("EVENTS", [1, 2])),
    ],
)
def test_outputs_of_another_model_are_refused_as_a_whole(spec: ModelSpec, outputs: dict[str, Tensor]) -> None:
    """Whose window would it be?"""
    with pytest.raises(MalformedError):
        observe(spec, outputs, 2)


def test_events_that_hold_too_much_fail_their_window_alone() -> None:
    """However short it is: to make values of it would stop everything else for as long."""
    most = b"[" + b"[]," * (TEXT_MARKS // 2) + b"[]]"
    told = Tensor("EVENTS", "BYTES", (2,), (most, b"[]"))
    failed, fine = observe(EVENTS, {"EVENTS": told}, 2)
    assert isinstance(failed, ClassifierError)
    assert "hold too much" in str(failed)
    assert fine == []
