"""What the gateway and its workers say to each other."""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic import wire
from gateway.classify.acoustic.wire import Kind, WireError
from gateway.classify.port import (
    ClassifierError,
    Hints,
    Observation,
    QueueObservation,
    SpeakerObservation,
    ToneObservation,
    Window,
)

share = st.floats(0, 1)
texts = st.text(max_size=8)
tones = st.builds(
    ToneObservation,
    label=texts,
    confidence=share,
    speaker_id=st.none() | texts,
    prosody_flags=st.lists(texts, max_size=3).map(tuple),
    arousal=st.none() | share,
    trend=st.none() | texts,
    extra=st.just({}),
)
speakers = st.builds(
    SpeakerObservation,
    label=texts,
    speaker_id=st.none() | texts,
    confidence=st.none() | share,
    extra=st.just({}),
)
queues = st.builds(
    QueueObservation, label=texts, confidence=share, digits=st.none() | texts, extra=st.just({})
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | share | texts | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def content(message: bytes) -> tuple[Kind, Any]:
    """What a message says."""
    assert wire.length_of(message[: wire.HEAD]) == len(message) - wire.HEAD
    return wire.parsed(message[wire.HEAD :])


def windows_of(message: bytes) -> list[Window]:
    kind, told = content(message)
    assert kind is Kind.CLASSIFY
    return wire.windows(told, lambda lengths: [np.zeros(length, np.int16) for length in lengths])


@given(st.lists(st.tuples(st.lists(tones | speakers | queues, max_size=3), plain), max_size=4))
def test_answers_come_as_they_went(answers: list[tuple[list[Observation], Any]]) -> None:
    """Every observation equal to what it was; the state as bytes, which hold it."""
    kind, told = content(wire.answers(answers))
    assert kind is Kind.ANSWERS
    for reply, (observations, state) in zip(wire.replies(told, len(answers)), answers, strict=True):
        assert not isinstance(reply, ClassifierError)
        assert reply[0] == observations
        assert msgpack.unpackb(reply[1]) == state


def test_a_window_comes_as_it_went() -> None:
    """But for the name of its session, which no worker needs; a state that is packed stays so."""
    hints = Hints(elcor=True, language="de-CH", num_speakers=3)
    one = Window(np.zeros(9, np.int16), 4, 2.5, {"acoustic": {"tone": [1.5]}}, "secret", hints)
    two = Window(np.zeros(5, np.int16), 5, 1.0, {"acoustic": b"packed", "other": 1}, "secret")
    new = Window(np.zeros(1, np.int16), 1, 0.1, {"other": 2})
    message = wire.ask([one, two, new])
    assert b"secret" not in message
    first, second, third = windows_of(message)
    assert (len(first.samples), first.owned, first.end_s, first.hints) == (9, 4, 2.5, hints)
    assert msgpack.unpackb(first.state["acoustic"]) == {"tone": [1.5]}
    assert second.state == {"acoustic": b"packed"}
    assert third.state == {}


def test_a_state_that_cant_be_packed_fails_its_window() -> None:
    """On the worker's side, where it is what can't be read."""
    (window,) = windows_of(wire.ask([Window(np.zeros(1, np.int16), 1, 0.1, {"acoustic": object()})]))
    with pytest.raises((msgpack.exceptions.UnpackException, ValueError)):
        msgpack.unpackb(window.state["acoustic"])


def test_an_error_is_told_as_text() -> None:
    """For its window alone."""
    _, told = content(wire.answers([ClassifierError("no luck"), ([], {})]))
    error, reply = wire.replies(told, 2)
    assert str(error) == "no luck"
    assert reply == ([], b"\x80")


@pytest.mark.parametrize(
    "told", [None, 1, [], [[[], b""]] * 2, [1], [[[[9]], b""]], [[[[0, "label"]], b""]], [[[3], b""]]]
)
def test_an_answer_that_is_none_is_refused(told: Any) -> None:
    """With one error, whatever it is."""
    with pytest.raises(WireError):
        wire.replies(told, 1)


@given(st.binary(max_size=32))
def test_garbage_is_refused(packed: bytes) -> None:
    """With the same."""
    try:
        kind, _ = wire.parsed(packed)
    except WireError:
        return
    assert kind in Kind


def test_no_message_is_longer_than_can_be_read() -> None:
    """Neither said nor believed."""
    with pytest.raises(WireError):
        wire.message(Kind.TRY, bytes(wire.MAX_MESSAGE))
    with pytest.raises(WireError):
        wire.length_of(b"\xff\xff\xff\xff")
