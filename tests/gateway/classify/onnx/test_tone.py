"""From numbers to tones: labels that claim no more than the model, scores within 0..1, and the course."""

import math
from dataclasses import replace
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.annotate.labels import tone_of
from gateway.classify.activation import Activation, activated
from gateway.classify.onnx.course import MOST_RECENT, Course
from gateway.classify.onnx.spec import (
    ClassesSpec,
    DimensionsSpec,
    InputSpec,
    ModelSpec,
    Told,
)
from gateway.classify.onnx.tone import (
    Dimensions,
    arousal_led,
    dimensions,
    observe,
    winner,
)
from gateway.classify.port import ClassifierError, ToneObservation, Window

DIMS = DimensionsSpec("dims", ("arousal", "dominance", "valence"))
CLASSES = ClassesSpec("logits", ("neu", "hap", "ang"), told={"hap": Told("Happy", "cheerful")})
BOTH = ModelSpec(Path("m.onnx"), "tiny-1", InputSpec("x"), DIMS, CLASSES)
WINDOW = Window(np.zeros(16_000, np.int16), 16_000, 1.0, {})

finite = st.floats(-(2.0**100), 2.0**100, width=32)


def row(*values: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return np.array(values, np.float32)


def told(spec: ModelSpec, heard: int = 64_000, **outputs: tuple[float, ...]) -> ToneObservation:
    return observe(spec, {name: row(*values) for name, values in outputs.items()}, Course(), WINDOW, heard)


def test_dimensions_and_classes_together() -> None:
    """The classes name it, the dimensions place it."""
    one = told(BOTH, dims=(0.7, 0.6, 0.2), logits=(0.0, 3.0, 0.0))
    assert (one.label, one.affect, one.model) == ("Happy", "cheerful", "tiny-1")
    assert (one.arousal, one.dominance, one.valence) == (0.7, 0.6, 0.2)
    assert one.confidence == pytest.approx(math.exp(3) / (math.exp(3) + 2), abs=1e-3)


def test_classes_alone_know_no_dimensions() -> None:
    """What the model doesn't say stays unknown."""
    one = told(replace(BOTH, dimensions=None), logits=(2.0, 0.0, 0.0))
    assert (one.label, one.affect) == ("neu", None)
    assert (one.arousal, one.valence, one.dominance, one.shift_magnitude, one.trend) == (None,) * 5


@pytest.mark.parametrize(
    ("arousal", "valence", "label"),
    [
        (0.0, 0.9, "Subdued"),
        (0.31, None, "Subdued"),
        (0.32, None, "Calm"),
        (0.5, 0.1, "Neutral"),
        (0.6, None, "Animated"),
        (0.9, 0.5, "Animated"),
        (0.9, 0.39, "Tense"),
        (1.0, None, "Animated"),
    ],
)
def test_labels_of_dimensions_are_led_by_arousal(arousal: float, valence: float | None, label: str) -> None:
    """Ranges of arousal; valence decides between the two names of a high one, where it is known."""
    named = arousal_led(Dimensions(arousal, None, valence))
    assert named.label == label
    assert tone_of(label) is not None
    assert 0.5 <= named.score <= 0.9


def test_a_label_is_surest_in_its_middle() -> None:
    """At an edge it is as good as the other one."""
    scores = [arousal_led(Dimensions(arousal)).score for arousal in (0.44, 0.48, 0.52)]
    assert scores == pytest.approx([0.5, 0.7, 0.9])


def test_less_context_is_less_sure() -> None:
    """A quarter of the context costs three eighths of the confidence."""
    whole = told(replace(BOTH, classes=None), dims=(0.52, 0.5, 0.5))
    part = told(replace(BOTH, classes=None), heard=16_000, dims=(0.52, 0.5, 0.5))
    assert [whole.confidence, part.confidence] == pytest.approx([0.9, 0.9 * 0.625], abs=1e-3)


def test_another_range_is_brought_to_0_to_1() -> None:
    """Numbers of -1..1, and beyond it, in the file's own order."""
    spec = DimensionsSpec("dims", ("valence", "arousal"), -1.0, 1.0)
    assert dimensions(spec, row(0.0, -3.0)) == Dimensions(0.0, None, 0.5)


@given(st.lists(finite, min_size=3, max_size=3), st.sampled_from(list(Activation)))
def test_scores_of_any_finite_numbers(values: list[float], activation: Activation) -> None:
    """However large, nothing overflows, and the largest number wins."""
    scores = activated(activation, row(*values))
    assert np.isfinite(scores).all()
    if activation is Activation.NONE and not all(0.0 <= value <= 1.0 for value in values):
        return
    named = winner(replace(CLASSES, activation=activation), row(*values))
    assert 0.0 <= named.score <= 1.0
    if activation is Activation.SOFTMAX:
        assert scores.sum() == pytest.approx(1.0)
    assert scores.max() == scores[int(row(*values).argmax())]


@pytest.mark.parametrize("bad", [-4.0, -0.1, 1.1, 7.5])
def test_scores_that_are_none_are_refused(bad: float) -> None:
    """Raw outputs of a graph that is said to end with an activation fail; a rounding error doesn't."""
    spec = replace(BOTH, classes=replace(CLASSES, activation=Activation.NONE))
    course = Course()
    with pytest.raises(ClassifierError, match="logits holds what is no score"):
        observe(spec, {"dims": row(0.5, 0.5, 0.5), "logits": row(0.2, bad, 0.1)}, course, WINDOW, 64_000)
    assert course == Course()
    one = told(spec, dims=(0.5, 0.5, 0.5), logits=(0.2, 1.001, -0.001))
    assert (one.label, one.confidence) == ("Happy", 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("output", ["dims", "logits"])
def test_what_is_no_number_fails(bad: float, output: str) -> None:
    """In either output: an error, never a made-up label, and the course stays as it was."""
    outputs = {"dims": row(0.5, 0.5, 0.5), "logits": row(1.0, 0.0, 0.0)}
    outputs[output][2] = bad
    course = Course()
    with pytest.raises(ClassifierError, match=output):
        observe(BOTH, outputs, course, WINDOW, 64_000)
    assert course == Course()


def test_the_course_of_a_voice_that_rises() -> None:
    """Rising arousal is escalating, then the trend says so, too."""
    course = Course()
    moves = [course.follow(0.3 + 0.05 * i, 0.5, float(i), 1.0) for i in range(8)]
    assert (moves[0].shift_direction, moves[0].arousal_delta, moves[0].trend) == (None, None, None)
    assert moves[1].arousal_delta == pytest.approx(0.05)
    assert (moves[7].shift_direction, moves[7].trend) == ("escalating", "rising")
    assert moves[7].shift_magnitude is not None
    assert 0.0 < moves[7].shift_magnitude <= 1.0
    falling = [course.follow(0.6 - 0.08 * i, 0.5, 8.0 + i, 1.0) for i in range(8)]
    assert (falling[-1].shift_direction, falling[-1].trend) == ("de-escalating", "falling")


def test_a_steady_voice_is_stable() -> None:
    """Nothing changes, nothing shifts."""
    course = Course()
    moves = [course.follow(0.5, None, float(i), 1.0) for i in range(5)]
    assert (moves[-1].shift_direction, moves[-1].shift_magnitude, moves[-1].trend) == (
        "stable",
        0.0,
        "steady",
    )
    assert moves[-1].valence_delta is None


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 2.0)), max_size=20))
def test_the_course_survives_msgpack(steps: list[tuple[float, float, float]]) -> None:
    """Packed after every window it goes on as if it never was, stays small, and tells finite numbers."""
    course, moved, now = Course(), Course(), 0.0
    for arousal, valence, seconds in steps:
        now += seconds
        packed = msgpack.packb(moved.pack())
        assert len(packed) < 256
        moved = Course.unpack(msgpack.unpackb(packed))
        one, same = (which.follow(arousal, valence, now, seconds) for which in (course, moved))
        assert one == same
        assert one.shift_magnitude is None or 0.0 <= one.shift_magnitude <= 1.0
        assert len(course.recent) <= MOST_RECENT
