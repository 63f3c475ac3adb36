"""What a classifier is: windows of many sessions in, observations out, in the same order.

An observation says what was heard in one window. It knows nothing of sessions, sequence numbers or the
wire; `annotate` turns it into an event. The analysis state of a session travels with its window, so a
classifier keeps nothing per session and any node can go on where another stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gateway.classify.notices import Notices

SAMPLE_RATE = 16_000
"""Hertz. Every classifier hears 16 kHz mono."""

AnalysisState: TypeAlias = dict[str, Any]
"""Plain values only (None, bool, int, float, str, bytes, list, dict by string): it must survive msgpack."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the session told us that a model may use."""

    elcor: bool = False
    language: str | None = None
    """BCP 47 tag, or None where unknown."""
    num_speakers: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One stretch of one session's audio, with the state the classifier left there last time."""

    samples: npt.NDArray[np.int16]
    """Shape (n,), mono, 16 kHz. A flushed window may be shorter than the session's window."""
    owned: int
    """Samples (16 kHz) at the end of `samples` that no earlier window has covered; 0 < owned <= n."""
    end_s: float
    """Seconds of session audio at the window's end."""
    state: AnalysisState
    """Read and updated in place; a session has at most one window in flight."""
    session: str = ""
    """Opaque session key, for models that keep context by name."""
    hints: Hints = Hints()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToneObservation:
    """How it was said."""

    label: str
    confidence: float
    """0..1; a score, not a calibrated probability."""
    speaker_id: str | None = None
    shift_magnitude: float | None = None
    """0..1."""
    shift_direction: str | None = None
    """`escalating`, `de-escalating` or `stable`."""
    affect: str | None = None
    """A model's own affect word; None lets `annotate` derive it from the label."""
    prosody_flags: tuple[str, ...] = ()
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    """The three dimensions are 0..1; None where the model cannot know."""
    arousal_delta: float | None = None
    valence_delta: float | None = None
    trend: str | None = None
    model: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerObservation:
    """Who is heard: a turn hint, not an identification."""

    label: str
    """`human_single`, `human_multi`, `ivr_synth`, `no_speaker` or `transfer`."""
    speaker_id: str | None
    confidence: float | None
    """0..1; None where a sidecar doesn't say."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueObservation:
    """What state the call is in."""

    label: str
    """`hold_music`, `ringback`, `busy`, `dtmf_tone`, `silence` or `dead_air`."""
    confidence: float | None
    """0..1; None where a sidecar doesn't say."""
    digits: str | None = None
    """DTMF digits heard since the last such observation, in order."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptObservation:
    """What was said, from a model that hears words (a sidecar)."""

    text: str
    is_final: bool = True
    revision: int = 0
    confidence: float | None = None
    speaker_id: str | None = None
    language: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class SurroundingsKind(StrEnum):
    ENVIRON = "environ"
    SCENE = "scene"
    ACCENT = "accent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurroundingsObservation:
    """Where it was said, as a sidecar gives it."""

    kind: SurroundingsKind
    label: str
    confidence: float | None
    """0..1; None where a sidecar doesn't say."""
    extra: Mapping[str, Any] = field(default_factory=dict)


Observation: TypeAlias = (
    ToneObservation | SpeakerObservation | QueueObservation | TranscriptObservation | SurroundingsObservation
)


class HealthStatus(StrEnum):
    LOADING = "loading"
    READY = "ready"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a model can answer now, and what people should know about it."""

    status: HealthStatus
    detail: str = ""


class ClassifierError(Exception):
    """A batch could not be classified; its windows become gaps with reason `classifier`."""


Answer: TypeAlias = list[Observation] | ClassifierError
"""What became of one window. An error is that window's alone: it becomes a gap, its batch-mates don't."""


class Classifier(Protocol):
    """Windows in, observations out. All methods are called on the event loop."""

    name: str

    @property
    def notices(self) -> "Notices":
        """How its parts are, for the sessions that it serves."""
        ...

    async def start(self) -> None:
        """Begin to work, on the running event loop; called once, before `classify`.

        What takes long (a model that loads, a peer that is not there yet) goes on in the background and is
        told in `notices`.
        """
        ...

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """Classify `batch` (1 to 32 windows of different sessions); answers in the same order.

        An empty inner list means that nothing worth saying was heard: the window counts as classified.
        Where a window fails, its `state` is left as it was.

        Raises:
            ClassifierError: the whole batch failed and may not be retried by the caller.
        """
        ...

    def forget(self, session: str) -> None:
        """The session is over: whatever is kept by its name can go. Unknown names are passed over."""
        ...

    def health(self) -> Health:
        """Whether it can answer now."""
        ...

    async def aclose(self) -> None:
        """End every thread, connection and task. May be called twice."""
        ...


def room_of(classifier: object) -> int | None:
    """How many windows are worth asking `classifier` about at once, now: one that knows has an attribute
    `room`. None where it doesn't say."""
    room: int | None = getattr(classifier, "room", None)
    return room


def calls_of(classifier: object) -> int | None:
    """How many calls to `classifier` are worth keeping open, now: one that knows has an attribute `calls`.
    None where it doesn't say."""
    calls: int | None = getattr(classifier, "calls", None)
    return calls


def workers_of(classifier: object) -> Mapping[str, int]:
    """The workers of `classifier` by kind, `process` and `thread`: one with workers of its own has an
    attribute `workers`."""
    workers: Mapping[str, int] = getattr(classifier, "workers", {})
    return workers


def workers_ended_of(classifier: object) -> int:
    """How many of them ended by themselves so far: an attribute `workers_ended`."""
    return int(getattr(classifier, "workers_ended", 0))


def hears_words(classifier: object) -> bool:
    """Whether `classifier` may say what was said, too: one that does has an attribute `hears_words`."""
    return bool(getattr(classifier, "hears_words", False))
