"""What the gateway and a worker process say to each other over a socket pair; the audio lies in a `Slab`.

A message is a little-endian 32-bit length and so many bytes of msgpack, `[kind, content]`. Both sides are of
one version: the gateway starts its workers. States stay packed on the gateway's side, which has no use for
what is in them.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgpack  # type: ignore[import-untyped]

from gateway.classify.acoustic.classifier import STATE, Analysed
from gateway.classify.acoustic.slab import Samples
from gateway.classify.port import (
    ClassifierError,
    Hints,
    Observation,
    QueueObservation,
    SpeakerObservation,
    ToneObservation,
    Window,
)

MAX_MESSAGE: Final = 1 << 24
"""Bytes. A batch of 32 is about 64 KiB; a state that was handed in may be larger than any of ours."""

_LENGTH: Final = struct.Struct("<I")
_NO_STATE: Final = b"\xc1"
"""No msgpack: what can't be packed fails its window, as it would in a thread."""


class WireError(Exception):
    """The other side says what was not agreed."""


class Kind(IntEnum):
    """Gateway to worker, then worker to gateway."""

    CLASSIFY = 1
    """`[[samples, owned, end_s, elcor, language, num_speakers, state or nil], …]`; answer `ANSWERS`."""
    TRY = 2
    """`[batch size, …]`: how long does a window take? Answer `COSTS`."""
    READY = 16
    """All is imported; sent once."""
    ANSWERS = 17
    """For each window `[[observation, …], state]`, or what went wrong, as text."""
    COSTS = 18
    """`{batch size: seconds of CPU a window}`."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one kind of observation is packed: its fields in order, without `extra`, which ours don't have."""

    make: type[Observation]
    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]

    @classmethod
    def of(cls, make: type[Observation]) -> "_Shape":
        names = tuple(one.name for one in fields(make) if one.name != "extra")
        return cls(make, names, attrgetter(*names))


_SHAPES: Final = tuple(map(_Shape.of, (ToneObservation, SpeakerObservation, QueueObservation)))
_PLACES: Final[Mapping[type[Observation], int]] = {shape.make: place for place, shape in enumerate(_SHAPES)}

Reply: TypeAlias = tuple[list[Observation], bytes] | ClassifierError
"""What became of one window: the observations and the state it leaves, packed."""

Costs: TypeAlias = Mapping[int, float]
"""Seconds of CPU a window, by batch size."""


# The gateway's side ---------------------------------------------------------------------------------------


def ask(windows: Sequence[Window]) -> bytes:
    """The message for windows whose samples stand in the slab."""
    return message(Kind.CLASSIFY, [_asked(window) for window in windows])


def _asked(window: Window) -> list[Any]:
    hints = window.hints
    spoken = (hints.elcor, hints.language, hints.num_speakers)
    return [len(window.samples), window.owned, window.end_s, *spoken, _packed(window.state.get(STATE))]


def _packed(state: Any) -> bytes | None:
    if state is None or isinstance(state, bytes):
        return state
    try:
        packed: bytes = msgpack.packb(state)
    except (TypeError, ValueError, OverflowError):
        return _NO_STATE
    return packed


def replies(content: Any, expected: int) -> list[Reply]:
    """What a worker answered.

    Raises:
        WireError: it is not that, or not of so many windows.
    """
    if not isinstance(content, list) or len(content) != expected:
        raise WireError("an answer isn't what was asked for")
    try:
        return [_reply(one) for one in content]
    except (IndexError, TypeError, ValueError) as error:
        raise WireError("an answer isn't what was agreed") from error


def _reply(one: Any) -> Reply:
    if isinstance(one, str):
        return ClassifierError(one)
    observations, state = one
    return [_observation(*packed) for packed in observations], state


def _observation(place: int, *values: Any) -> Observation:
    shape = _SHAPES[place]
    named = dict(zip(shape.names, values, strict=True))
    if "prosody_flags" in named:
        named["prosody_flags"] = tuple(named["prosody_flags"])
    return shape.make(**named)


def costs(content: Any) -> Costs:
    """Seconds of CPU a window, by batch size.

    Raises:
        WireError: it is not that.
    """
    if not isinstance(content, dict):
        raise WireError("costs aren't what was agreed")
    return {int(size): float(cost) for size, cost in content.items()}


# The worker's side ----------------------------------------------------------------------------------------


def windows(
    content: Sequence[Sequence[Any]], views: Callable[[Sequence[int]], list[Samples]]
) -> list[Window]:
    """The windows of a `CLASSIFY`, with their samples where they stand."""
    found = []
    for asked, samples in zip(content, views([int(one[0]) for one in content]), strict=True):
        _, owned, end_s, elcor, language, speakers, state = asked
        kept = {} if state is None else {STATE: state}
        found.append(Window(samples, owned, end_s, kept, hints=Hints(elcor, language, speakers)))
    return found


def answers(analysed: Sequence[Analysed | ClassifierError]) -> bytes:
    """The message that answers a `CLASSIFY`."""
    return message(Kind.ANSWERS, [_answer(one) for one in analysed])


def _answer(one: Analysed | ClassifierError) -> Any:
    if isinstance(one, ClassifierError):
        return str(one)
    observations, state = one
    return [[_told(said) for said in observations], msgpack.packb(state)]


def _told(said: Observation) -> list[Any]:
    place = _PLACES[type(said)]
    return [place, *_SHAPES[place].values(said)]


# Both -----------------------------------------------------------------------------------------------------


def message(kind: Kind, content: Any = None) -> bytes:
    """One message.

    Raises:
        WireError: it would be too long to be read.
    """
    packed: bytes = msgpack.packb([int(kind), content])
    if len(packed) > MAX_MESSAGE:
        raise WireError(f"a message of {len(packed)} bytes is too long")
    return _LENGTH.pack(len(packed)) + packed


HEAD: Final = _LENGTH.size
"""Bytes that say how long a message is."""


def length_of(head: bytes) -> int:
    """Bytes that follow `head`.

    Raises:
        WireError: more than any message has.
    """
    (length,) = _LENGTH.unpack(head)
    if length > MAX_MESSAGE:
        raise WireError(f"a message of {length} bytes is too long")
    return int(length)


def parsed(packed: bytes) -> tuple[Kind, Any]:
    """Kind and content of a message, without its head.

    Raises:
        WireError: it is none.
    """
    try:
        kind, content = msgpack.unpackb(packed, strict_map_key=False)
        return Kind(kind), content
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise WireError("not a message") from error
