"""Hypothesis strategies for every message, built from the declarations: a new class has one at once."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from protocol.audio import AudioEncoding, AudioFormat
from protocol.checks import MAX_SAMPLE
from protocol.control import (
    Ack,
    Configure,
    ControlMessage,
    Delivery,
    End,
    Feature,
    Flush,
    Ping,
    Position,
)
from protocol.events import EVENTS, Event

WHOLE = st.integers(-(2**63), 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | WHOLE | FINITE | st.text(max_size=20)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FORMATS = st.builds(
    AudioFormat, st.sampled_from(AudioEncoding), st.integers(8_000, 48_000), st.integers(1, 2)
)
TOKENS = st.none() | st.text(max_size=128) | st.integers(-MAX_SAMPLE, MAX_SAMPLE)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _of(hint: Any) -> st.SearchStrategy[Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([_of(one) for one in get_args(hint)])
    if origin is tuple:
        return st.lists(_of(get_args(hint)[0]), max_size=3).map(tuple)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(st.text(max_size=8), _of(get_args(hint)[1]), max_size=3)
    if hint is AudioFormat:
        return FORMATS
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{one.name: _of(hints[one.name]) for one in fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=20),
        int: WHOLE,
        float: FINITE,
        bool: st.booleans(),
        types.NoneType: st.none(),
    }
    return simple[hint]


def events_of(cls: type[Event]) -> st.SearchStrategy[Event]:
    """Valid events of one class, `extra` included where it has it."""
    hints = get_type_hints(cls)
    declared = {one.name: _of(hints[one.name]) for one in fields(cls) if one.name != "extra"}
    if len(declared) < len(fields(cls)):
        taken = {"type", *declared}
        names = st.text(max_size=8).filter(lambda name: name not in taken)
        declared["extra"] = st.dictionaries(names, PLAIN.filter(lambda one: _depth(one) < 7), max_size=3)
    return st.builds(cls, **declared)


def any_event() -> st.SearchStrategy[Event]:
    """Valid events of every class."""
    return st.sampled_from(sorted(EVENTS)).flatmap(lambda kind: events_of(EVENTS[kind]))


_CONFIGURE = st.builds(
    Configure,
    hop_ms=st.none() | st.integers(100, 5_000),
    window_ms=st.none() | st.integers(200, 5_000),
    elcor=st.none() | st.booleans(),
    language=st.none() | st.just("auto") | st.from_regex(r"[a-z]{2,3}(-[A-Z]{2})?", fullmatch=True),
    num_speakers=st.none() | st.integers(0, 8),
    min_confidence=st.none() | st.floats(0, 1),
    features=st.none() | st.frozensets(st.sampled_from(Feature)),
    delivery=st.none() | st.sampled_from(Delivery),
)

CONTROL_STRATEGIES: dict[type[ControlMessage], st.SearchStrategy[ControlMessage]] = {
    Configure: _CONFIGURE,
    Position: st.builds(Position, st.integers(0, MAX_SAMPLE)),
    Flush: st.builds(Flush, TOKENS),
    Ack: st.builds(Ack, st.integers(0, MAX_SAMPLE)),
    Ping: st.builds(Ping, TOKENS | FINITE),
    End: st.just(End()),
}
"""Valid control messages by class; their values are narrower than their types."""


def any_control() -> st.SearchStrategy[ControlMessage]:
    """Valid control messages of every class."""
    return st.one_of(list(CONTROL_STRATEGIES.values()))
