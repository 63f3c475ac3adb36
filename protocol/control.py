"""Client → server messages, and the session configuration that `configure` changes.

Every class validates itself when made, so an invalid message can neither arrive nor be sent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

from protocol import checks
from protocol.errors import invalid_field

MIN_WINDOW_MS = 200
"""Milliseconds."""
MAX_WINDOW_MS = 5_000
"""Milliseconds."""
MIN_HOP_MS = 100
"""Milliseconds."""
MAX_SPEAKERS = 8
FIND_OUT = "auto"
"""The language to ask for where what was said of it is taken back; null leaves it as it is."""

LANGUAGE_PATTERN = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"
"""The shape of a BCP 47 tag (RFC 5646 section 2.1), not its registry."""
MAX_LANGUAGE_CHARS = 35  # RFC 5646 section 4.4.1

_LANGUAGE = re.compile(LANGUAGE_PATTERN)


class Delivery(StrEnum):
    """What gives way when the server can't keep up."""

    REALTIME = "realtime"
    """Lag is bounded; old windows become gaps."""
    LOSSLESS = "lossless"
    """Nothing is dropped; the client sends no further than `limit`."""


class Feature(StrEnum):
    """Families of events a client may want."""

    TONE = "tone"
    SPEAKER = "speaker"
    TRANSCRIPT = "transcript"
    QUEUE = "queue"
    ENVIRON = "environ"
    SCENE = "scene"
    ACCENT = "accent"


ALL_FEATURES = frozenset(Feature)


@lru_cache(maxsize=128)
def _in_order(features: frozenset[Feature]) -> tuple[str, ...]:
    return tuple(feature.value for feature in Feature if feature in features)


class Control:
    """Base of all client → server messages."""

    __slots__ = ()
    type: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Configure(Control):
    """Change settings from the next window on; answered by `configured`. What is left out stays as it is."""

    type: ClassVar[str] = "configure"
    hop_ms: int | None = None
    """Milliseconds from window to window, 100 to `window_ms`."""
    window_ms: int | None = None
    """Milliseconds of audio a window holds, 200 to 5000."""
    elcor: bool | None = None
    """Subtext in Elcor style."""
    language: str | None = None
    """BCP 47 tag, at most 35 characters; `auto`: find out."""
    num_speakers: int | None = None
    """Expected speakers, 1 to 8; 0: find out."""
    min_confidence: float | None = None
    """0 to 1; events below it are not sent."""
    features: frozenset[Feature] | None = None
    """Event families wanted."""
    delivery: Delivery | None = None
    """`realtime` or `lossless`."""

    def __post_init__(self) -> None:
        if self.window_ms is not None:
            checks.whole("window_ms", self.window_ms, MIN_WINDOW_MS, MAX_WINDOW_MS)
        if self.hop_ms is not None:
            checks.whole("hop_ms", self.hop_ms, MIN_HOP_MS, MAX_WINDOW_MS)
        if self.elcor is not None:
            checks.boolean("elcor", self.elcor)
        if self.language is not None:
            _check_language(self.language)
        if self.num_speakers is not None:
            checks.whole("num_speakers", self.num_speakers, 0, MAX_SPEAKERS)
        if self.min_confidence is not None:
            checks.number("min_confidence", self.min_confidence, 0, 1)
            object.__setattr__(self, "min_confidence", float(self.min_confidence))
        if self.features is not None:
            object.__setattr__(self, "features", _features(self.features))
        if self.delivery is not None:
            object.__setattr__(self, "delivery", checks.member("delivery", self.delivery, Delivery))

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Configure":
        """Read settings out of a URL's query (`features` comma-separated); other keys are passed over."""
        return cls(**{name: read(name, query[name]) for name, read in _QUERY.items() if name in query})

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> "Configure":
        """Read settings out of a flat typed map, such as a REST body; other keys are passed over."""
        return cls(**{name: given[name] for name in _QUERY if given.get(name) is not None})


@dataclass(frozen=True, slots=True)
class Position(Control):
    """The next audio byte has this index: ahead declares a gap, behind has the overlap trimmed."""

    type: ClassVar[str] = "position"
    sample: int
    """Samples of the client's rate since the session began."""

    def __post_init__(self) -> None:
        checks.whole("sample", self.sample, 0, checks.MAX_SAMPLE)


@dataclass(frozen=True, slots=True)
class Flush(Control):
    """Classify the partial window now; answered by `flushed` after its events."""

    type: ClassVar[str] = "flush"
    id: str | int | None = None
    """Repeated in `flushed`; text of at most 128 characters or a safe integer."""

    def __post_init__(self) -> None:
        if self.id is not None:
            checks.token("id", self.id)


