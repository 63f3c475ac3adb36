"""Server → client events, one frozen class each.

Durable events are numbered (`seq`) and kept for replay; the others speak only to the socket of the moment.
Every declared key is always on the wire, `null` where unknown. `extra` is what a sidecar said beyond the
declared keys; it is flattened into the event and never overrides a declared key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from protocol.audio import AudioFormat
from protocol.control import Delivery, Feature, SessionConfig
from protocol.labels import FlowState as FlowState
from protocol.labels import GapReason as GapReason
from protocol.labels import QueueLabel as QueueLabel
from protocol.labels import ServiceStatus as ServiceStatus
from protocol.labels import ShiftDirection as ShiftDirection
from protocol.labels import SpeakerLabel as SpeakerLabel


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all server → client events."""

    type: ClassVar[str]
    durable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableEvent(Event):
    """Base of the events kept for replay."""

    durable: ClassVar[bool] = True
    seq: int
    """From 1, +1 each, per session."""
    session_id: str
    """The session."""
    timestamp: float
    """Seconds of session audio: `end_sample` / rate, or where the audio stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioEvent(DurableEvent):
    """Base of the events that speak of a stretch of audio."""

    start_sample: int
    """First sample index spoken of."""
    end_sample: int
    """One past the last sample index spoken of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensedEvent(AudioEvent):
    """Base of what a classifier or sidecar said of a stretch of audio."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    """Unknown keys of a sidecar, flattened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedEvent(SensedEvent):
    """Base of the events that carry a latency receipt."""

    queued_ms: float | None = None
    """Milliseconds from the last byte of the audio to the classifier."""
    classify_ms: float | None = None
    """Milliseconds in the classifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a transcript."""

    text: str
    """As written."""
    start_sample: int
    """First sample index."""
    end_sample: int
    """One past the last sample index."""
    confidence: float | None = None
    """0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Event):
    """Always first: what is in force, and where to go on."""

    type: ClassVar[str] = "welcome"
    protocol: str
    """`undertone.v1`."""
    session_id: str
    """The session."""
    epoch: str
    """Opaque; changes only when the server lost history."""
    next_seq: int
    """The number that the next new durable event gets."""
    next_sample: int
    """Index of the next audio byte the server expects."""
    recovered: bool
    """Everything after the client's `after` follows."""
    replay_from: int | None
    """First seq replayed; null where nothing is."""
    replay_to: int | None
    """Last seq replayed; null where nothing is."""
    resume_token: str | None
    """Ticket for the next attach; null for observers, and where the session has ended."""
    audio: AudioFormat
    """The session's audio format."""
    window_ms: int
    """Milliseconds a window holds."""
    hop_ms: int
    """Milliseconds from window to window."""
    delivery: Delivery
    """What gives way when the server can't keep up."""
    limit: int | None
    """Lossless: sample index the client may send up to; null in realtime."""
    limits: Mapping[str, int | float]
    """Bounds in force, by name."""
    heartbeat_s: float
    """Seconds between the server's WebSocket pings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone(ClassifiedEvent):
    """How it was said."""

    type: ClassVar[str] = "tone"
    label: str
    """Open vocabulary of the classifier."""
    confidence: float
    """0 to 1; a score, not a calibrated probability."""
    speaker_id: str | None = None
    """`Speaker A`, …"""
    shift_magnitude: float | None = None
    """0 to 1: how far from this speaker's usual."""
    shift_direction: ShiftDirection | None = None
    """Where the tone is going."""
    affect: str | None = None
    """One word for people."""
    subtext: str | None = None
    """One sentence for people."""
    prosody_flags: tuple[str, ...] = ()
    """What stood out in the voice."""
    valence: float | None = None
    """0 (unpleasant) to 1 (pleasant)."""
    arousal: float | None = None
    """0 (calm) to 1 (excited)."""
    dominance: float | None = None
    """0 (submissive) to 1 (dominant)."""
    arousal_delta: float | None = None
    """Change of arousal since the last tone."""
    valence_delta: float | None = None
    """Change of valence since the last tone."""
    trend: str | None = None
    """The classifier's word for the course of the last tones."""
    model: str | None = None
    """What classified it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker(ClassifiedEvent):
    """Who is heard: a turn hint, not an identification."""

    type: ClassVar[str] = "speaker"
    label: SpeakerLabel
    """Who is heard."""
    speaker_id: str | None
    """`Speaker A`, …"""
    confidence: float | None
    """0 to 1; null where a sidecar doesn't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript(ClassifiedEvent):
    """What was said; a later revision of the same utterance replaces an earlier one."""

    type: ClassVar[str] = "transcript"
    text: str
    """The utterance so far."""
    speaker_id: str | None = None
    """`Speaker A`, …"""
    is_final: bool
    """No revision follows."""
    revision: int
    """From 0, +1 with each change of this utterance."""
    language: str | None = None
    """BCP 47 tag."""
    confidence: float | None = None
    """0 to 1."""
    words: tuple[Word, ...] | None = None
    """Where the engine gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue(ClassifiedEvent):
    """What state the call is in."""

    type: ClassVar[str] = "queue"
    label: QueueLabel
    """The state."""
    confidence: float | None
    """0 to 1; null where a sidecar doesn't say."""
    digits: str | None = None
    """DTMF digits heard since the last such event, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environ(SensedEvent):
    """What surrounds the voice, as a sidecar gives it."""

    type: ClassVar[str] = "environ"
    label: str
    """Open vocabulary of the sidecar."""
    confidence: float | None
    """0 to 1; null where a sidecar doesn't say."""
    privacy_risk: str | float | bool | None = None
    """As the sidecar gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(SensedEvent):
    """Where it was said, as a sidecar gives it."""

    type: ClassVar[str] = "scene"
    label: str
    """Open vocabulary of the sidecar."""
    confidence: float | None
    """0 to 1; null where a sidecar doesn't say."""
    privacy_risk: str | float | bool | None = None
    """As the sidecar gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accent(SensedEvent):
    """How the language is spoken, as a sidecar gives it."""

    type: ClassVar[str] = "accent"
    label: str
    """Open vocabulary of the sidecar."""
    confidence: float | None
    """0 to 1; null where a sidecar doesn't say."""
    region: str | None = None
    """As the sidecar gives it."""
    language: str | None = None
    """BCP 47 tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(AudioEvent):
    """A stretch of audio that was not classified, exact to the sample."""

    type: ClassVar[str] = "gap"
    reason: GapReason
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(DurableEvent):
    """Health of what stands behind the session."""

    type: ClassVar[str] = "service"
    status: ServiceStatus
    """How it is."""
    detail: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(DurableEvent):
    """A task of the session changed its state."""

    type: ClassVar[str] = "task"
    task_id: str
    """The task."""
    task_type: str
    """What it does."""
    state: str
    """Where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(DurableEvent):
    """The closing account: `next_sample = classified_samples + gap_samples + pending_samples`.

    The last event of the conversation; only `task` events can follow it.
    """

    type: ClassVar[str] = "summary"
    next_sample: int
    """Sample indices of the session."""
    classified_samples: int
    """Sample indices classified."""
    gap_samples: int
    """Sample indices in gaps, the client's included."""
    client_gap_samples: int
    """Sample indices the client never sent."""
    received_samples: int
    """`next_sample - client_gap_samples`."""
    pending_samples: int = 0
    """Nothing is pending any more: 0."""
    events: Mapping[str, int]
    """Durable events sent, by type."""
    duration_s: float
    """Seconds of session audio."""
    speakers: tuple[str, ...]
    """`Speaker A`, … in order of appearance."""
    record_truncated: bool
    """The session's record reached its bound and lacks later events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Event):
    """Pressure: at most one a second, at every change of state, and when `limit` is raised."""

    type: ClassVar[str] = "flow"
    received: int
    """Sample index received up to."""
    classified: int
    """Sample index classified (or declared a gap) up to."""
    limit: int | None
    """Lossless: sample index the client may send up to; null in realtime."""
    lag_ms: float
    """Milliseconds of audio waiting."""
    dropped_ms: float
    """Milliseconds of audio in gaps by overload so far."""
    state: FlowState
    """Whether classifying keeps up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Event):
    """This node is going away; close 1012 follows."""

    type: ClassVar[str] = "drain"
    retry_after_ms: int
    """Milliseconds to wait before connecting again."""
    reconnect_url: str | None = None
    """Where to connect; null for the same address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured(Event):
    """Reply to `configure`: the full settings in force from the next window on."""

    type: ClassVar[str] = "configured"
    hop_ms: int
    """Milliseconds from window to window."""
    window_ms: int
    """Milliseconds a window holds."""
    elcor: bool
    """Subtext in Elcor style."""
    language: str | None
    """BCP 47 tag; null where unknown."""
    num_speakers: int | None
    """Expected speakers; null where unknown."""
    min_confidence: float
    """Events below it are not sent."""
    features: tuple[Feature, ...]
    """Event families wanted."""
    delivery: Delivery
    """What gives way when the server can't keep up."""

    @classmethod
    def of(cls, config: SessionConfig) -> "Configured":
        """The reply that shows `config`."""
        return cls(
            hop_ms=config.hop_ms,
            window_ms=config.window_ms,
            elcor=config.elcor,
            language=config.language,
            num_speakers=config.num_speakers,
            min_confidence=config.min_confidence,
            features=tuple(one for one in Feature if one in config.features),
            delivery=config.delivery,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed(Event):
    """Reply to `flush`, after its events."""

    type: ClassVar[str] = "flushed"
    id: str | int | None = None
    """As in `flush`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong(Event):
    """Reply to `ping`."""

    type: ClassVar[str] = "pong"
    t: int | float | str | None = None
    """As in `ping`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """Something was refused or failed; the session stays open unless `fatal`."""

    type: ClassVar[str] = "error"
    code: str
    """Stable name; a client may meet one it doesn't know."""
    message: str
    """One sentence for people."""
    param: str | None = None
    """The field at fault."""
    fatal: bool = False
    """A close follows."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a later version: of a type, or with a label, that this one doesn't know."""

    type: str
    fields: Mapping[str, Any]
    """All keys but `type`, as received."""

    @property
    def seq(self) -> int | None:
        """Its number, where it is durable."""
        seq = self.fields.get("seq")
        return seq if type(seq) is int else None


EVENTS: dict[str, type[Event]] = {
    cls.type: cls
    for cls in (
        Welcome,
        Tone,
        Speaker,
        Transcript,
        Queue,
        Environ,
        Scene,
        Accent,
        Gap,
        Service,
        Task,
        Summary,
        Flow,
        Drain,
        Configured,
        Flushed,
        Pong,
        Error,
    )
}
"""Every event by its `type`, in the order of the reference."""
