"""What may be asked for, and what is refused by name."""

import pytest

from gateway.tasks.export.formats import FORMATS
from gateway.tasks.export.lanes import Lane
from gateway.tasks.recipes import TYPES, recipe
from protocol.errors import ProtocolError
from tests.gateway.tasks.kit import said, story, tone


@pytest.mark.parametrize(
    ("type", "options", "param"),
    [
        (None, None, "type"),
        ("dance", None, "type"),
        (["export"], None, "type"),
        ({}, None, "type"),
        ("export", [], "options"),
        ("export", "json", "options"),
        ("export", {"format": "mp3"}, "options.format"),
        ("export", {"format": 7}, "options.format"),
        ("export", {"format": ["json"]}, "options.format"),
        ("export", {"tempo": 1}, "options.tempo"),
        ("export", {"x" * 1_000: 1}, "options." + "x" * 56),
        ("export", {"format": "json", "lanes": ["tone"]}, "options.lanes"),
        ("export", {"format": "csv", "lanes": []}, "options.lanes"),
        ("export", {"format": "csv", "lanes": "tone"}, "options.lanes"),
        ("export", {"format": "csv", "lanes": ["smell"]}, "options.lanes"),
        ("export", {"format": "csv", "lanes": [["tone"]]}, "options.lanes"),
        ("export", {"format": "csv", "lanes": ["tone"] * 6}, "options.lanes"),
        ("summary", {"format": "json"}, "options.format"),
        ("report", {"format": "pdf"}, "options.format"),
        ("report", {"lanes": ["tone"]}, "options.lanes"),
    ],
)
def test_a_mistake_is_named(type: object, options: object, param: str) -> None:
    """The problem points at the field, and says nothing of its value."""
    with pytest.raises(ProtocolError) as caught:
        recipe(type, options)
    assert caught.value.param == param


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_asked_for(name: str) -> None:
    """With a media type and the file name's ending, and something in it."""
    made = recipe("export", {"format": name})
    assert made.type == "export"
    assert "/" in made.media_type
    assert made.options["format"] == name
    assert b"".join(made.write(story(tone(0, 1), said(0, 1, "Hello"))))


@pytest.mark.parametrize(("name", "begins"), [("html", b"<!DOCTYPE html>"), ("svg", b"<?xml")])
def test_a_report_is_a_page_or_a_drawing(name: str, begins: bytes) -> None:
    """Each with its media type and suffix."""
    made = recipe("report", {"format": name})
    assert (made.type, made.suffix, made.options) == ("report", name, {"format": name})
    assert b"".join(made.write(story(tone(0, 1), said(0, 1, "Hello")))).startswith(begins)


def test_what_is_left_out_takes_its_default() -> None:
    """JSON with all there is; every lane where there are lanes. Null counts as left out."""
    assert recipe("export", None).options == {"format": "json"}
    assert recipe("export", {"format": None, "lanes": None}).options == {"format": "json"}
    assert recipe("export", {"format": "csv"}).options == {"format": "csv", "lanes": list(Lane)}


def test_lanes_that_are_chosen_are_the_ones_written() -> None:
    """In their usual order, each once."""
    made = recipe("export", {"format": "txt", "lanes": ["tone", "transcript", "tone"]})
    assert made.options["lanes"] == ["transcript", "tone"]


def test_every_type_has_its_name() -> None:
    """A recipe is of the type it was asked for as."""
    assert {name: recipe(name, None).type for name in TYPES} == {name: name for name in TYPES}