@dataclass(frozen=True, slots=True)
class Ack(Control):
    """Every event up to `seq` is processed: moves the owner's cursor, nothing else."""

    type: ClassVar[str] = "ack"
    seq: int
    """Sequence number of a durable event; 0 before the first."""

    def __post_init__(self) -> None:
        checks.whole("seq", self.seq, 0, checks.MAX_SAMPLE)


@dataclass(frozen=True, slots=True)
class Ping(Control):
    """A sign of life; answered by `pong` with the same `t`."""

    type: ClassVar[str] = "ping"
    t: int | float | str | None = None
    """Repeated in `pong`; the client's own clock, usually."""

    def __post_init__(self) -> None:
        if self.t is not None:
            checks.token("t", self.t, also_float=True)


@dataclass(frozen=True, slots=True)
class End(Control):
    """No more audio: the last windows, their events, `summary`, close 1000."""

    type: ClassVar[str] = "end"


ControlMessage: TypeAlias = Configure | Position | Flush | Ack | Ping | End

CONTROLS: dict[str, type[ControlMessage]] = {
    cls.type: cls for cls in (Configure, Position, Flush, Ack, Ping, End)
}
"""Every control message by its `type`."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The settings of a session in force; always valid as a whole."""

    window_ms: int = 1_000
    """Milliseconds of audio a window holds."""
    hop_ms: int = 1_000
    """Milliseconds from window to window; never more than `window_ms`."""
    elcor: bool = False
    """Subtext in Elcor style."""
    language: str | None = None
    """BCP 47 tag; None where unknown."""
    num_speakers: int | None = None
    """Expected speakers; None where unknown."""
    min_confidence: float = 0.10
    """Events below it are not sent."""
    features: frozenset[Feature] = ALL_FEATURES
    """Event families wanted."""
    delivery: Delivery = Delivery.REALTIME
    """What gives way when the server can't keep up."""

    def __post_init__(self) -> None:
        Configure(**{one.name: getattr(self, one.name) for one in fields(self)})
        if self.language is not None and self.language.lower() == FIND_OUT:
            object.__setattr__(self, "language", None)
        if self.num_speakers == 0:
            object.__setattr__(self, "num_speakers", None)
        if self.hop_ms > self.window_ms:
            raise invalid_field("hop_ms", f"must not be more than window_ms ({self.window_ms})")

    def apply(self, change: Configure) -> "SessionConfig":
        """These settings with `change` made; a smaller window without a hop takes the hop along.

        Raises:
            ProtocolError: `invalid_field` where the result is not valid as a whole.
        """
        given = {
            one.name: value for one in fields(change) if (value := getattr(change, one.name)) is not None
        }
        if change.window_ms is not None and change.hop_ms is None:
            given["hop_ms"] = min(self.hop_ms, change.window_ms)
        return replace(self, **given)

    def to_dict(self) -> dict[str, Any]:
        """The flat map of the REST body and `configured`; features in their fixed order."""
        return {
            "hop_ms": self.hop_ms,
            "window_ms": self.window_ms,
            "elcor": self.elcor,
            "language": self.language,
            "num_speakers": self.num_speakers,
            "min_confidence": self.min_confidence,
            "features": list(_in_order(self.features)),
            "delivery": self.delivery.value,
        }

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> "SessionConfig":
        """The defaults with what a flat typed map changes; other keys are passed over."""
        return _begin(Configure.from_mapping(given))

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "SessionConfig":
        """The defaults with what a URL's query changes; other keys are passed over."""
        return _begin(Configure.from_query(query))


def _begin(change: Configure) -> SessionConfig:
    # The default hop is the window, also where only the window is given.
    if change.window_ms is not None and change.hop_ms is None:
        change = replace(change, hop_ms=change.window_ms)
    return SessionConfig().apply(change)


def _check_language(value: object) -> None:
    if not isinstance(value, str) or len(value) > MAX_LANGUAGE_CHARS or not _LANGUAGE.fullmatch(value):
        raise invalid_field("language", "must be a BCP 47 tag such as en or en-GB")


def _features(value: object) -> frozenset[Feature]:
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise invalid_field("features", "must be a list of event families")
    return frozenset(checks.member("features", one, Feature) for one in value)


_QUERY: dict[str, Any] = {
    "hop_ms": checks.decimal,
    "window_ms": checks.decimal,
    "elcor": checks.flag,
    "language": lambda _, value: value,
    "num_speakers": checks.decimal,
    "min_confidence": checks.decimal_fraction,
    "features": lambda _, value: [one for one in value.split(",") if one],
    "delivery": lambda _, value: value,
}
"""Each setting, and how its text in a URL's query is read."""
