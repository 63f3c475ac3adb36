"""docs/protocol.md says what the code does, and its examples are true."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from protocol import reference
from protocol.codec import decode_control, decode_event, encode_event
from protocol.control import CONTROLS
from protocol.errors import ErrorCode
from protocol.events import EVENTS, Event
from protocol.version import Encoding

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


@pytest.fixture
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_an_unknown_marker_is_an_error() -> None:
    """A misspelt marker doesn't stay empty in silence."""
    with pytest.raises(KeyError):
        reference.update("<!-- generated: nothing -->\n<!-- end -->")


@pytest.mark.parametrize("cls", [*EVENTS.values(), *CONTROLS.values()], ids=lambda cls: str(cls.type))
def test_every_field_has_its_docstring(cls: type) -> None:
    """A field without a meaning would be missing from its table."""
    documented = {name for base in cls.__mro__[:-1] for name in reference.field_docs(base)}
    names: Mapping[str, Any] = {one.name: one for one in fields(cls)}
    assert set(names) <= documented


def test_every_message_and_error_is_named(text: str) -> None:
    """A reader finds each event, control message and error code."""
    for name in [*EVENTS, *CONTROLS]:
        assert f"\n### `{name}`\n" in text
    for code in ErrorCode:
        assert f"| `{code}` |" in text


def test_json_and_hex_examples_are_the_same_event(text: str) -> None:
    """Each pair on the page reads as one event and is what the codec writes."""
    pairs = re.findall(r"```json\n(.*?)\n```\n\n```hex\n(.*?)\n```", text, re.DOTALL)
    assert len(pairs) >= 3
    for shown, hexed in pairs:
        packed = bytes.fromhex(hexed)
        event = decode_event(shown, Encoding.JSON)
        assert isinstance(event, Event)
        assert event == decode_event(packed, Encoding.MSGPACK)
        assert encode_event(event, Encoding.MSGPACK) == packed


def test_control_examples_are_valid(text: str) -> None:
    """What the page tells to type is accepted."""
    typed = re.findall(r"^> (\{.*\})$", text, re.MULTILINE)
    assert len(typed) >= 4
    for line in typed:
        decode_control(line)
