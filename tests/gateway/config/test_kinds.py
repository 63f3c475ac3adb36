"""What kinds of settings take, refuse, and say of themselves."""

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.kinds import Auto, Choice, Flag, Kind, Many, Maybe, Number, Text
from gateway.config.problems import Refused


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _upper(text: str) -> str:
    if text == "bad":
        raise Refused("must not be bad", "be good")
    return text.upper()


WHOLE = Number(1, 100, whole=True)
ALL: tuple[Kind, ...] = (
    WHOLE,
    Number(0, 1),
    Flag(),
    Choice(Colour),
    Text(_upper, "capitals"),
    Many(_upper, "capitals"),
    Maybe(WHOLE),
    Auto(WHOLE),
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (WHOLE, "100", 100),
        (Number(0, 1), "0.5", 0.5),
        (Number(0, 1), "1", 1.0),
        (Flag(), "Yes", True),
        (Flag(), "off", False),
        (Choice(Colour), "RED", Colour.RED),
        (Text(_upper, "capitals"), "abc", "ABC"),
        (Many(_upper, "capitals"), " a, b ,,", ("A", "B")),
        (Maybe(WHOLE), "none", None),
        (Maybe(WHOLE), "7", 7),
    ],
)
def test_text_becomes_a_value(kind: Kind, text: str, value: object) -> None:
    """Each kind reads what people write, into its final type."""
    read = kind.read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (WHOLE, "0"),
        (WHOLE, "101"),
        (WHOLE, "1.0"),
        (WHOLE, "ten"),
        (Number(0, 1), "nan"),
        (Number(0, 1), "inf"),
        (Number(0, 1), "1.01"),
        (Flag(), "maybe"),
        (Choice(Colour), "green"),
        (Text(_upper, "capitals"), "bad"),
        (Many(_upper, "capitals"), "a,bad"),
        (Maybe(WHOLE), "0"),
    ],
)
def test_wrong_text_is_refused(kind: Kind, text: str) -> None:
    """What is out of range or of another type is refused with a reason."""
    with pytest.raises(Refused) as refused:
        kind.read(text)
    assert refused.value.message


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (WHOLE, True),
        (WHOLE, 1.0),
        (WHOLE, "1"),
        (Number(0, 1), True),
        (Number(0, 1), float("nan")),
        (Flag(), 1),
        (Flag(), "true"),
        (Choice(Colour), 3),
        (Text(_upper, "capitals"), 3),
        (Many(_upper, "capitals"), {"a": 1}),
        (Many(_upper, "capitals"), 3),
    ],
)
def test_a_typed_value_is_not_guessed_at(kind: Kind, value: object) -> None:
    """TOML has types of its own, so a number written as text, or a truth as a number, is a mistake."""
    with pytest.raises(Refused):
        kind.check(value)


@given(st.sampled_from(ALL), st.text(max_size=20))
def test_reading_raises_only_refused(kind: Kind, text: str) -> None:
    """No text makes a kind fail in any other way; what it accepts, it can write and read again."""
    try:
        value: Any = kind.read(text)
    except Refused:
        return
    assert kind.check(value) == value
    assert kind.read(kind.write(value)) == value


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (WHOLE, "whole number, 1 to 100"),
        (Number(0.1, 60), "number, 0.1 to 60"),
        (Choice(Colour), "`red`, `blue`"),
        (Maybe(WHOLE), "whole number, 1 to 100, or `none`"),
        (Many(_upper, "capitals"), "capitals, comma-separated"),
    ],
)
def test_kinds_describe_themselves(kind: Kind, said: str) -> None:
    """The reference page says what a setting takes in words that are also the check."""
    assert kind.describe() == said


def test_a_misspelt_choice_gets_a_hint() -> None:
    """The closest word is offered."""
    with pytest.raises(Refused) as refused:
        Choice(Colour).read("blu")
    assert refused.value.message == "must be red or blue"
    assert refused.value.hint == "did you mean blue?"
