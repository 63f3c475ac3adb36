"""A model's outputs → what was heard, window by window. Pure.

What concerns all windows (an output that is missing, a shape that doesn't fit) spoils the whole answer. What
concerns one (a score that is no number, events that can't be read) is that window's alone.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import orjson

from gateway.classify.activation import activated
from gateway.classify.arousal import led_by
from gateway.classify.kserve.model import ClassesSpec, DimensionsSpec, ModelSpec
from gateway.classify.kserve.protocol import TEXT_MARKS, marks_of
from gateway.classify.kserve.tensors import NUMBERS, TEXTS, MalformedError, Tensor, Wanted
from gateway.classify.port import Answer, ClassifierError, Observation, ToneObservation
from gateway.classify.sidecar.events import MalformedEvent, heard

Scores = npt.NDArray[np.float64]

ROUNDING = 1e-6
"""How far a score of 32-bit floats may be outside 0..1."""
MAX_EVENTS_BYTES = 65_536
"""JSON of one window's events."""
MAX_ANSWER_BYTES = 1_048_576
"""Of a whole answer, whatever was asked."""
NUMBER_BYTES = 64
"""More than any number takes, as JSON with the space round it."""
HEAD_BYTES = 65_536
"""What stands in an answer beside its outputs' data."""


def expected(spec: ModelSpec, windows: int) -> dict[str, Wanted]:
    """What the outputs for so many windows must be, by name.

    Texts are of shape [windows], or [windows, 1] where a server knows no other.
    """
    found: dict[str, Wanted] = {}
    if spec.classes is not None:
        found[spec.classes.output] = Wanted(NUMBERS, ((windows, len(spec.classes.labels)),))
    if spec.dimensions is not None:
        found[spec.dimensions.output] = Wanted(NUMBERS, ((windows, len(spec.dimensions.order)),))
    if spec.events is not None:
        found[spec.events.output] = Wanted(TEXTS, ((windows,), (windows, 1)))
    return found


def most_bytes(spec: ModelSpec, windows: int) -> int:
    """The most that the answer for so many windows may have; what is longer needn't be read."""
    width = (len(spec.classes.labels) if spec.classes else 0) + (
        len(spec.dimensions.order) if spec.dimensions else 0
    )
    each = NUMBER_BYTES * width + (MAX_EVENTS_BYTES if spec.events else 0)
    return min(MAX_ANSWER_BYTES, windows * each + HEAD_BYTES)


def observe(spec: ModelSpec, outputs: Mapping[str, Tensor], windows: int) -> list[Answer]:
    """What was heard in each of `windows`.

    Raises:
        MalformedError: the outputs are not what was agreed, and no window has an answer.
    """
    for name, wanted in expected(spec, windows).items():
        if name not in outputs:
            raise MalformedError("an output that was asked for is missing")
        wanted.check(outputs[name].datatype, outputs[name].shape)
    classes = _matrix(outputs[spec.classes.output]) if spec.classes else None
    dimensions = _matrix(outputs[spec.dimensions.output]) if spec.dimensions else None
    events = _texts(outputs[spec.events.output]) if spec.events else None
    answers: list[Answer] = []
    for row in range(windows):
        try:
            found: list[Observation] = []
            if classes is not None or dimensions is not None:
                found.append(_tone(spec, _row(classes, row), _row(dimensions, row)))
            if events is not None:
                found.extend(_events(events[row]))
            answers.append(found)
        except (MalformedError, MalformedEvent) as error:
            answers.append(ClassifierError(f"the model server's answer to this window: {error}"))
    return answers


def _matrix(found: Tensor) -> Scores:
    assert not isinstance(found.values, tuple)  # its datatype was looked at
    return found.values.astype(np.float64)


def _row(matrix: Scores | None, number: int) -> Scores | None:
    return None if matrix is None else np.asarray(matrix[number])


def _texts(found: Tensor) -> tuple[bytes, ...]:
    assert isinstance(found.values, tuple)  # its datatype was looked at
    return found.values


def _tone(spec: ModelSpec, classes: Scores | None, dimensions: Scores | None) -> ToneObservation:
    known: dict[str, float] = {}
    if spec.dimensions is not None and dimensions is not None:
        known = _dimensions(spec.dimensions, dimensions)
    if spec.classes is not None and classes is not None:
        label, confidence = _label(spec.classes, classes)
    else:
        label, confidence = led_by(known["arousal"], known.get("valence"))
    return ToneObservation(
        label=label,
        confidence=confidence,
        arousal=known.get("arousal"),
        dominance=known.get("dominance"),
        valence=known.get("valence"),
        model=spec.at.model,
    )


def _label(spec: ClassesSpec, row: Scores) -> tuple[str, float]:
    """The likeliest label, and its score."""
    if not np.isfinite(row).all():
        raise MalformedError("a score is no number")
    scores = activated(spec.activation, row)
    best = int(scores.argmax())
    score = float(scores[best])
    if not -ROUNDING <= score <= 1.0 + ROUNDING:
        raise MalformedError("a score is not from 0 to 1, although they are said to be")
    return spec.labels[best], min(1.0, max(0.0, score))


def _dimensions(spec: DimensionsSpec, row: Scores) -> dict[str, float]:
    """Each from 0 to 1; a regression may overshoot, and is cut to that."""
    if not np.isfinite(row).all():
        raise MalformedError("a dimension is no number")
    within = np.clip((row - spec.low) / (spec.high - spec.low), 0.0, 1.0)
    return dict(zip(spec.order, within.tolist(), strict=True))


def _events(text: bytes) -> list[Observation]:
    if len(text) > MAX_EVENTS_BYTES:
        raise MalformedError("a window has too many bytes of events")
    if marks_of(text) > TEXT_MARKS:
        raise MalformedError("a window's events hold too much")
    try:
        listed = orjson.loads(text)
    except ValueError:
        raise MalformedError("a window's events are no JSON") from None
    return heard(listed).observations
