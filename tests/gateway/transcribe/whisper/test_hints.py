"""Hints on their way to a decoder process."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.speech import MAX_PROMPT as SETTING
from gateway.transcribe.whisper.hints import MAX_PROMPT, Hints

HINTS = st.builds(Hints, st.none() | st.text(max_size=5), st.booleans(), st.text(max_size=MAX_PROMPT))


@given(HINTS)
def test_hints_come_back_as_they_were(hints: Hints) -> None:
    """Whatever they say."""
    assert Hints.unpack(hints.pack()) == hints


def test_nothing_is_no_hints() -> None:
    """An engine that is told nothing decodes with its defaults."""
    assert Hints.unpack(None) == Hints()


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps))
def test_garbage_is_a_value_error(text: str) -> None:
    """Or, by chance, hints."""
    try:
        Hints.unpack(text)
    except ValueError:
        return
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "fields",
    [{"language": 1}, {"draft": 1}, {"prompt": None}, {"prompt": "x" * (MAX_PROMPT + 1)}, {"other": 1}],
)
def test_what_isnt_a_hint_is_a_value_error(fields: dict[str, object]) -> None:
    """Each field has its type and bound."""
    with pytest.raises(ValueError, match="hint"):
        Hints.unpack(json.dumps(fields))


def test_the_settings_allow_what_fits() -> None:
    """Both sides have the same bound."""
    assert SETTING == MAX_PROMPT
