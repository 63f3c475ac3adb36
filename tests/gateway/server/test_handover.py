"""The handover's words and its table: every stage × every turn, and nothing but messages is understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.handover import (
    REFUSALS,
    VERSION,
    HandoverError,
    Message,
    Stage,
    Turn,
    Word,
    decode,
    step,
)


@given(st.sampled_from(Word), st.binary(max_size=200))
def test_what_is_said_is_understood(word: Word, payload: bytes) -> None:
    """Whatever a guest has sent so far, line ends included."""
    assert decode(Message(word, payload).encode()) == Message(word, payload)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_in_words(data: bytes) -> None:
    """Garbage raises the documented error, and no other."""
    with pytest.raises(HandoverError):
        decode(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (f"undertone-handover/{VERSION + 1} take\n", "we speak version"),
        (f"undertone-handover/{VERSION} dance\n", "means nothing"),
        ("GET / HTTP/1.1\r\n", "does not speak"),
    ],
)
def test_the_refusal_says_what_is_wrong(data: str, told: str) -> None:
    """Another version is another matter than another program."""
    with pytest.raises(HandoverError, match=told):
        decode(data.encode())


def test_every_pair_is_decided() -> None:
    """A stage in which the socket isn't lent says why; in one that lends it, the loan can be lost again."""
    for stage in Stage:
        following = step(stage, Turn.TAKE)
        assert (following is None) == (stage in REFUSALS)
        if following is not None:
            assert step(following, Turn.LOST) is stage
            assert step(following, Turn.READY) is Stage.YIELDED


def test_it_is_lent_to_one_at_a_time() -> None:
    """Whoever comes second is told that somebody is first."""
    for stage in (Stage.LENT, Stage.LEAVING):
        assert step(stage, Turn.TAKE) is None
        assert "already" in REFUSALS[stage]


def test_a_stop_is_possible_at_any_time_and_does_not_end_a_loan() -> None:
    """Somebody may stop the old process before the new one serves: that one gets the socket all the same."""
    for stage in Stage:
        assert step(stage, Turn.STOP) is not None
    assert step(Stage.LENT, Turn.STOP) is Stage.LEAVING
    assert step(Stage.STOPPING, Turn.TAKE) is Stage.LEAVING


def test_what_is_yielded_stays_so() -> None:
    """There is no way back."""
    assert {step(Stage.YIELDED, turn) for turn in Turn} == {None, Stage.YIELDED}
