"""The golden wire bytes that other languages test against are what this code writes and reads."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from protocol.codec import decode_control, decode_event
from protocol.control import CONTROLS as CONTROL_CLASSES
from protocol.events import EVENTS as EVENT_CLASSES
from protocol.version import Encoding
from tests.vectors import messages
from tests.vectors.regenerate import HERE, control_vectors, event_vectors, written


def _read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_files_are_current() -> None:
    """Any change of a byte on the wire shows here."""
    assert (HERE / "events.json").read_text(encoding="utf-8") == written(event_vectors())
    assert (HERE / "controls.json").read_text(encoding="utf-8") == written(control_vectors())


def test_every_message_class_has_a_vector() -> None:
    """A new class can't skip the vectors."""
    assert {type(event) for event in messages.EVENTS.values()} == set(EVENT_CLASSES.values())
    assert {type(message) for message in messages.CONTROLS.values()} == set(CONTROL_CLASSES.values())


@pytest.mark.parametrize("kind", list(EVENT_CLASSES))
def test_every_field_is_shown_with_a_value(kind: str) -> None:
    """A new field can't hide behind null in every vector."""
    examples = [event for event in messages.EVENTS.values() if event.type == kind]
    for field in fields(EVENT_CLASSES[kind]):
        if field.name != "extra":
            assert any(getattr(one, field.name) is not None for one in examples), field.name


@pytest.mark.parametrize("vector", _read(HERE / "events.json"), ids=lambda vector: str(vector["name"]))
def test_events_read_back(vector: dict[str, Any]) -> None:
    """Both byte forms of a vector are the same event."""
    event = messages.EVENTS[vector["name"]]
    assert decode_event(bytes.fromhex(vector["msgpack"]), Encoding.MSGPACK) == event
    assert decode_event(vector["json"], Encoding.JSON) == event
    assert json.loads(vector["json"]) == vector["fields"]


@pytest.mark.parametrize("vector", _read(HERE / "controls.json"), ids=lambda vector: str(vector["name"]))
def test_controls_read_back(vector: dict[str, Any]) -> None:
    """The text of a vector is its control message."""
    assert decode_control(vector["json"]) == messages.CONTROLS[vector["name"]]
