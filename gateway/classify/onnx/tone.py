"""From a model's numbers to what is told: dimensions, a label, and how sure.

**Labels.** A model of classes is told by its own classes, by the names that its file gives them. One of
dimensions alone has no words; then labels are ranges of arousal, the same that the embedded classifier uses:
Subdued, Calm, Neutral and Animated, and Tense instead of Animated where the model hears low valence. Nothing
is called warm or frustrated for its dimensions alone.

**Confidence** is a score for sorting and thresholds, not a calibrated probability. Of classes: the winning
class's activation. Of dimensions: 0.5 at the edge of a label's range, up to 0.9 in its middle. Both are
multiplied by 0.5 to 1 with the part of the wanted context that was heard.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.classify.activation import activated
from gateway.classify.arousal import led_by
from gateway.classify.onnx.course import Course, Moved
from gateway.classify.onnx.spec import ClassesSpec, DimensionsSpec, ModelSpec
from gateway.classify.port import SAMPLE_RATE, ClassifierError, ToneObservation, Window

Row = npt.NDArray[np.float32]

ROUNDING = 0.01
"""By which a score may lie beyond 0..1: graphs of 16 bits round."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """0..1 each; None where the model doesn't say."""

    arousal: float
    dominance: float | None = None
    valence: float | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A label, its affect word if the file gives one, and its score."""

    label: str
    affect: str | None
    score: float


def observe(
    spec: ModelSpec, outputs: dict[str, Row], course: Course, window: Window, heard: int
) -> ToneObservation:
    """The tone of one window.

    Args:
        outputs: the model's numbers for it, shape (width,) each.
        course: of the session, updated in place.
        heard: samples of context that the model was given.

    Raises:
        ClassifierError: the model gave something that is no number, or no score where scores were promised.
    """
    for name, row in outputs.items():
        if not np.isfinite(row).all():
            raise ClassifierError(f"the model's output {name} holds what is no number")
    found = None if spec.dimensions is None else dimensions(spec.dimensions, outputs[spec.dimensions.output])
    if spec.classes is not None:
        named = winner(spec.classes, outputs[spec.classes.output])
    else:
        assert found is not None
        named = arousal_led(found)
    moved = Moved()
    if found is not None:
        moved = course.follow(found.arousal, found.valence, window.end_s, window.owned / SAMPLE_RATE)
    return ToneObservation(
        label=named.label,
        affect=named.affect,
        confidence=round(named.score * (0.5 + 0.5 * min(1.0, heard / spec.context_samples)), 3),
        valence=_rounded(found.valence if found else None),
        arousal=_rounded(found.arousal if found else None),
        dominance=_rounded(found.dominance if found else None),
        shift_magnitude=moved.shift_magnitude,
        shift_direction=moved.shift_direction,
        arousal_delta=moved.arousal_delta,
        valence_delta=moved.valence_delta,
        trend=moved.trend,
        model=spec.name,
    )


def dimensions(spec: DimensionsSpec, row: Row) -> Dimensions:
    """The model's dimensions, brought from their range to 0..1."""
    width = spec.high - spec.low
    found = {
        name: min(1.0, max(0.0, (float(value) - spec.low) / width))
        for name, value in zip(spec.order, row, strict=True)
    }
    return Dimensions(found["arousal"], found.get("dominance"), found.get("valence"))


def winner(spec: ClassesSpec, row: Row) -> Named:
    """The class that scores highest.

    Raises:
        ClassifierError: the file says that the graph gives scores, and these are none.
    """
    scores = activated(spec.activation, row)
    if scores.min() < -ROUNDING or scores.max() > 1.0 + ROUNDING:
        raise ClassifierError(f"the model's output {spec.output} holds what is no score from 0 to 1")
    best = int(scores.argmax())
    told = spec.tell(best)
    return Named(told.label, told.affect, min(1.0, max(0.0, float(scores[best]))))


def arousal_led(found: Dimensions) -> Named:
    """The label of a range of arousal, and how far inside the range it is."""
    label, score = led_by(found.arousal, found.valence)
    return Named(label, None, score)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)
