"""The closed vocabularies of events. Tone labels are open: each classifier has its own."""

from enum import StrEnum


class ShiftDirection(StrEnum):
    """Where the tone of a speaker is going."""

    ESCALATING = "escalating"
    DE_ESCALATING = "de-escalating"
    STABLE = "stable"


class SpeakerLabel(StrEnum):
    """Who is heard."""

    HUMAN_SINGLE = "human_single"
    HUMAN_MULTI = "human_multi"
    IVR_SYNTH = "ivr_synth"
    NO_SPEAKER = "no_speaker"
    TRANSFER = "transfer"


class QueueLabel(StrEnum):
    """What state a call is in."""

    HOLD_MUSIC = "hold_music"
    RINGBACK = "ringback"
    BUSY = "busy"
    DTMF_TONE = "dtmf_tone"
    SILENCE = "silence"
    DEAD_AIR = "dead_air"


class GapReason(StrEnum):
    """Why a stretch of audio was not classified."""

    CLIENT = "client"
    """The client never sent it (`position` ahead), or sent what is no audio."""
    OVERLOAD = "overload"
    """It waited too long or too many waited."""
    CLASSIFIER = "classifier"
    """The classifier failed."""
    DRAIN = "drain"
    """The session or the node went away first."""
    FAILOVER = "failover"
    """Its node was lost."""


class ServiceStatus(StrEnum):
    """Health of what stands behind the session."""

    READY = "ready"
    LOADING = "loading"
    WARNING = "warning"
    ERROR = "error"


class FlowState(StrEnum):
    """Whether classifying keeps up."""

    OK = "ok"
    LAGGING = "lagging"
    SHEDDING = "shedding"
